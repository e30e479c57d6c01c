package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heptaup/hepta"
)

// On whatever way ssh reaches the forge, its port is published by the one
// container that was asked for, is in the clone URLs, and takes pushes of both
// kinds that run their pipelines.
func TestWaysOfSSH(t *testing.T) {
	s := onSite(t)
	for _, c := range []struct {
		ssh       hepta.SSH
		published string // the service whose container has the port
	}{
		{hepta.SSH{Via: "traefik", Port: "2222"}, "traefik"},
		{hepta.SSH{Via: "host", Port: "2223"}, "heptapod"},
	} {
		t.Run(c.ssh.Via, func(t *testing.T) {
			stack := s.lab(t, func(cfg *hepta.Config) { cfg.Heptapod.SSH = c.ssh })
			for _, service := range []string{"traefik", "heptapod"} {
				if got, want := s.publishes(t, service, c.ssh.Port.Number()), service == c.published; got != want {
					t.Errorf("container of %s publishes port %s: %t, want %t", service, c.ssh.Port, got, want)
				}
			}
			for _, kind := range []string{hg, git} {
				p := s.project(t, stack, "ssh-"+c.ssh.Via+"-"+kind, kind)
				if port := fmt.Sprintf("%s:%s/", labForge, c.ssh.Port); !strings.Contains(p.OverSSH, port) {
					t.Errorf("the clone URL %s has no %s", p.OverSSH, port)
				}
				word := "word-by-" + c.ssh.Via + "-" + kind
				files := map[string]string{"word.txt": word + "\n", ".gitlab-ci.yml": lightYAML}
				p.push(t, viaSSH, files)
				if got := p.run(t, pullScript, nil, viaSSH, p.OverSSH, kind); got != files[".gitlab-ci.yml"] {
					t.Errorf("a clone has other content:\n%s", got)
				}
				p.says(t, p.succeed(t, "light")["light"], "the word is "+word)
			}
		})
	}
}

// publishes reports whether the container of a service has a port of the site.
func (s *site) publishes(t *testing.T, service string, port int) bool {
	t.Helper()
	i, err := s.docker.ContainerInspect(t.Context(), labStack+"-"+service)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range i.HostConfig.PortBindings {
		for _, b := range list {
			if b.HostPort == fmt.Sprint(port) {
				return true
			}
		}
	}
	return false
}
