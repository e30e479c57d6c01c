package runner

import (
	"context"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

var (
	colour = pattern.New("\x1b\\[[0-9;]*m")
	// named is the runner of a log line as the runner writes it, in its own
	// format, as text or as JSON.
	named = pattern.New(`\brunner"?[=:]"?([A-Za-z0-9_-]{6,})`)
)

// LogFilter says which lines of the container's log are about a runner. They
// name it by the beginning of its token; so lines from before its token was
// replaced are not found.
func (ro *Roster) LogFilter(ctx context.Context, name string) (func(line string) bool, error) {
	b, err := ro.read(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := ro.find(b, name); err != nil {
		return nil, err
	}
	token := b.have[name].token
	if token.Empty() {
		return nil, &fault.Error{Op: "find log lines of runner", What: name, Why: "it is not in " + FileConfig, Remedy: "Bring it up: hepta up"}
	}
	return func(line string) bool { return about(line, token.Reveal()) }, nil
}

// about says whether a line names the runner that has this token.
func about(line, token string) bool {
	m := named().FindStringSubmatch(colour().ReplaceAllString(line, ""))
	return m != nil && begins(m[1], token)
}

// begins reports whether a runner calls itself so by this token. Old runners
// show the beginning of all of it, newer ones that of what is behind glrt-.
func begins(short, token string) bool {
	bare := strings.TrimPrefix(strings.TrimPrefix(token, "glrt-"), "glrtr-")
	_, routed, _ := strings.Cut(bare, "_") // glrt-t1_…
	for _, t := range []string{token, bare, routed} {
		if strings.HasPrefix(t, short) {
			return true
		}
	}
	return false
}
