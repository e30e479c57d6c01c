package heptapodcontainer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/testcontainers/testcontainers-go"

	"github.com/heptaup/hepta/runner"
)

func TestOptions(t *testing.T) {
	s, err := settled([]testcontainers.ContainerCustomizer{
		WithRootPassword("first one"), testcontainers.WithEnv(map[string]string{"A": "b"}), WithRootPassword("the last one"),
		WithGitLabRB("a['b'] = 1"), WithGitLabRB("a['b'] = 2\n\n"), WithSSH("one"), WithSSH("two"), WithRegistry(), WithHost("192.0.2.7"),
		WithRunner(""), WithRunner("runner:1", WithTags("x", "y")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.password != "the last one" || s.ruby != "a['b'] = 1\na['b'] = 2\n" || !s.ssh || !slices.Equal(s.keys, []string{"one", "two"}) ||
		!s.registry || s.host != "192.0.2.7" || len(s.runners) != 2 || s.runners[0].image != runner.DefaultImage || s.runners[1].image != "runner:1" {
		t.Errorf("%+v", s)
	}
	for _, o := range []Option{WithRootPassword(""), WithRootPassword("a\nb"), WithHost("hg.test"), WithHost("")} {
		if _, err := settled([]testcontainers.ContainerCustomizer{o}); err == nil {
			t.Error("a bad option is taken")
		}
	}
	one, err := settled(nil)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := settled(nil); err != nil || one.password == two.password || len(one.password) < 16 {
		t.Error("passwords that are made up are short or alike")
	}
}

// What the forge is told fits what is published.
func TestGitLabRB(t *testing.T) {
	s, err := settled([]testcontainers.ContainerCustomizer{WithHost("192.0.2.7"), WithSSH(), WithRegistry(), WithRootPassword("canary-1"), WithGitLabRB("last['line'] = 1")})
	if err != nil {
		t.Fatal(err)
	}
	s.pick = func(int) ([]int, error) { return []int{8001, 8002, 8003}, nil }
	p, err := s.place()
	if err != nil {
		t.Fatal(err)
	}
	rb, err := s.gitlabRB("octobus/heptapod:17.8", p)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"external_url 'http://192.0.2.7:8001'", "registry_external_url 'http://127.0.0.1:8003'", "nginx['listen_port'] = 80",
		"registry_nginx['listen_port'] = 5050", "gitlab_rails['gitlab_shell_ssh_port'] = 8002", "puma['worker_processes'] = 0",
	} {
		if !strings.Contains(rb, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if !strings.HasSuffix(rb, "last['line'] = 1\n") {
		t.Error("the caller's lines do not come last")
	}
	if strings.Contains(rb, "canary") {
		t.Error("the password is in gitlab.rb")
	}
	if d := cmp.Diff(map[string]string{"80/tcp": "8001", "22/tcp": "8002", "5050/tcp": "8003"}, texts(p)); d != "" {
		t.Error(d)
	}
	c := Container{place: p, password: "p/w"}
	for what, got := range map[string][2]string{
		"clone":    {c.CloneURL("root/x"), "http://root:p%2Fw@192.0.2.7:8001/root/x"},
		"ssh":      {c.SSHCloneURL("/root/x"), "ssh://git@192.0.2.7:8002/root/x"},
		"registry": {c.Registry(), "127.0.0.1:8003"},
		"endpoint": {c.RegistryEndpoint(), "192.0.2.7:8003"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %s, want %s", what, got[0], got[1])
		}
	}
	bare := Container{place: place{url: "http://192.0.2.7:8001"}}
	if bare.SSHCloneURL("x") != "" || bare.Registry() != "" || bare.RegistryEndpoint() != "" {
		t.Error("a forge without ssh and registry has addresses of them")
	}
}

func texts(p place) map[string]string {
	m := map[string]string{}
	for inside, port := range p.ports() {
		m[string(inside)] = port
	}
	return m
}

// engineAt is an Engine at an address with a network called bridge.
type engineAt struct {
	client.APIClient
	host   string
	bridge network.IPAMConfig
	err    error
}

func (e engineAt) DaemonHost() string { return e.host }

func (e engineAt) NetworkInspect(context.Context, string, network.InspectOptions) (network.Inspect, error) {
	return network.Inspect{IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: "fd00::/64"}, e.bridge}}}, e.err
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		name           string
		engine         engineAt
		remote, bridge string
	}{
		{"a socket", engineAt{host: "unix:///var/run/docker.sock", bridge: network.IPAMConfig{Subnet: "172.17.0.0/16", Gateway: "172.17.0.1"}}, "", "172.17.0.1"},
		{"a bridge that was there", engineAt{host: "unix:///x", bridge: network.IPAMConfig{Subnet: "10.9.8.0/24"}}, "", "10.9.8.1"},
		{"a gateway with its mask", engineAt{host: "unix:///x", bridge: network.IPAMConfig{Gateway: "10.9.8.7/24"}}, "", "10.9.8.7"},
		{"no network bridge", engineAt{host: "unix:///x", err: errors.New("no such network")}, "", ""},
		{"another machine", engineAt{host: "tcp://192.0.2.7:2375"}, "192.0.2.7", ""},
		{"a tunnel", engineAt{host: "tcp://127.0.0.1:2375", bridge: network.IPAMConfig{Gateway: "172.17.0.1"}}, "", "172.17.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := engineAddress(t.Context(), tt.engine); got != tt.remote {
				t.Errorf("engine at %q, want %q", got, tt.remote)
			}
			if got := bridgeAddress(t.Context(), tt.engine); got != tt.bridge {
				t.Errorf("bridge at %q, want %q", got, tt.bridge)
			}
		})
	}
	// An address of this machine answers, if only by a refusal.
	got, err := hostAddress(t.Context(), engineAt{host: "unix:///x", bridge: network.IPAMConfig{Gateway: "127.0.0.1"}})
	if err != nil || got != "127.0.0.1" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestShortTokens(t *testing.T) {
	for token, want := range map[string][]string{
		"glrt-abcdefghijkl":    {"abcdefghi", "abcdefgh", "glrt-abc"},
		"glrt-t1_abcdefghijkl": {"abcdefghi", "abcdefgh"}, // glrt-t1_ would be everybody's
		"abcdefghijkl":         {"abcdefghi", "abcdefgh"},
		"short":                {},
	} {
		if got := shortTokens(token); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
}
