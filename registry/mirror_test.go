package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/converge"
)

// distribution's configuration of a pull-through cache: proxy.remoteurl,
// username, password, ttl; storage.delete for what is too old.
func TestMirror(t *testing.T) {
	for name, c := range map[string]struct {
		m     Mirror
		proxy map[string]any
		port  converge.Port
	}{
		"defaults": {Mirror{}, map[string]any{"remoteurl": "https://registry-1.docker.io", "ttl": "168h"}, converge.Port{HostIP: "host-gateway", Host: 5088, Container: 5000}},
		"all": {Mirror{Stack: "lab", Remote: "http://up:5000", Port: 80, HostIP: "10.0.0.1", Days: 1, Credentials: Credentials{"alice", NewSecret(canary)}},
			map[string]any{"remoteurl": "http://up:5000", "ttl": "24h", "username": "alice", "password": canary}, converge.Port{HostIP: "10.0.0.1", Host: 80, Container: 5000}},
	} {
		s, err := c.m.resources()
		if err != nil {
			t.Fatal(err)
		}
		file, box := s.Files[0], s.Containers[0]
		var config struct {
			HTTP    struct{ Addr string }
			Proxy   map[string]any
			Storage struct {
				Delete     map[string]bool
				Filesystem struct{ Rootdirectory string }
			}
		}
		if err := yaml.Unmarshal(file.Content, &config); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.proxy, config.Proxy); d != "" || config.HTTP.Addr != ":5000" || !config.Storage.Delete["enabled"] {
			t.Errorf("%s: %+v\n%s", name, config, d)
		}
		if file.Mode != 0o600 || file.Secret != strings.Contains(string(file.Content), canary) {
			t.Errorf("%s: mode %o, secret %v", name, file.Mode, file.Secret)
		}
		if len(box.Ports) != 1 || box.Ports[0] != c.port {
			t.Errorf("%s: ports %v", name, box.Ports)
		}
		inside, shown := s.Shows(&box, file.Path)
		kept := false
		for _, m := range box.Mounts {
			kept = kept || m.Target == config.Storage.Filesystem.Rootdirectory && m.Kind == converge.Data
		}
		if !shown || inside != box.Cmd[0] || !kept {
			t.Errorf("%s: reads %v, is shown %s; its images are kept: %v", name, box.Cmd, inside, kept)
		}
	}
}
