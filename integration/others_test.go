package integration

import (
	"errors"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
)

// What belongs to another stack, to another forge or to somebody else is
// refused before anything is written, and the forge that runs goes on.
func TestOthersAreLeftAlone(t *testing.T) {
	s := onSite(t)
	lab := s.lab(t)
	before, rb, root := s.lives(t, lab), s.stat(t, "/srv/lab/heptapod/config", "gitlab.rb"), s.stat(t, "/srv/lab/ca", "ca.crt")
	unchanged := func(after string) {
		t.Helper()
		if d := cmp.Diff(before, s.lives(t, lab)); d != "" {
			t.Errorf("after %s other containers run:\n%s", after, d)
		}
		if s.stat(t, "/srv/lab/heptapod/config", "gitlab.rb") != rb || s.stat(t, "/srv/lab/ca", "ca.crt") != root {
			t.Errorf("after %s there are other files", after)
		}
	}
	other := func(c *hepta.Config) {
		c.Stack, c.Network, c.Heptapod.Host, c.Registry.Host = "second", "second", "hg.second.test", "registry.second.test"
		c.Traefik.HTTPPort, c.Traefik.HTTPSPort, c.Heptapod.SSH.Port = "8080", "8443", "2222"
	}
	alone := func(c *hepta.Config) {
		c.Forge, c.TLS, c.Traefik, c.Heptapod, c.Registry = hepta.Forge{URL: "https://gitlab.elsewhere.test", Token: hepta.NewSecret("glpat-x")}, hepta.TLS{}, hepta.Traefik{}, hepta.Heptapod{}, nil
	}
	for _, c := range []struct {
		name    string
		change  func(*hepta.Config)
		refused error
		unseen  bool // plan cannot see it
	}{
		{"a second stack in the same directory", other, hepta.ErrOtherStack, false},
		{"a new name for the stack", func(c *hepta.Config) { c.Stack = "renamed" }, hepta.ErrOtherStack, false},
		{"a new name and directory", func(c *hepta.Config) { c.Stack, c.Data = "renamed", "/srv/renamed" }, hepta.ErrRenamed, false},
		{"runners of another forge", alone, hepta.ErrOtherForge, false},
		{"runners of this forge by its address", func(c *hepta.Config) { alone(c); c.Forge.URL = "https://" + labForge }, hepta.ErrOrphans, true},
		{"another directory", func(c *hepta.Config) { c.Data = "/srv/lab-new" }, hepta.ErrNewData, true},
	} {
		stack := s.stack(t, labYAML, c.change)
		if _, err := stack.Plan(t.Context()); (err == nil) != c.unseen || err != nil && !errors.Is(err, c.refused) {
			t.Errorf("%s: plan: %v", c.name, err)
		}
		plan, err := stack.Up(t.Context(), hepta.UpOptions{})
		if !errors.Is(err, c.refused) || fault.Remedy(err) == "" {
			t.Errorf("%s: up: %v\n%s", c.name, err, plan)
		}
		unchanged(c.name)
		if c.refused == hepta.ErrOtherForge || c.refused == hepta.ErrOrphans {
			if _, err := stack.Down(t.Context(), hepta.DownOptions{}); !errors.Is(err, c.refused) {
				t.Errorf("%s: down: %v", c.name, err)
			}
			unchanged(c.name)
		}
	}

	// A stopped container of somebody else on the directory.
	made, err := s.docker.ContainerCreate(t.Context(), &container.Config{Image: "docker:26"}, &container.HostConfig{Mounts: []mount.Mount{
		{Type: mount.TypeBind, Source: "/srv/lab/heptapod/data", Target: "/var/opt/gitlab"}}}, nil, nil, "old-forge")
	if err != nil {
		t.Fatal(err)
	}
	_, planned := lab.Plan(t.Context())
	_, err = lab.Up(t.Context(), hepta.UpOptions{})
	if !errors.Is(planned, hepta.ErrDataInUse) || !errors.Is(err, hepta.ErrDataInUse) {
		t.Errorf("a container of somebody else: plan: %v; up: %v", planned, err)
	}
	if err := s.docker.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if p := plan(t, lab); !p.Empty() {
		t.Errorf("after all of it:\n%s", p)
	}
}
