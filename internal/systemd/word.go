// Package systemd writes text into units of systemd so that it is read as it is.
package systemd

import "strings"

// Text is text for a setting that takes all of its line. Only % means something
// there.
func Text(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// Word is one word of a setting that takes several, such as Environment.
func Word(text string) string {
	text = Text(text)
	if !strings.ContainsAny(text, " \t\"'\\;") {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Argument is one word of a command line, where $ begins a variable.
func Argument(text string) string { return Word(strings.ReplaceAll(text, "$", "$$")) }
