package hepta_test

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta"
)

// How often the disk is looked at is what runner.prune says, and without that
// there is no timer for it.
func TestPruneUnits(t *testing.T) {
	for every, when := range map[string]string{"hour": "hourly", "day": "daily", "week": "weekly", "": ""} {
		service, timer, ok := hepta.Systemd{Stack: "lab", Program: "/bin/hepta", File: "/srv/hepta.yaml", Prune: every}.PruneUnits()
		if ok != (when != "") {
			t.Errorf("%q: there are units: %v", every, ok)
		}
		if ok && (!strings.Contains(timer.Content, "\nOnCalendar="+when+"\n") ||
			!strings.Contains(service.Content, "\nExecStart=/bin/hepta --file /srv/hepta.yaml --progress plain runner prune --force --to-size\n")) {
			t.Errorf("%q: %s\n%s", every, timer.Content, service.Content)
		}
	}
}
