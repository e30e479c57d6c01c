package faults

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// What is changed by hand on the Engine is put right.
func TestByHand(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	s := newSite(t, g, false)
	s.write(t, settings{})
	s.must(t, "up")
	want := s.look(t)
	web := s.name + "-web"
	for _, c := range []struct {
		name string
		do   func(t *testing.T) error
	}{
		{"container removed", func(t *testing.T) error {
			return g.docker.ContainerRemove(t.Context(), s.name+"-traefik", container.RemoveOptions{Force: true})
		}},
		{"container renamed", func(t *testing.T) error {
			return g.docker.ContainerRename(t.Context(), s.name+"-heptapod", "elsewhere")
		}},
		{"container stopped", func(t *testing.T) error {
			return g.stop(t, s.name+"-runner")
		}},
		{"container taken off the network", func(t *testing.T) error {
			return g.docker.NetworkDisconnect(t.Context(), web, s.name+"-heptapod", true)
		}},
		{"network removed", func(t *testing.T) error {
			for _, service := range []string{"traefik", "heptapod", "runner"} {
				if err := g.docker.NetworkDisconnect(t.Context(), web, s.name+"-"+service, true); err != nil {
					return err
				}
			}
			return g.docker.NetworkRemove(t.Context(), web)
		}},
		{"network removed, containers stopped", func(t *testing.T) error {
			for _, service := range []string{"traefik", "heptapod", "runner"} {
				if err := g.stop(t, s.name+"-"+service); err != nil {
					return err
				}
			}
			return g.docker.NetworkRemove(t.Context(), web)
		}},
		{"everything removed", func(t *testing.T) error {
			s.remove(t)
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.do(t); err != nil {
				t.Fatal(err)
			}
			if o := s.run(t, "plan"); o.code != 2 {
				t.Errorf("plan: exit code %d\n%s", o.code, o.text)
			}
			s.must(t, "up")
			same(t, c.name, s.look(t), want)
			s.quiet(t, c.name)
		})
	}

	t.Run("gitlab.rb edited", func(t *testing.T) {
		file := s.data() + "/heptapod/config/gitlab.rb"
		g.shell(t, "echo \"gitlab_rails['time_zone'] = 'Mars'\" >>"+file)
		o := s.run(t, "plan")
		if o.code != 2 || !strings.Contains(o.text, "gitlab.rb") || !strings.Contains(o.text, "content changed (+0 −1 lines)") {
			t.Errorf("plan: exit code %d\n%s", o.code, o.text)
		}
		s.must(t, "up")
		same(t, "gitlab.rb edited", s.look(t), want)
	})

	// The name of a container of somebody else is refused, and that one is
	// left alone.
	t.Run("foreign container", func(t *testing.T) {
		s := newSite(t, g, false)
		s.write(t, settings{})
		made, err := g.docker.ContainerCreate(t.Context(), &container.Config{Image: traefikImage + "12"}, nil, nil, nil, s.name+"-traefik")
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"plan", "up"} {
			o := s.run(t, verb)
			if o.code != 1 || !strings.Contains(o.text, s.name+"-traefik belongs to a container that is not this stack's") || !strings.Contains(o.text, "→ ") {
				t.Errorf("%s: exit code %d\n%s", verb, o.code, o.text)
			}
		}
		if seen := s.look(t); len(seen.Containers) != 1 || len(seen.Networks) != 0 || seen.Files != nil {
			t.Errorf("something was made: %+v", seen)
		}
		s.must(t, "down")
		if c, err := g.docker.ContainerInspect(t.Context(), made.ID); err != nil || c.State.Status != container.StateCreated {
			t.Errorf("the container is not as it was: %v", err)
		}
	})

	// A network that somebody else made is used, and stays.
	t.Run("foreign network", func(t *testing.T) {
		s := newSite(t, g, false)
		s.write(t, settings{})
		made, err := g.docker.NetworkCreate(t.Context(), s.name+"-web", network.CreateOptions{Driver: "bridge"})
		if err != nil {
			t.Fatal(err)
		}
		o := s.must(t, "up")
		if !strings.Contains(o.text, "was not created by this stack") {
			t.Errorf("up does not say so:\n%s", o.text)
		}
		s.quiet(t, "foreign network")
		n, err := g.docker.NetworkInspect(t.Context(), made.ID, network.InspectOptions{})
		if err != nil || len(n.Containers) != 3 || len(n.Labels) != 0 {
			t.Errorf("network: %+v, %v", n, err)
		}
		s.must(t, "down")
		if _, err := g.docker.NetworkInspect(t.Context(), made.ID, network.InspectOptions{}); err != nil {
			t.Errorf("it went with the stack: %v", err)
		}
	})
}
