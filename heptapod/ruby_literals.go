package heptapod

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// rubyLiteral is a text in a Ruby program.
type rubyLiteral struct {
	source  string // as it stands between its delimiters
	value   string // as Ruby reads it; interpolated parts stay as they stand
	isKey   bool   // it names something: a key of a hash, the index of a setting
	comment bool
}

// rubyLexer finds the literals of a Ruby program that has to do with settings.
// It does not parse Ruby: where a slash or a sign could begin a literal or be an
// operator, it takes what is there in such programs. Whatever it is given, it
// comes to an end.
type rubyLexer struct {
	text     string
	at       int
	heredocs []heredoc // begun on this line, their bodies follow it
	found    []rubyLiteral
}

// heredoc is the beginning of a text that ends with a line of its own.
type heredoc struct {
	end string
	raw bool // in single quotes: nothing is escaped
}

// rubyLiterals are the texts of a program in their order, comments included.
func rubyLiterals(text string) []rubyLiteral {
	l := rubyLexer{text: text}
	l.block()
	l.run(false)
	return l.found
}

// run reads code up to its end, or where it is part of a literal up to the
// brace that closes it.
func (l *rubyLexer) run(inside bool) {
	depth := 0
	for l.at < len(l.text) {
		c := l.text[l.at]
		switch {
		case c == '\n':
			l.at++
			l.bodies()
			l.block()
		case c == '#':
			l.found = append(l.found, rubyLiteral{source: l.line(), comment: true})
		case c == '\'' || c == '"' || c == '`':
			l.quoted(c)
		case c == '%' && l.percent():
		case c == '<' && l.heredoc():
		case c == '?' && l.character():
		case c == '/' && l.operand():
			l.at++
			l.delimited('/', '/', false)
		case inside && c == '{':
			depth++
			l.at++
		case inside && c == '}':
			l.at++
			if depth == 0 {
				return
			}
			depth--
		default:
			l.at++
		}
	}
}

// line takes the rest of the line.
func (l *rubyLexer) line() string {
	rest, _, _ := strings.Cut(l.text[l.at:], "\n")
	l.at += len(rest)
	return rest
}

// block takes a comment between =begin and =end, and what follows __END__.
func (l *rubyLexer) block() {
	rest := l.text[l.at:]
	switch line, _, _ := strings.Cut(rest, "\n"); {
	case strings.TrimRight(line, "\r") == "__END__":
		l.found = append(l.found, rubyLiteral{source: rest, comment: true})
		l.at = len(l.text)
	case line == "=begin" || strings.HasPrefix(line, "=begin "):
		end := len(rest)
		if i := strings.Index(rest, "\n=end"); i >= 0 {
			end = i + 1
		}
		l.found = append(l.found, rubyLiteral{source: rest[:end], comment: true})
		l.at += end
	}
}

// before is the last character before the present one that is no space, and
// whether there is space between the two.
func (l *rubyLexer) before() (c byte, spaced bool) {
	code := strings.TrimRight(l.text[:l.at], " \t")
	if code == "" {
		return '\n', true
	}
	return code[len(code)-1], len(code) < l.at
}

// operand reports whether a value may begin here: after an operator, and after
// a word and a space where no space follows.
func (l *rubyLexer) operand() bool {
	c, spaced := l.before()
	switch {
	case strings.IndexByte("\n=(,[{|&!;:?+-*<>~^", c) >= 0:
		return true
	case wordByte(c):
		next := byte(' ')
		if l.at+1 < len(l.text) {
			next = l.text[l.at+1]
		}
		return spaced && next != ' ' && next != '=' && next != '\n'
	}
	return false
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// quoted takes a literal between two equal quotes, and those that follow it
// without anything but space or a plus in between: Ruby joins them.
func (l *rubyLexer) quoted(quote byte) {
	index := l.indexes()
	first := len(l.found)
	l.at++
	l.delimited(quote, quote, quote == '\'')
	last := &l.found[len(l.found)-1]
	last.isKey = l.names(index)
	if last.isKey || len(l.found) > first+1 {
		return
	}
	joined := *last
	for {
		rest := strings.TrimLeft(l.text[l.at:], " \t")
		if strings.HasPrefix(rest, "+") || strings.HasPrefix(rest, "\\\n") || strings.HasPrefix(rest, "<< ") {
			rest = strings.TrimLeft(rest[1:], "< \t\n")
		}
		if c := firstByte(rest); c != '\'' && c != '"' {
			break
		}
		l.at = len(l.text) - len(rest) + 1
		l.delimited(rest[0], rest[0], rest[0] == '\'')
		next := l.found[len(l.found)-1]
		joined.source, joined.value = joined.source+next.source, joined.value+next.value
	}
	if joined != l.found[first] {
		l.found = append(l.found, joined)
	}
}

// indexes reports whether a bracket before the present place takes an element
// of something, as in gitlab_rails['key'].
func (l *rubyLexer) indexes() bool {
	code := l.text[:l.at]
	return len(code) > 1 && code[len(code)-1] == '[' && (wordByte(code[len(code)-2]) || code[len(code)-2] == ']')
}

// names reports whether the literal that ends here is a key.
func (l *rubyLexer) names(index bool) bool {
	rest := l.text[l.at:]
	if index && strings.HasPrefix(rest, "]") {
		return true
	}
	if strings.HasPrefix(strings.TrimLeft(rest, " \t"), "=>") {
		return true
	}
	// 'key': value, but not the first branch of a condition.
	line := l.text[strings.LastIndexByte(l.text[:l.at], '\n')+1 : l.at]
	return strings.HasPrefix(rest, ": ") && !strings.Contains(line, "?")
}

// delimited takes a literal up to its closing delimiter; one that opens again
// inside closes again. What nothing ends goes to the end of the text.
func (l *rubyLexer) delimited(open, closing byte, raw bool) {
	begin, depth := l.at, 0
	var value strings.Builder
	for l.at < len(l.text) {
		c := l.text[l.at]
		switch {
		case c == '\\' && l.at+1 < len(l.text):
			n, text := escape(l.text[l.at:], open, closing, raw)
			value.WriteString(text)
			l.at += n
			continue
		case !raw && c == '#' && strings.HasPrefix(l.text[l.at:], "#{"):
			from := l.at
			inner := rubyLexer{text: l.text, at: l.at + 2}
			inner.run(true)
			l.found = append(l.found, inner.found...)
			l.at = inner.at
			value.WriteString(l.text[from:l.at])
			continue
		case c == closing && depth == 0:
			l.found = append(l.found, rubyLiteral{source: l.text[begin:l.at], value: value.String()})
			l.at++
			return
		case c == closing:
			depth--
		case c == open:
			depth++
		}
		value.WriteByte(c)
		l.at++
	}
	l.found = append(l.found, rubyLiteral{source: l.text[begin:], value: value.String()})
}

// percent takes %q(…) and its kin.
func (l *rubyLexer) percent() bool {
	at, kind := l.at+1, byte('Q')
	if at < len(l.text) && strings.IndexByte("qQwWiIxrs", l.text[at]) >= 0 {
		kind = l.text[at]
		at++
	} else if !l.operand() {
		return false
	}
	if at >= len(l.text) || wordByte(l.text[at]) || l.text[at] == ' ' || l.text[at] == '\n' || l.text[at] == '=' && at == l.at+1 {
		return false
	}
	open := l.text[at]
	closing := open
	if i := strings.IndexByte("([{<", open); i >= 0 {
		closing = ")]}>"[i]
	}
	l.at = at + 1
	l.delimited(open, closing, strings.IndexByte("qwis", kind) >= 0)
	if last := l.found[len(l.found)-1]; strings.IndexByte("wWiI", kind) >= 0 {
		for _, word := range strings.Fields(last.value) {
			l.found = append(l.found, rubyLiteral{source: word, value: word})
		}
	}
	return true
}

// character takes ?x.
func (l *rubyLexer) character() bool {
	if !l.operand() || l.at+2 < len(l.text) && wordByte(l.text[l.at+2]) {
		return false
	}
	l.at = min(l.at+2, len(l.text))
	return true
}

// heredoc notes <<WORD, <<-WORD, <<~WORD and those in quotes, where a line ends
// it: else it is an operator.
func (l *rubyLexer) heredoc() bool {
	rest, ok := strings.CutPrefix(l.text[l.at:], "<<")
	if !ok {
		return false
	}
	rest = strings.TrimLeft(rest, "-~")
	var h heredoc
	if quote := firstByte(rest); quote == '\'' || quote == '"' || quote == '`' {
		h.end, rest, ok = strings.Cut(rest[1:], string(quote))
		h.raw = quote == '\''
	} else {
		n := 0
		for n < len(rest) && wordByte(rest[n]) {
			n++
		}
		h.end, rest = rest[:n], rest[n:]
	}
	if !ok || h.end == "" || strings.Contains(h.end, "\n") {
		return false
	}
	_, body, _ := strings.Cut(rest, "\n")
	for line := range strings.Lines(body) {
		if strings.TrimSpace(line) == h.end {
			l.heredocs = append(l.heredocs, h)
			l.at = len(l.text) - len(rest)
			return true
		}
	}
	return false
}

func firstByte(text string) byte {
	if text == "" {
		return 0
	}
	return text[0]
}

// bodies takes the texts of the heredocs that the last line has begun.
func (l *rubyLexer) bodies() {
	for _, h := range l.heredocs {
		var body strings.Builder
		for l.at < len(l.text) {
			line := l.line()
			l.at = min(l.at+1, len(l.text))
			if strings.TrimSpace(line) == h.end {
				break
			}
			body.WriteString(line + "\n")
		}
		if h.raw {
			l.found = append(l.found, rubyLiteral{source: body.String(), value: body.String()})
			continue
		}
		inner := rubyLexer{text: body.String()}
		inner.delimited(0, 0, false)
		l.found = append(l.found, inner.found...)
	}
	l.heredocs = nil
}

// escape reads a backslash and what belongs to it: how long both are, and what
// they stand for.
func escape(text string, open, closing byte, raw bool) (n int, value string) {
	c := text[1]
	if raw {
		if c == '\\' || c == open || c == closing {
			return 2, text[1:2]
		}
		return 2, text[:2]
	}
	digits := func(from, most int, base int) (int, uint64) {
		end := from
		for end < len(text) && end < from+most {
			if _, err := strconv.ParseUint(text[end:end+1], base, 8); err != nil {
				break
			}
			end++
		}
		x, _ := strconv.ParseUint(text[from:end], base, 32) // no digits: 0
		return end, x
	}
	switch c {
	case 'n':
		return 2, "\n"
	case 't':
		return 2, "\t"
	case 'r':
		return 2, "\r"
	case 's':
		return 2, " "
	case 'e':
		return 2, "\x1b"
	case 'a', 'b', 'f', 'v':
		return 2, string("\a\b\f\v"[strings.IndexByte("abfv", c)])
	case '\n':
		return 2, ""
	case 'x':
		end, x := digits(2, 2, 16)
		return end, string([]byte{byte(x)})
	case 'u':
		if strings.HasPrefix(text[2:], "{") {
			list, _, closed := strings.Cut(text[3:], "}")
			if !closed {
				return 2, "u"
			}
			for code := range strings.FieldsSeq(list) {
				x, _ := strconv.ParseUint(code, 16, 32) // no digits: 0
				value += string(rune(x))
			}
			return len(list) + 4, value
		}
		end, x := digits(2, 4, 16)
		return end, string(rune(x))
	}
	if c >= '0' && c <= '7' {
		end, x := digits(1, 3, 8)
		return end, string([]byte{byte(x)})
	}
	_, size := utf8.DecodeRuneInString(text[1:])
	return 1 + size, text[1 : 1+size]
}
