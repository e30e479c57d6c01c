package runner

import (
	"context"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

var (
	colour = pattern.New("\x1b\\[[0-9;]*m")
	// named is the runner of a log line as the runner writes it, in its own
	// format, as text or as JSON.
	named = pattern.New(`\brunner"?[=:]"?([A-Za-z0-9_-]{6,})`)
	// called comes before the name of that runner, in lines of newer runners.
	called = pattern.New(`\brunner_name"?[=:]`)
	// behind is what may follow a name that has no quotes.
	behind = pattern.New(`^\s*$|^\s+[A-Za-z_]+=`)
	// disabled is a runner that the forge has refused too often: its address and
	// then its token, or the beginning of that.
	disabled = pattern.New(`Runner \\?"(.*?)\\?" is unhealthy and will be disabled`)
)

// LogFilter says which lines of the container's log are about a runner. They
// name it by the beginning of its token, those of newer runners by its name as
// well; so old runners' lines from before a token was replaced are not found.
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
	url := b.have[name].url
	return func(line string) bool {
		return about(line, token.Reveal()) || names(line, name) || disables(line, url, token.Reveal())
	}, nil
}

// names reports whether a line has the name of a runner in its field runner_name.
// The runner's own format has no quotes.
func names(line, name string) bool {
	line = colour().ReplaceAllString(line, "")
	at := called().FindStringIndex(line)
	if at == nil {
		return false
	}
	value := line[at[1]:]
	if strings.HasPrefix(value, strconv.Quote(name)) {
		return true
	}
	rest, is := strings.CutPrefix(value, name)
	return is && behind().MatchString(rest)
}

// disables reports whether a line says that this runner asks no more for a
// while, since the forge has refused it.
func disables(line, url, token string) bool {
	m := disabled().FindStringSubmatch(line)
	if m == nil {
		return false
	}
	short, is := strings.CutPrefix(m[1], url)
	short = strings.TrimPrefix(short, "/")
	return is && len(short) >= shortToken && begins(short, token)
}

// about reports whether a line names the runner that has this token.
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
