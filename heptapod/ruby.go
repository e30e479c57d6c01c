package heptapod

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rubyString writes text as a Ruby literal that evaluates to exactly its
// bytes. The literal is printable ASCII on one line and interpolates nothing,
// whatever text holds.
func rubyString(text string) string {
	if plainASCII(text) {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	// Ruby rejects literals that mix \u with \x above 7F, so text that is not
	// UTF-8 is written byte by byte.
	valid := utf8.ValidString(text)
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if valid {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		i += size
		switch {
		case r == '"' || r == '\\' || r == '#':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case valid:
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			fmt.Fprintf(&b, `\x%02X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plainASCII reports whether text holds printable ASCII alone.
func plainASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// rubyStrings writes a Ruby array of strings.
func rubyStrings(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = rubyString(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// rubyFile writes the expression that reads a one-line file of the
// container when gitlab.rb is evaluated, so that the value itself stays out.
func rubyFile(path string) string {
	return "File.read(" + rubyString(path) + ", encoding: 'UTF-8').strip"
}

// rubyScript collects the statements of a Ruby file.
type rubyScript struct{ strings.Builder }

// line adds one line as it is.
func (s *rubyScript) line(text string) { s.WriteString(text + "\n") }

// section starts a group of statements under a comment.
func (s *rubyScript) section(title string) { s.WriteString("\n# " + title + "\n") }

// set assigns an expression to group['key'].
func (s *rubyScript) set(group, key, expression string) {
	s.WriteString(group + "[" + rubyString(key) + "] = " + expression + "\n")
}

// text assigns a string, unless it is empty.
func (s *rubyScript) text(group, key, value string) {
	if value != "" {
		s.set(group, key, rubyString(value))
	}
}

// number assigns an integer.
func (s *rubyScript) number(group, key string, value int) {
	s.set(group, key, strconv.Itoa(value))
}

// truth assigns true or false.
func (s *rubyScript) truth(group, key string, value bool) {
	s.set(group, key, strconv.FormatBool(value))
}
