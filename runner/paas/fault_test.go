package paas

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever goes wrong with any call, three times in a row, the job runs once
// and leaves nothing. What is refused for good ends it, once, with the reason
// in its trace.
func TestEveryCallGoesWrong(t *testing.T) {
	calls := []string{"request", "accept", "look", "flavors", "create", "prepare", "push", "delete", "list", "deployment"}
	for _, call := range calls {
		for _, f := range []mishap{"500", "hang", "lost", "400"} {
			for _, twoPhase := range []bool{false, true} {
				name := call + " " + string(f)
				if twoPhase {
					name += " two phases"
				}
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newRealm(t)
						if call == "request" && f == "lost" && !twoPhase {
							return // such a job is the forge's to end: nobody has it
						}
						w.spoil(call, f, 3)
						s := w.start(w.runners(1), nil)
						w.add(tokenOf(0), 1, func(j *realJob) { j.twoPhase = twoPhase })
						if call == "request" && f == "lost" {
							w.add(tokenOf(0), 2, nil)
							w.add(tokenOf(0), 3, nil)
							w.add(tokenOf(0), 4, nil)
							time.Sleep(20 * time.Minute)
							w.mu.Lock()
							if w.jobs[4].status != "success" {
								t.Errorf("job 4 is %s", w.jobs[4].status)
							}
							w.mu.Unlock()
							return
						}
						w.settle(s, time.Hour)
						refused := f == "400" && (call == "create" || call == "prepare" || call == "push")
						if !refused {
							w.check("success")
							return
						}
						w.check("failed")
						if trace := w.jobs[1].trace; strings.Count(trace, "the provider says no") != 1 {
							t.Errorf("trace %q", trace)
						}
					})
				})
			}
		}
	}
}

// A failure that cannot be reported at once is reported later, once.
func TestReportGoesWrong(t *testing.T) {
	for _, call := range []string{"fail", "accept", "trace"} {
		for _, f := range []mishap{"500", "hang", "lost", "400"} {
			for _, twoPhase := range []bool{false, true} {
				if call == "trace" && f == "lost" {
					continue // this forge keeps no offsets; TestForgeTraceOnce has one that does
				}
				synctest.Test(t, func(t *testing.T) {
					w := newRealm(t)
					w.spoil("create", "400", 1)
					w.spoil(call, f, 3)
					s := w.start(w.runners(1), nil)
					w.add(tokenOf(0), 1, func(j *realJob) { j.twoPhase = twoPhase })
					w.settle(s, time.Hour)
					w.check("failed")
					if trace := w.jobs[1].trace; !strings.Contains(trace, "the provider says no") {
						t.Errorf("%s %s: trace %q", call, f, trace)
					}
				})
			}
		}
	}
}

// Everything hangs, for ever: the end comes within seconds all the same, and
// the next start goes on.
func TestStopIsQuick(t *testing.T) {
	for _, call := range []string{"request", "accept", "look", "flavors", "create", "prepare", "push", "delete", "list", "deployment", "beat"} {
		synctest.Test(t, func(t *testing.T) {
			w := newRealm(t)
			w.spoil(call, "hang", 1)
			w.boot = 5 * time.Minute
			cfg := w.runners(1)
			s := w.start(cfg, nil)
			w.add(tokenOf(0), 1, func(j *realJob) { j.twoPhase = true })
			for {
				time.Sleep(time.Second)
				w.mu.Lock()
				met := w.calls[call] > 0
				w.mu.Unlock()
				if met || call == "beat" && time.Now().Second() > 40 {
					break
				}
			}
			if took := s.stop(); took > 5*time.Second {
				t.Errorf("%s: stopped after %v", call, took)
			}
			s = w.start(cfg, nil)
			w.settle(s, time.Hour)
			w.check("success")
		})
	}
}

// The API refuses to delete for five minutes: the host counts until it is gone,
// and is removed as soon as that can be.
func TestDeleteFailsForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.spoil("delete", "500", 1_000_000)
		s := w.start(w.runners(1), nil)
		w.add(tokenOf(0), 1, nil)
		for !w.is(1, "success") {
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Minute)
		if n := s.statistics().Jobs; n != 1 || w.alive() != 1 {
			t.Errorf("%d jobs count, %d hosts", n, w.alive())
		}
		var b strings.Builder
		if err := s.WriteMetrics(&b); err != nil || !strings.Contains(b.String(), "hepta_paas_removals_failing 1\n") {
			t.Errorf("%v: %s", err, b.String())
		}
		w.mu.Lock()
		tries := w.calls["delete"]
		delete(w.faults, "delete")
		w.mu.Unlock()
		if tries < 5 || tries > 40 {
			t.Errorf("%d attempts in five minutes", tries)
		}
		at := time.Now()
		w.settle(s, time.Hour)
		if took := time.Since(at); took > 2*time.Minute {
			t.Errorf("gone after %v", took)
		}
		w.check("success")
	})
}

// A forge that never wants to hear of a failure keeps no host alive.
func TestReportIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.spoil("prepare", "400", 1)
		w.spoil("fail", "400", 1000)
		s := w.start(w.runners(1), nil)
		w.add(tokenOf(0), 1, nil)
		time.Sleep(10 * time.Minute)
		if w.alive() != 0 || len(s.Journal.Records()) != 0 || !strings.Contains(s.log.String(), "it is left to its timeout") {
			t.Errorf("%d hosts, records %v", w.alive(), s.Journal.Records())
		}
	})
}
