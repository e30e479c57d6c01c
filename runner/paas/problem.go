package paas

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing in a configuration that is wrong, or that looks so.
type Problem struct {
	Line int    // 0: not at one line
	Key  string // empty: not about one key
	Text string // never a value, which may be a secret
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Text
}

// ConfigError is all that is wrong in a configuration, in the order of lines.
type ConfigError []Problem

func (e ConfigError) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return "read configuration: " + strings.Join(lines, "; ")
}

func inOrder(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int { return a.Line - b.Line })
}
