package faults

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// full reports whether the walks are to leave no call out.
func full() bool { return os.Getenv("HEPTA_FULL") == "1" }

// counting is which calls the program is killed after. With HEPTA_FULL=1 that
// is every one; else the first two of each kind that may change something: a
// call that reads leaves the Engine as the one before did, and of those that
// change it alike the first one is often the lock's.
func counting() func(string) bool {
	if full() {
		return everyCall
	}
	seen := map[string]int{}
	return func(call string) bool {
		if !changing(call) {
			return false
		}
		seen[kind(call)]++
		return seen[kind(call)] <= 2
	}
}

// TestKilled kills the program after each of its calls in turn, and looks
// whether one more run ends as an undisturbed one does. Other settings take the
// steps that another image takes: they are for HEPTA_FULL=1.
func TestKilled(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	other := "gitlab_rails['time_zone'] = 'Europe/Rome'"
	for _, c := range []struct {
		name    string
		workers int
		full    bool // with HEPTA_FULL=1 alone
		do      func(*testing.T, *walk)
	}{
		{"first up", 4, false, firstUp},
		{"new image", 3, false, change(settings{}, settings{release: 1})},
		{"new spec", 2, true, change(settings{}, settings{env: "NOTE: other", label: "other"})},
		{"new file", 1, false, change(settings{}, settings{ruby: other})},
		{"undone", 2, false, undone},
		{"down", 2, false, down},
	} {
		if c.full && !full() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &walk{g: g, workers: c.workers}
			start := time.Now()
			c.do(t, w)
			t.Logf("killed after each of %d calls, in %s", w.points.Load(), time.Since(start).Round(time.Second))
			if w.points.Load() == 0 {
				t.Error("the program was never killed")
			}
		})
	}
}

// walk hands out the calls to kill after.
type walk struct {
	g       *host
	workers int
	next    atomic.Int64
	points  atomic.Int64
	over    atomic.Bool // a run has ended before its call came
}

// each runs one worker per site; every step kills after call n and says
// whether the program was still there then.
func (w *walk) each(t *testing.T, worker func(t *testing.T) (step func(n int) bool)) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range w.workers {
		all.Go(func() {
			t.Run(fmt.Sprint("worker", i), func(t *testing.T) {
				step := worker(t)
				for !w.over.Load() && !t.Failed() {
					if n := int(w.next.Add(1)); step(n) {
						w.points.Add(1)
					} else {
						w.over.Store(true)
					}
				}
			})
		})
	}
}

// firstUp brings a new site up for every call.
func firstUp(t *testing.T, w *walk) {
	model := newSite(t, w.g, true)
	model.write(t, settings{})
	o := model.must(t, "up")
	t.Logf("undisturbed: %d calls in %s", len(model.gate.cut()), o.took.Round(time.Millisecond))
	seen := model.look(t)
	model.consistent(t, "undisturbed", seen)
	model.quiet(t, "undisturbed")
	model.remove(t)
	want := model.common(seen)
	w.each(t, func(t *testing.T) func(int) bool {
		return func(n int) bool {
			s := newSite(t, w.g, true)
			defer s.remove(t)
			s.write(t, settings{})
			calls, first, finished := s.killed(t, n, counting(), "up")
			if finished && first.code != 0 {
				t.Errorf("up %d: %s", n, first.text)
			}
			what := at(n, calls)
			before := s.look(t)
			o := s.must(t, "up")
			after := s.look(t)
			same(t, what, s.common(after), want)
			kept(t, what, before, after)
			s.consistent(t, what, after)
			s.quiet(t, what)
			if t.Failed() {
				t.Logf("%s: the second up said:\n%s", what, o.text)
			}
			return !finished
		}
	})
}

// kept checks that what was made up and written stays.
func kept(t *testing.T, what string, before, after state) {
	t.Helper()
	for path, f := range before.Files {
		switch path {
		case "heptapod/data/forge.json", "runner/config.toml": // the program's own
			continue
		}
		if isGenerated(path) && f.Content != "" && after.Files[path].Content != f.Content {
			t.Errorf("%s: %s was created again", what, path)
		}
	}
}

// change goes back and forth between two descriptions of one site.
func change(a, b settings) func(*testing.T, *walk) {
	return func(t *testing.T, w *walk) {
		w.each(t, func(t *testing.T) func(int) bool {
			s := newSite(t, w.g, true)
			both := []settings{a, b}
			want := make([]state, 2)
			for i := range both {
				s.write(t, both[i])
				s.must(t, "up")
				want[i] = s.look(t)
				s.consistent(t, "undisturbed", want[i])
			}
			t.Logf("undisturbed: %d calls", len(s.gate.cut()))
			turn := 0
			return func(n int) bool {
				s.write(t, both[turn%2])
				calls, first, finished := s.killed(t, n, counting(), "up")
				if finished && first.code != 0 {
					t.Errorf("up %d: %s", n, first.text)
				}
				what := at(n, calls)
				o := s.must(t, "up")
				after := s.look(t)
				same(t, what, after, want[turn%2])
				s.consistent(t, what, after)
				s.quiet(t, what)
				if t.Failed() {
					t.Logf("%s: the second up said:\n%s", what, o.text)
				}
				turn++
				return !finished
			}
		})
	}
}

// undone replaces the forge by one whose settings end it at its start, as they
// would the old one, and kills from the call on that stops the old one: while the
// new one is tried, and while that is undone. Whenever it is, the old container
// serves in the end, with the settings that it had.
func undone(t *testing.T, w *walk) {
	w.each(t, func(t *testing.T) func(int) bool {
		s := newSite(t, w.g, true)
		good, bad := settings{boot: 1}, settings{boot: 1, env: "NOTE: other", ruby: "double_refuses"}
		s.write(t, good)
		s.must(t, "up")
		want := s.look(t)
		old, _ := s.running(t, "heptapod")
		refused := func(what string, o outcome) {
			t.Helper()
			if id, serves := s.running(t, "heptapod"); o.code != 1 || id != old || !serves {
				t.Errorf("%s: exit code %d, container %s, running: %v, was %s\n%s", what, o.code, id, serves, old, o.text)
			}
		}
		return func(n int) bool {
			s.write(t, bad)
			calls, first, finished := s.killed(t, n, since("/stop", counting()), "up")
			what := at(n, calls)
			if finished {
				refused("undisturbed", first)
			}
			refused(what, s.run(t, "up"))
			s.write(t, good)
			same(t, what, s.look(t), want)
			// It is healthy again in a moment.
			eventually(t, what+": nothing is left to do", func() bool { return s.run(t, "plan").code == 0 })
			return !finished
		}
	})
}

// since counts from the first call on whose path ends so.
func since(end string, count func(string) bool) func(string) bool {
	begun := false
	return func(call string) bool {
		begun = begun || strings.HasSuffix(call, end)
		return begun && count(call)
	}
}

// down takes a site down, and up again for the next call.
func down(t *testing.T, w *walk) {
	w.each(t, func(t *testing.T) func(int) bool {
		s := newSite(t, w.g, true)
		s.write(t, settings{})
		s.must(t, "up")
		up := s.look(t)
		s.must(t, "down")
		gone := s.look(t)
		if len(gone.Containers)+len(gone.Networks) > 0 {
			t.Errorf("after down there is %v", gone)
		}
		return func(n int) bool {
			s.must(t, "up")
			same(t, "up after down", s.look(t), up)
			calls, first, finished := s.killed(t, n, counting(), "down")
			if finished && first.code != 0 {
				t.Errorf("down %d: %s", n, first.text)
			}
			what := at(n, calls)
			s.must(t, "down")
			same(t, what, s.look(t), gone)
			return !finished
		}
	})
}

// at says after which call the program was killed.
func at(n int, calls []string) string {
	if len(calls) == 0 {
		return fmt.Sprintf("killed after call %d", n)
	}
	return fmt.Sprintf("killed after call %d (%s)", n, calls[len(calls)-1])
}
