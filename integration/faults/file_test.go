package faults

import (
	"strings"
	"testing"
)

// A data directory that cannot be written to is told, and what is there stays.
func TestFilesFail(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	for _, c := range []struct {
		name, do, undo string
		said           []string
	}{
		{"full", "dd if=/dev/zero of=%s/ballast bs=4k || true", "rm %s/ballast", []string{"write file", "no space left on device"}},
		{"read-only", "mount -o remount,ro %s", "mount -o remount,rw %s", []string{"read-only file system"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, g, false)
			data := s.data()
			at := func(script string) string { return strings.ReplaceAll(script, "%s", data) }
			g.shell(t, at("mkdir -p %s && mount -t tmpfs -o size=256k tmpfs %s"))
			s.write(t, settings{})
			s.must(t, "up")
			before := g.shell(t, at("cd %s && sha256sum heptapod/config/gitlab.rb heptapod/config/hepta/* traefik/dynamic/* runner/*"))
			id, _ := s.running(t, "heptapod")

			g.shell(t, at(c.do))
			s.write(t, settings{ruby: "# " + strings.Repeat("long ", 4000)})
			o := s.run(t, "up")
			if o.code != 1 {
				t.Errorf("exit code %d\n%s", o.code, o.text)
			}
			for _, w := range c.said {
				if !strings.Contains(strings.ToLower(o.text), w) {
					t.Errorf("it does not say %q:\n%s", w, o.text)
				}
			}
			if after := g.shell(t, at("cd %s && sha256sum heptapod/config/gitlab.rb heptapod/config/hepta/* traefik/dynamic/* runner/*")); after != before {
				t.Errorf("the files changed\nbefore:\n%s\nafter:\n%s", before, after)
			}
			if now, ok := s.running(t, "heptapod"); !ok || now != id {
				t.Error("the forge does not run on")
			}

			g.shell(t, at(c.undo))
			s.must(t, "up")
			s.quiet(t, c.name)
			if left := g.shell(t, at("cd %s && find . -name '.hepta-*' -o -name '.*.hepta-pending'")); left != "" {
				t.Errorf("left over: %s", left)
			}
		})
	}
}
