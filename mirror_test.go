package hepta

import (
	"context"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	dockerregistry "github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// A mirror is one more service, and what jobs' daemons are told of.
func TestMirrorOfStack(t *testing.T) {
	for text, want := range map[string]struct {
		runs     bool
		told     string
		registry string
	}{
		"forge: hg.test\nregistry: {mirror: true}\n":                                                                                {true, "http://host-gateway:5088", ""},
		"forge: hg.test\nregistry: {host: reg.test, mirror: {port: 5099}}\n":                                                        {true, "http://host-gateway:5099", "reg.test"},
		"forge: hg.test\nregistry: {mirror: {address: 10.0.0.1}}\n":                                                                 {true, "http://10.0.0.1:5088", ""},
		"forge: hg.test\nregistry: {mirror: {url: \"https://mirror.test\"}}\n":                                                      {false, "https://mirror.test", ""},
		"forge: hg.test\nregistry: {host: reg.test, mirror: false}\n":                                                               {false, "", "reg.test"},
		"forge: {url: \"https://hg.test\"}\nrunners: [{name: x}]\nrunner: {registration_token_file: x}\nregistry: {mirror: true}\n": {true, "http://host-gateway:5088", ""},
	} {
		cfg := stackless(t, text)
		cfg.Runner.RegistrationToken = NewSecret("GR-x")
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.container("mirror")
		if runs := err == nil; runs != want.runs || s.cfg.runners().Mirror != want.told || s.RegistryHost() != want.registry {
			t.Errorf("%s: runs %v, jobs are told %q, registry %q", text, runs, s.cfg.runners().Mirror, s.RegistryHost())
		}
	}
	for text, want := range map[string]string{
		"registry: {mirror: {}}\nforge: a.b":                                 "",
		"forge: a.b\nregistry: {mirror: {url: \"https://c.d\", port: 80}}":   "registry.mirror.url: names an external mirror",
		"forge: a.b\nregistry: {mirror: {user: alice}}":                      "registry.mirror.user: and password_file go together",
		"forge: a.b\nregistry: {mirror: {port: 443}}":                        "registry.mirror.port: port 443 is taken by traefik.https_port",
		"forge: a.b\nregistry: {path: /srv/x, mirror: true}":                 "registry: takes a host name of its own",
		"forge: a.b\nregistry: {mirror: {address: everywhere}}":              "is not an IP address",
		"forge: {url: \"https://c.d\"}\nregistry: {host: r.d, mirror: true}": "registry: belongs to a forge of this file",
	} {
		_, err := Parse("hepta.yaml", []byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// engineWith has a default network and registry mirrors of its own.
type engineWith struct {
	client.APIClient
	mirrors []string
}

func (e engineWith) NetworkList(context.Context, network.ListOptions) ([]network.Summary, error) {
	return []network.Summary{{Name: converge.DefaultNetwork, IPAM: network.IPAM{Config: []network.IPAMConfig{{Gateway: "172.17.0.1"}}}}}, nil
}

func (e engineWith) Info(context.Context) (system.Info, error) {
	return system.Info{RegistryConfig: &dockerregistry.ServiceConfig{Mirrors: e.mirrors}}, nil
}

// Whether the host's own Engine asks the mirror can be seen, not set.
func TestMirrorOfTheHost(t *testing.T) {
	for mirrors, uses := range map[string]bool{"": false, "http://172.17.0.1:5088/": true, "https://other.test/": false} {
		s, _ := onBare(t, "forge: hg.test\nregistry: {mirror: true}\n", "1.24")
		s.opts.Docker = engineWith{s.opts.Docker, strings.Fields(mirrors)}
		st, err := s.Mirror(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st.Host != uses || (st.Remedy == "") != uses || !uses && !strings.Contains(st.Remedy, `"registry-mirrors": ["http://172.17.0.1:5088"]`) {
			t.Errorf("%q: %+v", mirrors, st)
		}
		if st.State != "absent" || st.OK() || st.Address != "http://172.17.0.1:5088" || st.Remote != "https://registry-1.docker.io" {
			t.Errorf("%+v", st)
		}
	}
	if _, err := stackOf(t, "forge: hg.test\n").Mirror(t.Context()); err == nil || !strings.Contains(fault.Remedy(err), "registry: {mirror: true}") {
		t.Errorf("none: %v", err)
	}
}
