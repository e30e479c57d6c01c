package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
	"github.com/heptaup/hepta/runner"
)

// A host with several addresses publishes on one of them alone: every port is
// there, nothing is at another address, and jobs find the forge all the same.
func TestOneAddressForEveryPort(t *testing.T) {
	s := onSite(t)
	stack := s.stack(t, waysYAML, func(c *hepta.Config) {
		at := func(port int) hepta.Port { return hepta.Port(fmt.Sprintf("%s:%d", s.box.IP, port)) }
		c.Traefik.HTTPPort, c.Traefik.HTTPSPort = at(8080), at(8443)
		c.Heptapod.SSH = hepta.SSH{Port: at(2222)}
		c.Heptapod.Ports = []hepta.Port{at(9090)}
		c.Registry = &hepta.Registry{Port: at(5050)}
	})
	s.explain(t, stack)
	s.removeAtEnd(t, stack)
	up(t, stack) // which has seen jobs reach forge and registry
	for _, port := range []int{8080, 8443, 2222, 5050} {
		for _, c := range []struct {
			address string
			want    bool
		}{{s.box.IP, true}, {"127.0.0.1", false}} {
			got := strings.TrimSpace(s.onHost(t, fmt.Sprintf("python3 -c 'import socket; socket.create_connection((\"%s\", %d), 5)' 2>/dev/null && echo open || echo closed", c.address, port)))
			if (got == "open") != c.want {
				t.Errorf("port %d at %s is %s", port, c.address, got)
			}
		}
	}
	for _, service := range stack.Services() {
		box, err := s.docker.ContainerInspect(t.Context(), "ways-"+service)
		if err != nil {
			t.Fatal(err)
		}
		for port, bindings := range box.HostConfig.PortBindings {
			if len(bindings) != 1 || bindings[0].HostIP != s.box.IP {
				t.Errorf("port %s of %s is published at %v", port, service, bindings)
			}
		}
	}
	if p := plan(t, stack); !p.Empty() {
		t.Errorf("something is to be done:\n%s", p)
	}
}

// quietYAML is a forge at the usual ports of a host of its own.
const quietYAML = `stack: quiet
data: /srv/quiet
network: quiet
heptapod: {host: hg.quiet.test, image: octobus/heptapod:17.8, ssh: {via: none}}
traefik: {image: traefik:v3.6.12}
tls: {mode: internal}
registry: registry.quiet.test
runner: {image: gitlab/gitlab-runner:latest, check_interval: 1, drain_seconds: 5}
runners:
  - {name: quiet, mode: plain, tags: [socket], image: "docker:26", docker: {pull_policy: if-not-present}}
`

// An Engine without its userland proxy leads to published ports by rules alone,
// and drops what comes from another network of its own: people reach the forge,
// jobs on the stack's network do, and about other jobs the setting is named.
func TestEngineWithoutUserlandProxy(t *testing.T) {
	besideSites(t)
	box, docker := inside(t, sandbox.Config{Args: []string{"--userland-proxy=false"}},
		images.Base, images.Small, images.Traefik, images.HAProxy, images.Runner, images.Helper, images.DockerCLI, images.Heptapod)
	s := &site{box: box, docker: docker}
	apart := s.stack(t, quietYAML)
	s.explain(t, apart)
	_, err := apart.Up(t.Context(), hepta.UpOptions{})
	if text := fault.Describe(err); !errors.Is(err, runner.ErrUnreached) || !strings.Contains(text, `"userland-proxy": false`) || !strings.Contains(text, "docker: {network_mode: quiet}") {
		t.Fatalf("jobs on a network of their own: %s", text)
	}
	for _, address := range []string{"127.0.0.1", box.IP} {
		got := s.onHost(t, fmt.Sprintf("curl -sk -o /dev/null -w '%%{http_code}' --resolve hg.quiet.test:443:%s https://hg.quiet.test/users/sign_in", address))
		if got != "200" {
			t.Errorf("at %s the forge answers %s", address, got)
		}
	}
	if running := s.onHost(t, "cat /proc/[0-9]*/comm"); strings.Contains(running, "docker-proxy") {
		t.Errorf("the Engine has a userland proxy:\n%s", running)
	}

	joined := s.stack(t, quietYAML, func(c *hepta.Config) { c.Runners[0].Docker["network_mode"] = "quiet" })
	up(t, joined) // which has seen jobs reach forge and registry
	if p := plan(t, joined); !p.Empty() {
		t.Errorf("something is to be done:\n%s", p)
	}
}
