package converge

import (
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

// lived is a host on which the test stack runs.
func lived(t *testing.T) (*Stack, *hostModel) {
	t.Helper()
	s, w := testStack(), newHostModel()
	if err := w.up(s); err != nil {
		t.Fatal(err)
	}
	return s, w
}

// A container inherits the labels of its image, also all of hepta's: it is not
// the stack's, does not stand for a service, and is left alone.
func TestLabelsProveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ObservedContainer)
		want   string
	}{
		"labels alone":                {func(*ObservedContainer) {}, ""},
		"labels with a guessed proof": {func(c *ObservedContainer) { c.Labels[LabelProof] = "guess" }, ""},
		"the proof":                   {func(c *ObservedContainer) { c.Labels[LabelProof] = "proof of /srv/hepta" }, "heptapod"},
		"the proof and another stack": {func(c *ObservedContainer) { c.Labels[LabelProof], c.Labels[LabelStack] = "proof of /srv/hepta", "lab" }, ""},
		"the mount of the service": {func(c *ObservedContainer) {
			c.Mounts = []ObservedMount{{Source: "/srv/hepta/forge", Target: "/etc/gitlab"}}
		}, "heptapod"},
		"the service's directory": {func(c *ObservedContainer) {
			c.Mounts = []ObservedMount{{Source: "/srv/hepta/heptapod/logs", Target: "/l"}}
		}, "heptapod"},
		"the directory it moved from": {func(c *ObservedContainer) {
			c.Labels[LabelData], c.Mounts = "/old", []ObservedMount{{Source: "/old/forge", Target: "/etc/gitlab"}}
		}, "heptapod"},
		"a mount that jobs have": {func(c *ObservedContainer) {
			c.Mounts = []ObservedMount{{Source: "/srv/hepta/heptapod/ca.crt", Target: "/ca", ReadOnly: true}}
		}, ""},
		"another service's directory": {func(c *ObservedContainer) { c.Mounts = []ObservedMount{{Source: "/srv/hepta/runner", Target: "/r"}} }, ""},
		"a volume that is named so": {func(c *ObservedContainer) {
			c.Mounts = []ObservedMount{{Source: "/srv/hepta/heptapod", Volume: "v", Target: "/v"}}
		}, ""},
		"a directory beginning the same": {func(c *ObservedContainer) {
			c.Mounts = []ObservedMount{{Source: "/srv/hepta/heptapod-x", Target: "/x"}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := lived(t)
			job := &box{ObservedContainer: ObservedContainer{ID: "job", Name: "runner-1-project-1-concurrent-0-build-2", Image: "evil:1", State: "running",
				Labels: map[string]string{LabelStack: "hepta", LabelService: "heptapod", LabelData: "/srv/hepta", "traefik.enable": "true"}}}
			c.change(&job.ObservedContainer)
			w.containers = append(w.containers, job)
			o := w.observe(s)
			got := o.Containers[len(o.Containers)-1].Service
			if got != c.want {
				t.Errorf("it counts as %q, want %q", got, c.want)
			}
			if p, err := Up(s, o); err != nil || p.Empty() != (c.want == "") {
				t.Errorf("plan: %v\n%s", err, p)
			}
		})
	}
}

// Whoever was published by the stack's label alone is told that it takes the
// proof now; a job that asks for it is told in the same way and published in none.
func TestUnpublishedIsTold(t *testing.T) {
	s, w := lived(t)
	s.Publishes = "traefik.enable"
	w.guest("wiki").Labels[LabelProof] = "proof of /srv/hepta"
	w.guest("old")
	stopped := w.guest("stopped")
	stopped.State = "exited"
	p, err := Up(s, w.observe(s))
	if err != nil || !p.Empty() || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "container old:") {
		t.Errorf("got %v %q\n%s", err, p.Notes, p)
	}
}

// A data directory that is not this stack's is refused, and nothing is planned.
func TestIdentity(t *testing.T) {
	file := func(i Identity) func(*Stack, *hostModel) {
		return func(_ *Stack, w *hostModel) {
			w.disk["/srv/hepta/"+FileIdentity] = ObservedFile{Exists: true, Content: i.Encode()}
		}
	}
	for name, c := range map[string]struct {
		change func(*Stack, *hostModel)
		want   error
		says   string
	}{
		"its own":       {func(*Stack, *hostModel) {}, nil, ""},
		"another stack": {file(Identity{Stack: "production", ID: "x"}), ErrOtherStack, "stack production"},
		"another forge": {file(Identity{Stack: "hepta", Forge: "hg.example.net", ID: "proof of /srv/hepta"}), ErrOtherForge, "hg.example.net"},
		"no forge yet":  {file(Identity{Stack: "hepta", ID: "proof of /srv/hepta"}), nil, ""},
		"disk not mounted": {func(_ *Stack, w *hostModel) {
			clear(w.disk)
		}, ErrNoIdentity, "is the disk mounted?"},
		"another disk mounted": {file(Identity{Stack: "hepta", ID: "other"}), ErrOtherDirectory, "runs on another directory"},
		"a directory that moved": {func(s *Stack, w *hostModel) {
			s.Data = "/data"
		}, nil, ""},
		"damaged": {func(_ *Stack, w *hostModel) {
			w.disk["/srv/hepta/"+FileIdentity] = ObservedFile{Exists: true, Content: []byte("{")}
		}, ErrNoIdentity, "cannot be read"},
		"of an earlier release": {func(_ *Stack, w *hostModel) {
			delete(w.disk, "/srv/hepta/"+FileIdentity)
			for _, b := range w.containers {
				delete(b.Labels, LabelProof)
			}
		}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := lived(t)
			s.Forge = "hg.example.org"
			c.change(s, w)
			_, err := Up(s, w.observe(s))
			if !errors.Is(err, c.want) || err != nil && (!strings.Contains(err.Error(), c.says) || fault.Remedy(err) == "") {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// What is read back is what was written, and what is no identity is none.
func TestParseIdentity(t *testing.T) {
	want := Identity{Stack: "hepta", Forge: "hg.example.org", ID: "x"}
	if got, err := ParseIdentity(want.Encode()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", `{"stack": "a"}`, `{"id": "a"}`, "null", "[]", "\x00"} {
		if _, err := ParseIdentity([]byte(bad)); err == nil {
			t.Errorf("%q is read as an identity", bad)
		}
	}
}
