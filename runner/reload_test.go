package runner

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// told are the runners that a plan tells of a change.
func told(plan *converge.Plan) []string { return tasks(plan, "tell") }

// A runner that runs on is told when its section has changed, after it was
// written, and stays paused or working as somebody has set it.
func TestRunnersTakeOver(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	given := Runner{Name: "given", Token: NewSecret("glrt-canary-there")}
	cfg := at(f, Runner{Name: "a", Tags: []string{"x"}}, Runner{Name: "b", Mode: Plain}, Runner{Name: "idle", Paused: true}, given)
	if got := told(m.must(runners(t, cfg))); len(got) > 0 {
		t.Errorf("new runners are told: %q", got)
	}
	f.took()
	cfg.Runners[0].Tags = []string{"y"}
	if got := told(m.must(runners(t, cfg))); len(got) > 0 {
		t.Errorf("tags are no part of a section, but %q", got)
	}
	f.took()

	for i := range cfg.Runners {
		cfg.Runners[i].Environment = []string{"WORD=x"}
	}
	f.is(m.known("b").ID, "paused", true) // in the forge, by somebody
	const cause = ": its section of runner/config.toml changed"
	plan := m.must(runners(t, cfg))
	if got := told(plan); !slices.Equal(got, []string{"tell runner a" + cause, "tell runner b" + cause}) {
		t.Errorf("told are %q", got)
	}
	text := plan.String()
	if i, j := strings.Index(text, "tell runner a"), strings.Index(text, "file runner/config.toml"); i < j || j < 0 {
		t.Errorf("it is told before the file is written:\n%s", text)
	}
	if got := f.took(); !slices.Equal(got, []string{"PUT runners/1", "PUT runners/2"}) && !slices.Equal(got, []string{"PUT runners/2", "PUT runners/1"}) {
		t.Errorf("the forge was asked %q", got)
	}
	if a, b := f.runners[1]["paused"], f.runners[2]["paused"]; a != false || b != true {
		t.Errorf("paused are %v and %v, want them as they were", a, b)
	}
}

// Nobody is told where the container only starts or is replaced, and where only a
// registration token is known; a runner that is gone from the forge is no error.
func TestNobodyToTell(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	cfg.Runners[0].Environment = []string{"WORD=x"}
	m.ended = true
	if got := told(m.must(runners(t, cfg))); len(got) > 0 {
		t.Errorf("a container that does not run is told: %q", got)
	}
	cfg.Runners[0].Environment, cfg.Image = []string{"WORD=y"}, "gitlab/gitlab-runner:v99.0.0"
	plan := m.must(runners(t, cfg))
	if got := told(plan); len(got) > 0 || !strings.Contains(plan.String(), "image") {
		t.Errorf("a container that is replaced is told: %q\n%s", got, plan)
	}
	f.lose(m.known("a").ID)
	if err := runners(t, cfg).awaitReload(t.Context(), m, "a"); err != nil {
		t.Error(err)
	}

	m = newMachine(t)
	cfg = at(f, Runner{Name: "old"})
	cfg.Forge = Forge{URL: f.URL, RegistrationToken: NewSecret(f.registration)}
	m.must(runners(t, cfg))
	cfg.Runners[0].Environment = []string{"WORD=x"}
	if got := told(m.must(runners(t, cfg))); len(got) > 0 {
		t.Errorf("without the API: %q", got)
	}
}

// signalled is a machine whose runner container takes commands.
type signalled struct {
	*machine
	hups *atomic.Int64
}

func (s signalled) Exec(_ context.Context, _ string, cmd []string, _ []byte) (converge.ExecResult, error) {
	if strings.Join(cmd, " ") == "sh -c kill -HUP 1" {
		s.hups.Add(1)
	}
	return converge.ExecResult{}, nil
}

// Runners that take the same change over are told once, and again of the next.
func TestRunnersReloadOnceForAChange(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	r := runners(t, at(f, Runner{Name: "a"}, Runner{Name: "b"}, Runner{Name: "c"}))
	m.must(r)
	host := signalled{m, &atomic.Int64{}}
	for want := int64(1); want <= 2; want++ {
		var all sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			all.Go(func() {
				if err := r.awaitReload(t.Context(), host, name); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := host.hups.Load(); got != want {
			t.Errorf("told %d times, want %d", got, want)
		}
		m.files[FileConfig] += "\n"
	}
}
