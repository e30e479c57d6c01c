package heptapod

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// The forge believes the proxy of its network, whatever addresses the Engine
// gives out there; otherwise one who fails to log in locks out everybody.
func TestTrustedProxiesAreThoseOfTheNetwork(t *testing.T) {
	seen := func(subnets ...string) *converge.Observed {
		return &converge.Observed{Networks: []converge.ObservedNetwork{{Name: "bridge", Subnets: []string{"172.17.0.0/16"}}, {Name: "web", Subnets: subnets}}}
	}
	for name, c := range map[string]struct {
		cfg  Config
		o    *converge.Observed
		want string
	}{
		"10/8":              {Config{}, seen("10.213.0.0/24"), "['10.213.0.0/24']"},
		"IPv6 too":          {Config{}, seen("172.18.0.0/16", "fd4d:1::/64"), "['172.18.0.0/16', 'fd4d:1::/64']"},
		"configured":        {Config{TrustedProxies: []string{"192.0.2.7"}}, seen("10.213.0.0/24"), "['192.0.2.7', '10.213.0.0/24']"},
		"no network so far": {Config{}, &converge.Observed{}, "['172.16.0.0/12', '192.168.0.0/16']"},
	} {
		c.cfg.Host = "hg.example.org"
		f, err := New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range resources(t, f).Files {
			if file.Path != FileGitlabRB {
				continue
			}
			text, err := file.Render(c.o, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"nginx['real_ip_trusted_addresses'] = ", "gitlab_rails['trusted_proxies'] = "} {
				if !strings.Contains(string(text), key+c.want+"\n") {
					t.Errorf("%s: not %s%s", name, key, c.want)
				}
			}
		}
	}
}
