package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
)

// explain tells a person what went wrong and what to do about it.
func explain(t terminal, err error, noColor bool) {
	red, reset := "", ""
	if t.colorful(t.err, noColor) {
		red, reset = "\x1b[31m", "\x1b[0m"
	}
	var config *hepta.ConfigError
	var wrong usage
	if errors.As(err, &config) {
		for line := range strings.Lines(config.Error()) {
			fmt.Fprintf(t.err, "%serror:%s %s\n", red, reset, legible(strings.TrimRight(line, "\n")))
		}
	} else if errors.As(err, &wrong) {
		fmt.Fprintf(t.err, "%serror:%s %s\n", red, reset, legible(err.Error()))
	}
	if errors.As(err, &wrong) {
		fmt.Fprintln(t.err, "→ See 'hepta help' or 'hepta COMMAND --help'.")
		return
	}
	if config != nil {
		return
	}
	text, remedy := fault.Describe(err), fault.Remedy(err)
	if remedy != "" {
		text = strings.Replace(text, "\n"+remedy, "\n→ "+remedy, 1)
	}
	fmt.Fprintf(t.err, "%serror:%s %s\n", red, reset, legible(text))
}

// legible keeps what others have written, in a name or a log, from reaching the
// terminal as a command, and lines from growing beyond what anybody reads.
func legible(text string) string {
	const longest, head, tail = 1000, 600, 300
	clean := strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || r == utf8.RuneError) {
			return '?'
		}
		return r
	}, text)
	lines := strings.Split(clean, "\n")
	for i, l := range lines {
		if r := []rune(l); len(r) > longest {
			lines[i] = string(r[:head]) + "…" + string(r[len(r)-tail:])
		}
	}
	return strings.Join(lines, "\n")
}
