package registry

import (
	"errors"
	"strings"
)

// challenge is one way in which a server wants to be told who asks.
type challenge struct {
	scheme string            // lower case
	params map[string]string // keys in lower case
}

var errChallenge = errors.New("malformed WWW-Authenticate header")

// parseChallenges reads the values of WWW-Authenticate headers (RFC 9110,
// 11.6.1). Several challenges may share a header, and commas separate both
// them and their parameters.
func parseChallenges(headers []string) ([]challenge, error) {
	var list []challenge
	for _, header := range headers {
		l := lexer{header}
		for l.separators(); l.rest != ""; l.separators() {
			name := l.token()
			if name == "" {
				return nil, errChallenge
			}
			if l.spaces(); len(list) > 0 && l.take('=') {
				value, err := l.value()
				if err != nil {
					return nil, err
				}
				list[len(list)-1].params[strings.ToLower(name)] = value
			} else {
				list = append(list, challenge{strings.ToLower(name), make(map[string]string)})
				l.token68()
				l.spaces()
				continue // the first parameter follows without a comma
			}
			if l.spaces(); l.rest != "" && l.rest[0] != ',' {
				return nil, errChallenge
			}
		}
	}
	return list, nil
}

// lexer is what is left of a header.
type lexer struct{ rest string }

func (l *lexer) spaces() { l.rest = strings.TrimLeft(l.rest, " \t") }

func (l *lexer) separators() { l.rest = strings.TrimLeft(l.rest, " \t,") }

func (l *lexer) take(c byte) bool {
	if l.rest == "" || l.rest[0] != c {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

func (l *lexer) token() string {
	end := strings.IndexFunc(l.rest, func(r rune) bool { return !isToken(r) })
	if end < 0 {
		end = len(l.rest)
	}
	token := l.rest[:end]
	l.rest = l.rest[end:]
	return token
}

func isToken(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// token68 drops the opaque form of a challenge ("Negotiate abc==").
func (l *lexer) token68() {
	end := strings.IndexByte(l.rest, ',')
	if end < 0 {
		end = len(l.rest)
	}
	opaque := strings.TrimRight(l.rest[:end], " \t")
	body := strings.TrimRight(opaque, "=")
	if body != "" && !strings.ContainsAny(body, "=\" \t") {
		l.rest = l.rest[len(opaque):]
	}
}

// value reads a token or a quoted string.
func (l *lexer) value() (string, error) {
	l.spaces()
	if !l.take('"') {
		// A bare URL is no token, yet servers send it.
		end := strings.IndexAny(l.rest, ", \t")
		if end < 0 {
			end = len(l.rest)
		}
		value := l.rest[:end]
		l.rest = l.rest[end:]
		if value == "" || strings.Contains(value, `"`) {
			return "", errChallenge
		}
		return value, nil
	}
	var b strings.Builder
	for i := 0; i < len(l.rest); i++ {
		switch c := l.rest[i]; c {
		case '"':
			l.rest = l.rest[i+1:]
			return b.String(), nil
		case '\\':
			if i++; i == len(l.rest) {
				return "", errChallenge
			}
			b.WriteByte(l.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", errChallenge
}
