// Package runnername says what a runner may be called.
package runnername

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// most is the length of a description that every forge takes, in characters.
const most = 255

// Wrong says what keeps a text from being the name of a runner, "" when
// nothing does. A name is shown on a line, and is a word of commands.
func Wrong(name string) string {
	switch {
	case name == "":
		return "is empty"
	case utf8.RuneCountInString(name) > most:
		return fmt.Sprintf("has more than %d characters", most)
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.TrimSpace(name) != name:
		return "begins or ends with white space"
	case strings.HasPrefix(name, "-"):
		return "begins with -, as an option of a command does"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "has characters that cannot be seen"
	}
	return ""
}
