package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

func TestOnline(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"}, Runner{Name: "asleep", Paused: true})
	r := runners(t, cfg)
	m.must(r)
	check := r.resources().Containers[0].Ready.Check
	if err := check(t.Context(), m); !errors.Is(err, ErrOffline) || !strings.Contains(fault.Remedy(err), "docker logs lab-runner") {
		t.Errorf("before it is online: %v", err)
	}
	f.is(1, "online", true)
	f.is(2, "online", true)
	if err := check(t.Context(), m); err != nil {
		t.Errorf("once it is online: %v", err)
	}
	// One more while the container runs on is waited for by a task.
	cfg.Runners = append(slices.Clone(cfg.Runners), Runner{Name: "late"})
	if _, err := m.apply(runners(t, cfg)); !errors.Is(err, ErrOffline) {
		t.Errorf("one that stays away: %v", err)
	}
	f.online = true
	cfg.Runners = append(slices.Clone(cfg.Runners), Runner{Name: "later"})
	if plan := m.must(runners(t, cfg)); !strings.Contains(plan.String(), "call see runner later online") {
		t.Errorf("plan\n%s", plan)
	}
}
