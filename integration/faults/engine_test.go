package faults

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// blow is what befalls an Engine: a fall, and how it comes back.
type blow struct {
	name       string
	fall, rise func(context.Context, *site) error
	survived   bool // the program gets through
	turn       int  // 0 or 1: which kinds of calls it falls after
}

// pause is how long the Engine is frozen.
const pause = 20 * time.Second

var blows = []blow{
	{name: "restarted", turn: 1, rise: start, fall: func(ctx context.Context, s *site) error {
		s.gate.fall()
		return s.g.box.Stop(ctx)
	}},
	{name: "killed", rise: start, fall: func(ctx context.Context, s *site) error {
		s.gate.fall()
		ended, failed := outer.Docker.ContainerWait(ctx, s.g.box.ID, container.WaitConditionNotRunning)
		if err := outer.Docker.ContainerKill(ctx, s.g.box.ID, "SIGKILL"); err != nil {
			return err
		}
		select {
		case err := <-failed:
			return err
		case <-ended:
			return nil
		}
	}},
	{name: "paused", survived: true, fall: func(ctx context.Context, s *site) error {
		return outer.Docker.ContainerPause(ctx, s.g.box.ID)
	}, rise: func(ctx context.Context, s *site) error {
		time.Sleep(pause)
		return outer.Docker.ContainerUnpause(ctx, s.g.box.ID)
	}},
}

// start brings an Engine back that has ended.
func start(ctx context.Context, s *site) error {
	if err := s.g.box.Start(ctx); err != nil {
		return err
	}
	return s.gate.rise()
}

// struck runs the program and lets the blow fall after n calls that count,
// before the program hears the last answer; the Engine comes back meanwhile. It
// returns when both are over.
func (s *site) struck(t testing.TB, b blow, n int, count func(string) bool, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), hangs)
	defer cancel()
	over := make(chan error, 1)
	s.gate.struck(n, count, func() {
		if err := b.fall(ctx, s); err != nil {
			over <- err
			return
		}
		go func() { over <- b.rise(ctx, s) }()
	})
	var out bytes.Buffer
	began := time.Now()
	cmd := s.command(ctx, &out, args...)
	_ = cmd.Run()
	o := outcome{code: cmd.ProcessState.ExitCode(), text: out.String(), took: time.Since(began)}
	if len(s.gate.cut()) < n {
		// How many there are depends on how long each takes: a lock may need
		// its container or not.
		t.Logf("it ended before call %d", n)
		return o
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	return o
}

var (
	version = regexp.MustCompile(`^(\w+) /v[0-9.]+`)
	object  = regexp.MustCompile(`/(containers|networks|exec|volumes)/[^/]{12,}`)
)

// kind is a call without what it is about.
func kind(call string) string {
	return object.ReplaceAllString(version.ReplaceAllString(call, "$1 "), "/$1/*")
}

// points are the calls after which a blow falls: with HEPTA_FULL=1 all that
// change something, else the first of each kind. The blows that end an Engine
// take turns at the kinds, one that takes long falls twice.
func (b blow) points(calls []string) []int {
	var kinds []string
	var list []int
	for i, call := range calls {
		if k := kind(call); full() || !slices.Contains(kinds, k) {
			kinds, list = append(kinds, k), append(list, i+1)
		}
	}
	switch {
	case full():
		return list
	case b.survived:
		return []int{list[0], list[len(list)/2]}
	}
	// In which order the calls come differs from run to run.
	inOrder := slices.Sorted(slices.Values(kinds))
	var mine []int
	for i, k := range kinds {
		if slices.Index(inOrder, k)%2 == b.turn {
			mine = append(mine, list[i])
		}
	}
	return mine
}

// clear checks what a run said that did not get through: once, what happened
// and what to do.
func (o outcome) clear(t *testing.T, what string) {
	t.Helper()
	if o.code == 0 {
		return
	}
	if o.code != 1 || strings.Count(o.text, "error: ") != 1 || !strings.Contains(o.text, "the Docker Engine w") ||
		!strings.Contains(o.text, "→ ") || !strings.Contains(o.text, "again") {
		t.Errorf("%s: exit code %d\n%s", what, o.code, o.text)
	}
}

// afterBlow runs the program, which has to succeed. An Engine that was killed
// while it started a container may count its ports as given away until it is
// restarted: then the program says just that, and succeeds after it.
func (s *site) afterBlow(t *testing.T, what string, args ...string) outcome {
	t.Helper()
	o := s.run(t, args...)
	if o.code != 0 && strings.Contains(o.text, "but none has it") && strings.Contains(o.text, "restart it (systemctl restart docker)") {
		t.Logf("%s: the Engine has to be restarted: %s", what, lastLines(o.text))
		for _, do := range []func(context.Context, *site) error{blows[0].fall, blows[0].rise} {
			if err := do(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		o = s.run(t, args...)
	}
	if o.code != 0 {
		t.Fatalf("%s: then hepta %s: exit code %d\n%s", what, strings.Join(args, " "), o.code, o.text)
	}
	return o
}

// TestEngineStruck restarts, kills and pauses the Engine in the middle of up
// and of down. What is interrupted says so; one more run ends as an
// undisturbed one.
func TestEngineStruck(t *testing.T) {
	t.Parallel()
	for _, b := range blows {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			g := newHost(t)
			model := newSite(t, g, true)
			model.write(t, settings{})
			model.gate.open(0, changing, nil)
			ups := model.traced(t, "up")
			seen := model.look(t)
			model.consistent(t, "undisturbed", seen)
			want := model.common(seen)
			downs := model.traced(t, "down")
			gone := model.common(model.look(t))

			for _, n := range b.points(ups) {
				what := fmt.Sprintf("%s in up after call %d (%s)", b.name, n, kind(ups[n-1]))
				s := newSite(t, g, true)
				s.write(t, settings{})
				o := s.struck(t, b, n, changing, "up")
				o.clear(t, what)
				t.Logf("%s: exit code %d after %s: %s", what, o.code, o.took.Round(100*time.Millisecond), lastLines(o.text))
				if b.survived && o.code != 0 {
					t.Errorf("%s: it did not get through", what)
				}
				again := s.afterBlow(t, what, "up")
				after := s.look(t)
				same(t, what, s.common(after), want)
				s.consistent(t, what, after)
				s.quiet(t, what)
				if t.Failed() {
					t.Fatalf("%s: first\n%s\nthen\n%s", what, o.text, again.text)
				}
				s.remove(t)
			}
			for _, n := range b.points(downs) {
				what := fmt.Sprintf("%s in down after call %d (%s)", b.name, n, kind(downs[n-1]))
				s := newSite(t, g, true)
				s.write(t, settings{})
				s.must(t, "up")
				o := s.struck(t, b, n, changing, "down")
				o.clear(t, what)
				t.Logf("%s: exit code %d after %s: %s", what, o.code, o.took.Round(100*time.Millisecond), lastLines(o.text))
				s.afterBlow(t, what, "down")
				if d := s.common(s.look(t)); len(d.Containers)+len(d.Networks) != len(gone.Containers)+len(gone.Networks) {
					t.Fatalf("%s: there is %v\n%s", what, d, o.text)
				}
			}
		})
	}
}

// traced runs the program, which has to succeed, and gives its calls that
// change something.
func (s *site) traced(t testing.TB, args ...string) []string {
	t.Helper()
	s.must(t, args...)
	var calls []string
	for _, c := range s.gate.cut() {
		if changing(c) {
			calls = append(calls, c)
		}
	}
	return calls
}

// lastLines is the end of what was said.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-2):], " | ")
}
