package paas

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heptaup/hepta/internal/secret"
)

// A job that is canceled while its host is made gets no host that stays, and is
// not started.
func TestCanceledWhileProvisioning(t *testing.T) {
	for _, twoPhase := range []bool{false, true} {
		for _, call := range []string{"create", "prepare"} {
			synctest.Test(t, func(t *testing.T) {
				w := newRealm(t)
				w.spoil(call, "500", 3)
				s := w.start(w.runners(1), func(m *Manager) { m.Pace.Retry = 20 * time.Second })
				j := w.add(tokenOf(0), 1, func(j *realJob) { j.twoPhase = twoPhase })
				for w.met(call) == 0 {
					time.Sleep(time.Second)
				}
				w.mu.Lock()
				j.end("canceled")
				w.mu.Unlock()
				at := time.Now()
				w.settle(s, time.Hour)
				w.check("canceled")
				if took := time.Since(at); took > 2*time.Minute || j.runs > 0 || w.met("push") > 0 {
					t.Errorf("%s: gone after %v, %d runs, %d pushes", call, took, j.runs, w.met("push"))
				}
			})
		}
	}
}

// A job that is canceled while the provider still works on its host: what comes
// of it is known, and goes.
func TestCanceledWhileACallIsUnderWay(t *testing.T) {
	for _, call := range []string{"create", "prepare", "push"} {
		synctest.Test(t, func(t *testing.T) {
			w := newRealm(t)
			w.boot = 10 * time.Minute
			w.spoil(call, "slow", 1)
			s := w.start(w.runners(1), nil)
			j := w.add(tokenOf(0), 1, nil)
			for w.met(call) == 0 {
				time.Sleep(time.Second)
			}
			w.mu.Lock()
			j.end("canceled")
			w.mu.Unlock()
			w.settle(s, 10*time.Minute)
			w.check("canceled")
		})
	}
}

// While its host is made, a job that waits to be accepted is kept, however long
// that takes.
func TestWaitingJobIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.spoil("create", "hang", 3)
		s := w.start(w.runners(1), nil)
		j := w.add(tokenOf(0), 1, func(j *realJob) { j.twoPhase = true })
		w.settle(s, time.Hour)
		w.check("success")
		if j.beats < 2 {
			t.Errorf("%d signs of life", j.beats)
		}
	})
}

// One runner's token is refused, another one's provider is out of reach, a
// third one's tenant has no organisation: the fourth does not notice.
func TestOneBrokenStopsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.refuse[tokenOf(0)] = 403
		cfg := w.runners(4)
		for i := range cfg.Runners {
			cfg.Runners[i].Executor, cfg.Runners[i].Clever = CleverDocker, &Clever{Tenants: true, Flavor: "M"}
		}
		w.flat = Flavors{{"M", 8192, 4}}
		s := w.start(cfg, func(m *Manager) {
			m.Hosts = func(_ context.Context, r Runner, _ *Coordinator) (Provider, error) {
				if r.Name == "runner 1" {
					return nil, errors.New("no Docker Engine answers")
				}
				return w, nil
			}
		})
		for id := int64(1); id <= 6; id++ {
			w.add(tokenOf(3), id, nil)
		}
		bad := w.add(tokenOf(2), 7, func(j *realJob) { j.tenant = "broken" })
		w.add(tokenOf(2), 8, nil)
		at := time.Now()
		w.settle(s, time.Hour)
		if took := time.Since(at); took > 10*time.Minute {
			t.Errorf("all that after %v", took)
		}
		w.check("success", "failed")
		if bad.status != "failed" || !strings.Contains(bad.trace, "find organisation of group broken") || !w.is(8, "success") {
			t.Errorf("%s; trace %q", bad.status, bad.trace)
		}
		// Each trouble is told once, the refused token with what to do.
		log := s.log.String()
		for _, want := range []string{"ask for jobs as runner runner 0", "or has paused it. Resume it there", "no Docker Engine answers"} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %q", want)
			}
		}
		if n := strings.Count(log, "no job can be asked for"); n != 2 {
			t.Errorf("told %d times", n)
		}
		// The token is resumed.
		w.mu.Lock()
		delete(w.refuse, tokenOf(0))
		w.mu.Unlock()
		w.add(tokenOf(0), 9, nil)
		w.settle(s, time.Hour)
		if !w.is(9, "success") || !strings.Contains(s.log.String(), "jobs can be asked for again") {
			t.Error("after it was resumed it takes no job")
		}
	})
}

// The state file is lost while a job runs: its host is left alone until the
// forge says that the job is over. Without a token to ask with, it is told.
func TestLostStateFile(t *testing.T) {
	for _, reader := range []string{"reader", ""} {
		synctest.Test(t, func(t *testing.T) {
			w := newRealm(t)
			w.last = 30 * time.Minute
			cfg := w.runners(1)
			if reader != "" {
				cfg.Runners[0].Watch = &Watch{Token: secret.New(reader), Timeout: 5 * time.Minute, Step: 10 * time.Second}
			}
			s := w.start(cfg, nil)
			w.add(tokenOf(0), 1, nil)
			for s.phase(1) != Running {
				time.Sleep(time.Second)
			}
			s.stop()
			if err := os.Remove(cfg.StateFile); err != nil {
				t.Fatal(err)
			}
			s = w.start(cfg, nil)
			time.Sleep(20 * time.Minute)
			if w.alive() != 1 {
				t.Error("the host of a running job is gone")
			}
			if reader != "" {
				w.settle(s, time.Hour)
				w.check("success")
				return
			}
			time.Sleep(time.Hour)
			if log := s.log.String(); w.alive() != 1 || !strings.Contains(log, "hpd-job-runner00-1") || !strings.Contains(log, "paas_job_trace_watch") {
				t.Errorf("%d hosts: %s", w.alive(), log)
			}
		})
	}
}

// A host whose creation was never answered, and which the provider lists late,
// is found at last.
func TestLateHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.lag = 10 * time.Minute
		w.spoil("create", "lost", 1)
		s := w.start(w.runners(1), nil)
		w.add(tokenOf(0), 1, nil)
		for !w.is(1, "success") {
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if n := w.met("create"); n != 2 {
			t.Fatalf("%d hosts ever", n)
		}
		if w.alive() == 0 {
			t.Fatal("nothing is late")
		}
		// No token reports whether the job runs; but it is known to be over.
		s.stop()
		cfg := *s.cfg.Load()
		cfg.Runners[0].Watch = &Watch{Token: secret.New("reader"), Timeout: 5 * time.Minute, Step: 10 * time.Second}
		s = w.start(cfg, nil)
		w.settle(s, time.Hour)
		w.check("success")
	})
}

// The disk is full: nothing is begun, running jobs are not disturbed, and all
// goes on when there is room.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.last = 10 * time.Minute
		var full atomic.Bool
		s := w.start(w.runners(1), func(m *Manager) {
			write := m.Journal.write
			m.Journal.write = func(data []byte) error {
				if full.Load() {
					return &os.PathError{Op: "write", Path: m.Journal.path, Err: syscall.ENOSPC}
				}
				return write(data)
			}
		})
		w.add(tokenOf(0), 1, nil)
		for s.phase(1) != Running {
			time.Sleep(time.Second)
		}
		full.Store(true)
		for id := int64(2); id < 10; id++ {
			w.add(tokenOf(0), id, nil)
		}
		time.Sleep(5 * time.Minute)
		w.mu.Lock()
		// The one that was asked for when nobody knew is held; no other one is taken.
		if n := w.calls["create"]; n != 1 || len(w.queues[tokenOf(0)]) < 7 {
			t.Errorf("%d hosts were asked for, %d jobs wait", n, len(w.queues[tokenOf(0)]))
		}
		w.mu.Unlock()
		if log := s.log.String(); strings.Count(log, "the state file cannot be written") != 1 || !strings.Contains(log, "no space left") || !strings.Contains(log, "make room") {
			t.Error(log)
		}
		full.Store(false)
		w.settle(s, 2*time.Hour)
		w.check("success")
	})
}

// Hosts stay where the configuration says so, and nothing sweeps them.
func TestHostsThatAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config, *realm)
		status string
	}{
		"finished": {func(cfg *Config, _ *realm) { cfg.KeepFinished = true }, "success"},
		"failed": {func(cfg *Config, w *realm) {
			cfg.RemoveFailedLaunch = false
			w.spoil("push", "400", 1)
		}, "failed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newRealm(t)
			cfg := w.runners(1)
			cfg.Runners[0].Watch = &Watch{Token: secret.New("reader"), Timeout: 5 * time.Minute, Step: 10 * time.Second}
			c.change(&cfg, w)
			s := w.start(cfg, nil)
			w.add(tokenOf(0), 1, nil)
			time.Sleep(time.Hour)
			if w.alive() != 1 || !w.is(1, c.status) || len(s.Journal.Records()) != 0 {
				t.Errorf("%s: %d hosts, records %v", name, w.alive(), s.Journal.Records())
			}
			// Once that is over, they are not kept for ever.
			cfg.KeepFinished, cfg.RemoveFailedLaunch = false, true
			s.reload <- cfg
			w.settle(s, time.Hour)
			w.check(c.status)
		})
	}
}

// A host that cannot start is seen by its deployment at once, one that is never
// heard of after the time limit.
func TestHostDoesNotStart(t *testing.T) {
	for _, c := range []struct {
		state  Deployment
		within time.Duration
		text   string
	}{{Failed, time.Minute, "its deployment failed"}, {UnderWay, 6 * time.Minute, "not heard of within 5m0s"}} {
		synctest.Test(t, func(t *testing.T) {
			w := newRealm(t)
			w.state = c.state
			cfg := w.runners(1)
			cfg.Runners[0].Watch = &Watch{Token: secret.New("reader"), Timeout: 5 * time.Minute, Step: 10 * time.Second}
			s := w.start(cfg, nil)
			j := w.add(tokenOf(0), 1, nil)
			at := time.Now()
			w.settle(s, time.Hour)
			w.check("failed")
			if took := time.Since(at); took > c.within || !strings.Contains(j.trace, c.text) {
				t.Errorf("%s: after %v, trace %q", c.state, took, j.trace)
			}
		})
	}
}

// A reload brings new runners and lets others go, whose jobs are still cared for.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		cfg := w.runners(2)
		s := w.start(cfg, nil)
		w.add(tokenOf(0), 1, nil)
		for s.phase(1) != Running {
			time.Sleep(time.Second)
		}
		next := cfg
		next.Runners = w.runners(3).Runners[1:]
		s.reload <- next
		time.Sleep(5 * time.Second) // a poll that was under way ends
		w.add(tokenOf(0), 2, nil)
		w.add(tokenOf(1), 3, nil)
		w.add(tokenOf(2), 4, nil)
		time.Sleep(20 * time.Minute)
		w.mu.Lock()
		for id, want := range map[int64]string{1: "success", 2: "queued", 3: "success", 4: "success"} {
			if got := w.jobs[id].status; got != want {
				t.Errorf("job %d is %s, want %s", id, got, want)
			}
		}
		w.mu.Unlock()
		if w.alive() != 0 {
			t.Errorf("%d hosts", w.alive())
		}
	})
}

// Jobs of a runner that is not in the configuration are kept in the state file
// and told, and cared for when it comes back.
func TestRunnerOfTheStateFileIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		cfg := w.runners(2)
		s := w.start(cfg, nil)
		w.add(tokenOf(0), 1, nil)
		for s.phase(1) != Running {
			time.Sleep(time.Second)
		}
		s.stop()
		less := cfg
		less.Runners = cfg.Runners[1:]
		s = w.start(less, nil)
		time.Sleep(20 * time.Minute)
		if log := s.log.String(); len(s.Journal.Records()) != 1 || !strings.Contains(log, "runner00") || !strings.Contains(log, "http://forge.test") {
			t.Errorf("%v: %s", s.Journal.Records(), log)
		}
		s.reload <- cfg
		w.settle(s, time.Hour)
		w.check("success")
	})
}

// 500 jobs of 50 runners, faults now and then: each once, never more at a time
// than allowed, in about the time that the limit asks for.
func TestManyJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		cfg := w.runners(50)
		cfg.MaxProvisioning = 20
		most := 0
		s := w.start(cfg, func(m *Manager) {
			// Each transition has a moment of its own here, and would be a write of its own.
			m.Journal.write = func([]byte) error { return nil }
		})
		for id := int64(1); id <= 500; id++ {
			w.add(tokenOf(int(id%50)), id, func(j *realJob) { j.twoPhase = id%2 == 0 })
		}
		for _, call := range []string{"create", "push", "delete", "accept", "look"} {
			for range 20 {
				w.spoil(call, "500", 1)
				w.spoil(call, "", 7)
				w.spoil(call, "lost", 1)
				w.spoil(call, "", 11)
			}
		}
		for range 30 * 60 {
			most = max(most, w.alive())
			time.Sleep(time.Second)
		}
		at := time.Now()
		w.settle(s, 2*time.Hour)
		w.check("success")
		if most > 52 || most < 40 { // a lost answer can make a second host for a moment
			t.Errorf("%d hosts at once", most)
		}
		t.Logf("%d hosts at most, settled %v later", most, time.Since(at))
	})
}

// The forge has heard of nobody and gives the job again, with another token:
// the second host is made when nothing is left of the first.
func TestJobIsGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.spoil("create", "lost", 1)
		w.spoil("delete", "500", 5)
		s := w.start(w.runners(1), nil)
		j := w.add(tokenOf(0), 1, nil)
		for s.phase(1) != Creating {
			time.Sleep(time.Second)
		}
		w.mu.Lock()
		j.token, j.status = "another-token", "queued"
		w.queues[tokenOf(0)] = append(w.queues[tokenOf(0)], 1)
		w.mu.Unlock()
		w.settle(s, time.Hour)
		w.check("success")
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, h := range w.ledger {
			if h.pushes > 0 && i == 0 {
				t.Error("the first host got the job")
			}
		}
	})
}

// After so many requests for a job the manager ends by itself.
func TestCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		s := w.start(w.runners(1), func(m *Manager) { m.Cycles = 3 })
		time.Sleep(time.Hour)
		if n := w.met("request"); n != 3 {
			t.Errorf("%d requests", n)
		}
		s.stop()
	})
}

// The token that reads traces is refused, or the forge cannot show traces for
// longer than one waits for a host: jobs that run are not failed for it, and
// people are told.
func TestBlindWatchFailsNoJob(t *testing.T) {
	for _, f := range []mishap{"400", "500"} {
		for _, state := range []Deployment{Deployed, UnderWay} {
			synctest.Test(t, func(t *testing.T) {
				w := newRealm(t)
				w.last, w.boot = 30*time.Minute, time.Second
				w.spoil("watch", f, 10_000)
				cfg := w.runners(1)
				cfg.Runners[0].Watch = &Watch{Token: secret.New("reader"), Timeout: 5 * time.Minute, Step: 10 * time.Second}
				s := w.start(cfg, nil)
				w.add(tokenOf(0), 1, nil)
				time.Sleep(time.Minute)
				w.mu.Lock()
				w.state = state // it had started; what the provider says of it does not decide
				w.mu.Unlock()
				w.settle(s, 2*time.Hour)
				w.check("success")
				if log := s.log.String(); strings.Count(log, "the trace cannot be read") != 1 || !strings.Contains(log, "needs read_api") {
					t.Error(log)
				}
			})
		}
	}
}

// The state file is lost and the token that reads sees other projects only: the
// list of the runner's jobs lacks the one that runs, and its host stays. That is
// told once.
func TestLostStateFileAndAJobThatIsNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.last = 30 * time.Minute
		cfg := w.runners(1)
		s := w.start(cfg, nil)
		w.add(tokenOf(0), 1, func(j *realJob) { j.hidden = true })
		for s.phase(1) != Running {
			time.Sleep(time.Second)
		}
		s.stop()
		if err := os.Remove(cfg.StateFile); err != nil {
			t.Fatal(err)
		}
		cfg.Runners[0].Watch = &Watch{Token: secret.New("reader"), Timeout: 5 * time.Minute, Step: 10 * time.Second}
		s = w.start(cfg, nil)
		time.Sleep(20 * time.Minute)
		if w.alive() != 1 {
			t.Error("the host of a running job is gone")
		}
		time.Sleep(time.Hour)
		if log := s.log.String(); w.alive() != 1 || !w.is(1, "success") || strings.Count(log, "hosts belong to nobody") != 1 || !strings.Contains(log, "hpd-job-runner00-1") {
			t.Errorf("%d hosts: %s", w.alive(), log)
		}
		s.stop()
	})
}

// With several tenants the lost state file also named the organisations: they
// are known again from the forge, and no host is left in them.
func TestLostStateFileOfTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.last, w.flat = 10*time.Minute, Flavors{{"M", 8192, 4}}
		cfg := w.runners(1)
		cfg.Runners[0].Executor, cfg.Runners[0].Clever = CleverDocker, &Clever{Tenants: true, Flavor: "M", OrgaAttribute: "cc_orga_id", AttributeToken: secret.New("admin")}
		s := w.start(cfg, nil)
		for id, tenant := range map[int64]string{1: "one", 2: "two"} {
			w.add(tokenOf(0), id, func(j *realJob) { j.tenant = tenant })
		}
		for s.phase(1) != Running || s.phase(2) != Running {
			time.Sleep(time.Second)
		}
		s.stop()
		if err := os.Remove(cfg.StateFile); err != nil {
			t.Fatal(err)
		}
		s = w.start(cfg, nil)
		w.settle(s, 2*time.Hour)
		w.check("success")
	})
}
