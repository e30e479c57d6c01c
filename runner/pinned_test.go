package runner

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names that no DNS server knows are told to jobs where those need it: at the
// address on which they are published, and not on the stack's own network.
func TestPinnedNames(t *testing.T) {
	cfg := Config{
		Network: "lab-net", Forge: Forge{URL: "https://hg.example.org"}, HostNames: []string{"hg.example.org"}, OnNetwork: true,
		Runners: []Runner{
			{Name: "a", Token: NewSecret("glrt-given")},
			{Name: "b", Token: NewSecret("glrt-given"), Docker: map[string]any{"network_mode": "lab-net", "extra_hosts": []any{"db:10.0.0.9"}}},
			{Name: "c", Token: NewSecret("glrt-given"), Docker: map[string]any{"network_mode": "other"}},
		},
	}
	hosts := func() (list []string) {
		for _, x := range cfg.Runners {
			docker, _ := cfg.withDefaults().section(x, place{gateway: "172.17.0.1"}).Set["docker"].(map[string]any)
			list = append(list, fmt.Sprint(x.Name, docker["extra_hosts"]))
		}
		return list
	}
	container := func() []string { return runners(t, cfg).resources().Containers[0].ExtraHosts }
	if d := cmp.Diff([]string{"a[hg.example.org:172.17.0.1]", "b[db:10.0.0.9]", "c[hg.example.org:172.17.0.1]"}, hosts()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"hg.example.org:host-gateway"}, container()); d != "" {
		t.Error(d)
	}
	cfg.HostAddress, cfg.OnNetwork = "203.0.113.7", false
	if d := cmp.Diff([]string{"a[hg.example.org:203.0.113.7]", "b[hg.example.org:203.0.113.7 db:10.0.0.9]", "c[hg.example.org:203.0.113.7]"}, hosts()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"hg.example.org:203.0.113.7"}, container()); d != "" {
		t.Error(d)
	}
}
