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
	g := onGround(t)
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

			// The first of all: what is there stays for a look at it, and mends.
			first := newSite(t, g, false)
			first.write(t, bad)
			check("first up", first.run(t, append([]string{"up"}, c.args...)...))
			first.write(t, settings{boot: 1})
			first.must(t, "up")
			first.consistent(t, "mended", first.look(t))
			first.quiet(t, "mended")

			before := first.look(t)
			id, _ := first.running(t, "heptapod")
			first.write(t, bad)
			check("replacement", first.run(t, append([]string{"up"}, c.args...)...))
			if after, ok := first.running(t, "heptapod"); !ok || after != id {
				t.Errorf("the old container does not serve on: %s %v, was %s", after, ok, id)
			}
			same(t, "after the failure", first.look(t), before)
			first.write(t, settings{boot: 1})
			eventually(t, "nothing is left to do", func() bool { return first.run(t, "plan").code == 0 })
		})
	}
}

// Time limits are told in time.
func TestTimeout(t *testing.T) {
	t.Parallel()
	g := onGround(t)
	s := newSite(t, g, false)
	s.write(t, settings{env: "DOUBLE: sick"})
	o := s.run(t, "up", "--timeout", "8s")
	if o.code != 1 || o.took > time.Minute || !regexp.MustCompile(`--timeout; run the same command again`).MatchString(o.text) {
		t.Errorf("exit code %d after %s\n%s", o.code, o.took, o.text)
	}
}
