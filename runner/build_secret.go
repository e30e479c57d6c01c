package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/pattern"
)

// BuildSecret is what RUN --mount=type=secret,id=ID finds in a file.
type BuildSecret struct {
	ID    string
	Value Secret
}

// MaxBuildSecret is how many bytes a secret may have; BuildKit takes no more.
const MaxBuildSecret = 500 << 10

var secretID = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// checkSecrets says what is wrong with the secrets, and shows nothing of them.
func (o BuildOptions) checkSecrets() error {
	for i, s := range o.Secrets {
		bad := func(why, remedy string) error { return badOption("with secret "+s.ID, why, remedy) }
		switch {
		case !secretID().MatchString(s.ID):
			// What stands there may be the secret itself.
			return badOption("with secrets", fmt.Sprintf("the id of secret %d is no name", i+1), "Use letters, digits, -, _ and dots, as in RUN --mount=type=secret,id=….")
		case slices.ContainsFunc(o.Secrets[:i], func(other BuildSecret) bool { return other.ID == s.ID }):
			return bad("there are two of that id", "Give each an id of its own.")
		case s.Value.Empty():
			return bad("it is empty", "Look where it comes from: a step that wants it gets nothing.")
		case len(s.Value.Reveal()) > MaxBuildSecret:
			return bad(fmt.Sprintf("it has more than %d KiB", MaxBuildSecret>>10), "Secrets are passwords, tokens and keys; bring other files in the context.")
		}
	}
	return nil
}

// secretFile is where the i-th secret lies in the build's container.
func secretFile(i int) string { return fmt.Sprintf("%s/secrets/%d", buildDir, i) }

// shortestMasked is how long a line of a secret has to be to be masked: shorter
// ones are found in everything.
const shortestMasked = 4

// mask hides the secrets in what the builder prints.
func (b *builder) mask() *strings.Replacer {
	var lines []string
	for _, s := range b.Secrets {
		for line := range strings.Lines(s.Value.Reveal()) {
			if line = strings.TrimSpace(line); len(line) >= shortestMasked {
				lines = append(lines, line)
			}
		}
	}
	// Of two, one of which begins like the other, the longer one counts.
	slices.SortFunc(lines, func(x, y string) int { return len(y) - len(x) })
	var pairs []string
	for _, line := range lines {
		pairs = append(pairs, line, "***")
	}
	return strings.NewReplacer(pairs...)
}
