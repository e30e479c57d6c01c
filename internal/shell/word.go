// Package shell writes what a person can paste into a shell.
package shell

import (
	"regexp"
	"strings"
)

var bare = regexp.MustCompile(`^[A-Za-z0-9_./+,:@%=-]+$`)

// Word is text as one word of a command line. A path that begins with - is a
// matter of Path.
func Word(text string) string {
	if bare.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Path is Word for a path, which no command takes for an option.
func Path(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return Word(path)
}
