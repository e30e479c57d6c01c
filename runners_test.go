package hepta

import (
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner"
)

// What a runner may do to the host is said with a plan that does something.
func TestPlanWarnsOfRunners(t *testing.T) {
	for text, warned := range map[string]bool{
		"mode: socket": true, "mode: dind, project: 7, tls: false": true, "mode: rootless": false, "mode: plain": false, "tags: [a]": false,
		"mode: dind": true, "mode: dind, project: 7": false, "docker: {Privileged: yes}": true,
	} {
		s, _ := onBare(t, "forge: hg.example.org\nrunners:\n  - {name: x, "+text+"}\n", "1.24")
		plan, err := s.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(plan.Notes, func(n string) bool { return strings.HasPrefix(n, "runner x: ") })
		if got != warned {
			t.Errorf("%s: %q", text, plan.Notes)
		}
	}
}

// Keys of hepta.yaml that guard runners reach their room.
func TestRunnerGuards(t *testing.T) {
	cfg := stackless(t, "forge: hg.example.org\nrunners:\n  - {name: x, mode: dind, tls: false, allowed_images: [\"docker:*\"], allowed_services: [\"docker:*-dind\"]}\n")
	r := cfg.normal().runners().Runners[0]
	if r.TLS == nil || *r.TLS || !slices.Equal(r.AllowedImages, []string{"docker:*"}) || !slices.Equal(r.AllowedServices, []string{"docker:*-dind"}) {
		t.Errorf("got %+v", r)
	}
	wrong := stackless(t, "forge: hg.example.org\nrunners:\n  - {name: x, mode: socket, tls: false}\n")
	if err := wrong.Validate(); err == nil || !strings.Contains(err.Error(), "runners[0].tls") {
		t.Errorf("tls without a daemon: %v", err)
	}
}

func stackless(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := Parse("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Before the first up there is nothing to look into, and it says so.
func TestRunnersOfNoStack(t *testing.T) {
	s, e := onBare(t, "forge: hg.example.org\nrunners:\n  - {name: x}\n", "1.24")
	for name, err := range map[string]error{
		"list":   func() error { _, err := s.ListRunners(t.Context()); return err }(),
		"verify": func() error { _, err := s.VerifyRunners(t.Context(), false); return err }(),
		"pause":  s.PauseRunner(t.Context(), "x", true),
		"logs":   s.RunnerLogs(t.Context(), "x", LogOptions{}, func(LogLine) {}),
	} {
		if err == nil || fault.Remedy(err) != "Start the stack: hepta up" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := s.PruneRunners(t.Context(), runner.PruneOptions{}); err != nil || len(p.Leftovers) != 0 {
		t.Errorf("prune: %+v, %v", p, err)
	}
	if calls := e.changes(); len(calls) > 0 {
		t.Errorf("something was done: %v", calls)
	}
}
