package faults

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// A container that fails is told with its phase and its last words; where it
// was to replace another, that one serves on.
func TestContainerFails(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	for _, c := range []struct {
		name, mode string
		args       []string
		said       []string
	}{
		{"ends at its start", "exit", nil, []string{"over and over", "exit code 3", "FATAL: the configuration is refused", "→ "}},
		{"is never healthy", "sick", []string{"--timeout", "20s"}, []string{"until it is healthy", "--timeout"}},
		{"is not healthy in time", "sick", nil, []string{"not ready after 1m", "healthcheck says", "puma is not there", "serving", "→ "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check := func(what string, o outcome) {
				t.Helper()
				if o.code != 1 {
					t.Errorf("%s: exit code %d\n%s", what, o.code, o.text)
				}
				for _, w := range c.said {
					if !strings.Contains(o.text, w) {
						t.Errorf("%s: it does not say %q:\n%s", what, w, o.text)
					}
				}
			}
			bad := settings{env: "DOUBLE: " + c.mode, boot: 1}

			// The first of all: what is there stays for a look at it, and is repaired by the next up.
			first := newSite(t, g, false)
			first.write(t, bad)
			check("first up", first.runUntil(t, c.said[0], append([]string{"up"}, c.args...)...))
			first.write(t, settings{boot: 1})
			first.must(t, "up")
			first.consistent(t, "repaired", first.look(t))
			first.quiet(t, "repaired")

			before := first.look(t)
			id, _ := first.running(t, "heptapod")
			first.write(t, bad)
			check("replacement", first.runUntil(t, c.said[0], append([]string{"up"}, c.args...)...))
			if after, ok := first.running(t, "heptapod"); !ok || after != id {
				t.Errorf("the old container does not serve on: %s %v, was %s", after, ok, id)
			}
			same(t, "after the failure", first.look(t), before)
			first.write(t, settings{boot: 1})
			eventually(t, "nothing is left to do", func() bool { return first.run(t, "plan").code == 0 })
		})
	}
}

// A forge of another image that has begun on the data stays, whatever ends the
// run, and the next one goes on with it; the old one is not started any more.
func TestUpgradeStays(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	s := newSite(t, g, false)
	s.write(t, settings{boot: 1})
	s.must(t, "up")
	s.write(t, settings{boot: 1, release: 1, env: "DOUBLE: late"})
	stays := s.name + "-heptapod_next was not undone"
	o := s.runUntil(t, stays, "up", "--timeout", "20s")
	for _, w := range []string{"--timeout", stays, "→ "} {
		if !strings.Contains(o.text, w) {
			t.Errorf("it does not say %q", w)
		}
	}
	if strings.Contains(o.text, "heptapod: serves again") || o.code != 1 {
		t.Errorf("exit code %d\n%s", o.code, o.text)
	}
	if _, runs := s.running(t, "heptapod"); runs {
		t.Error("the old forge is back")
	}
	next, runs := s.running(t, "heptapod_next")
	if !runs {
		t.Error("the new forge does not run")
	}
	g.shell(t, "touch "+s.data()+"/heptapod/data/go-on")
	s.must(t, "up")
	if id, runs := s.running(t, "heptapod"); !runs || id != next {
		t.Errorf("%s serves, the new one was %s", id, next)
	}
	s.consistent(t, "gone on", s.look(t))
	s.quiet(t, "gone on")
}

// Settings that the forge refuses are told for as long as they are there.
func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	s := newSite(t, g, false)
	s.write(t, settings{boot: 1})
	s.must(t, "up")
	s.write(t, settings{boot: 1, ruby: "double_refuses"})
	if o := s.run(t, "up"); o.code != 1 || !strings.Contains(o.text, "no such setting: double_refuses") {
		t.Errorf("up: exit code %d\n%s", o.code, o.text)
	}
	for range 2 {
		o := s.run(t, "status")
		if o.code != 1 || !strings.Contains(o.text, "gitlab-ctl reconfigure has failed for heptapod/config/gitlab.rb: double: no such setting: double_refuses") {
			t.Errorf("status: exit code %d\n%s", o.code, o.text)
		}
	}
	s.write(t, settings{boot: 1})
	s.must(t, "up")
	if o := s.run(t, "status"); o.code != 0 {
		t.Errorf("status after the repair: exit code %d\n%s", o.code, o.text)
	}
}

// Time limits are told in time.
func TestTimeout(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	s := newSite(t, g, false)
	s.write(t, settings{env: "DOUBLE: sick"})
	o := s.run(t, "up", "--timeout", "8s")
	if o.code != 1 || o.took > 3*time.Minute || !regexp.MustCompile(`--timeout; run the same command again`).MatchString(o.text) {
		t.Errorf("exit code %d after %s\n%s", o.code, o.took, o.text)
	}
}
