package heptapod

import (
	"strings"

	"github.com/heptaup/hepta/internal/pattern"
)

// The phases of a boot, in their order. A boot on an existing database may
// pass through migrations in a moment.
const (
	PhaseReconfigure = "reconfigure"
	PhaseMigrations  = "migrations"
	PhaseServices    = "starting services"
	PhaseWeb         = "web up"
)

// bootMarks are what the image prints when a phase begins.
var bootMarks = []struct {
	mark, phase string
	prefix      bool // the line begins with mark, save for white space
}{
	{"Configuring GitLab", PhaseReconfigure, true},
	{"Starting Chef", PhaseReconfigure, false},
	{"Starting Cinc", PhaseReconfigure, false},
	{"Infra Phase starting", PhaseReconfigure, false},
	{"* rails_migration[", PhaseMigrations, true},
	{"* bash[migrate gitlab-rails database]", PhaseMigrations, true},
	{"gitlab Reconfigured!", PhaseServices, false},
	{"Listening on unix:///var/opt/gitlab/gitlab-rails/sockets/gitlab.socket", PhaseWeb, false},
	{"Listening on http://127.0.0.1:8080", PhaseWeb, false},
}

// Phase names the phase of the boot that a line of the container's log
// begins, or "" when it begins none.
func Phase(line string) string {
	trimmed := strings.TrimSpace(line)
	for _, m := range bootMarks {
		if m.prefix && strings.HasPrefix(trimmed, m.mark) || !m.prefix && strings.Contains(trimmed, m.mark) {
			return m.phase
		}
	}
	return ""
}

// bootLine matches what the image prints while it configures itself and
// migrates: a recipe, one of its steps, what a step changes, what a migration
// says. What its services log later looks otherwise.
var bootLine = pattern.New(`^(?:Recipe: |\s+[*-] |\s+\[execute\] |.*\b(?:main|ci|sec): ==|== .*: (?:migrating|migrated|reverting|reverted))`)

// Progress reports whether a line of the container's log shows that a boot goes
// on. That the web is up does not: it may come up over and over.
func Progress(line string) bool {
	phase := Phase(line)
	return phase != "" && phase != PhaseWeb || bootLine().MatchString(line)
}
