// Package fault holds the error that a person can act on: what was tried, on
// what, why it did not work and what to do about it.
package fault

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is a failure with a remedy. Its Error text is one line for logs and
// for wrapping; Describe is the text for people. It never holds a secret.
type Error struct {
	Op     string // what was tried: "pull image"
	What   string // on what: "traefik:v3.6"
	Why    string // the reason in the reader's words; empty leaves it to Err
	Remedy string // what to do: one sentence or several, without a final newline
	Err    error  // the cause for errors.Is and errors.As; may be nil
	Kind   error  // what errors.Is finds beside Err, and no text shows; may be nil
}

// Error is "op what: why: err" without what is empty.
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	if head := strings.TrimSpace(e.Op + " " + plain(e.What)); head != "" {
		parts = append(parts, head)
	}
	if e.Why != "" {
		parts = append(parts, oneLine(e.Why))
	}
	if e.Err != nil {
		if text := oneLine(e.Err.Error()); e.Why == "" || !strings.Contains(e.Why, text) {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ": ")
}

// plain is a name as it is read, in quotes where it would not be read as one.
func plain(name string) string {
	if strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.Quote(name)
	}
	return name
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether the kind of the failure is target.
func (e *Error) Is(target error) bool { return e.Kind != nil && errors.Is(e.Kind, target) }

// Describe is what a person reads about err: its line, what the faults in its
// chain say at greater length, and their remedies, each once and outermost
// first. It ends without a newline; for nil it is empty.
func Describe(err error) string {
	if err == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(oneLine(err.Error()))
	seen := make(map[string]bool)
	add := func(text string) {
		if text = strings.TrimRight(text, "\n"); text != "" && !seen[text] {
			seen[text] = true
			b.WriteString("\n" + text)
		}
	}
	faults := find(err, nil)
	for _, f := range faults {
		if strings.Contains(strings.TrimSpace(f.Why), "\n") {
			add(f.Why)
		}
	}
	for _, f := range faults {
		add(f.Remedy)
	}
	return b.String()
}

// Remedy is the outermost remedy in err's chain, or "".
func Remedy(err error) string {
	for _, f := range find(err, nil) {
		if f.Remedy != "" {
			return f.Remedy
		}
	}
	return ""
}

// find gathers every fault of the tree of err, outermost first.
func find(err error, found []*Error) []*Error {
	for err != nil {
		if f, ok := err.(*Error); ok {
			found = append(found, f)
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				found = find(e, found)
			}
			return found
		}
		err = errors.Unwrap(err)
	}
	return found
}

// oneLine is the first line of text; what follows belongs to Describe.
func oneLine(text string) string {
	text = strings.TrimSpace(text)
	line, rest, more := strings.Cut(text, "\n")
	if more && strings.TrimSpace(rest) != "" {
		return strings.TrimRight(line, " :")
	}
	return line
}
