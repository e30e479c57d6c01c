package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// What the Docker host's networks and a mirror mean for the daemons of jobs.
func TestDaemonSettings(t *testing.T) {
	o := &converge.Observed{Networks: []converge.ObservedNetwork{
		{Name: "bridge", Gateway: "172.17.0.1", MTU: 1450}, {Name: "jobs", MTU: 1400}, {Name: "jumbo", MTU: 9000}, {Name: "web"},
	}}
	on := func(network string) map[string]any { return map[string]any{"network_mode": network} }
	for name, c := range map[string]struct {
		cfg    Config
		file   string
		volume bool // in the first runner
		mtu    any
	}{
		"bridge":           {Config{Runners: []Runner{{Name: "a", Mode: Dind}}}, `{"mtu":1450}`, true, int64(1450)},
		"a smaller one":    {Config{Runners: []Runner{{Name: "a", Mode: Dind}, {Name: "b", Mode: Dind, Docker: on("jobs")}}}, `{"mtu":1400}`, true, int64(1450)},
		"the user's own":   {Config{Runners: []Runner{{Name: "a", Mode: Dind, Docker: map[string]any{"volumes": []any{"/my.json:/etc/docker/daemon.json:ro"}}}}}, `{"mtu":1450}`, false, int64(1450)},
		"larger ones":      {Config{Runners: []Runner{{Name: "a", Mode: Dind, Docker: on("jumbo")}}}, `{}`, false, nil},
		"not known":        {Config{Runners: []Runner{{Name: "a", Mode: Dind, Docker: on("web")}}}, `{}`, false, nil},
		"no daemon there":  {Config{Runners: []Runner{{Name: "p", Mode: Plain}, {Name: "a", Docker: on("jumbo")}}}, `{}`, false, int64(1450)},
		"mirror":           {Config{Mirror: "http://host-gateway:5088", Runners: []Runner{{Name: "a", Mode: Dind, Docker: on("jumbo")}}}, `{"registry-mirrors":["http://172.17.0.1:5088"],"insecure-registries":["172.17.0.1:5088"]}`, true, nil},
		"mirror elsewhere": {Config{Mirror: "https://mirror.example.org", Runners: []Runner{{Name: "a", Mode: Dind, Docker: on("jumbo")}}}, `{"registry-mirrors":["https://mirror.example.org"]}`, true, nil},
	} {
		c.cfg.Forge.URL = "https://hg.example.org"
		cfg := c.cfg.withDefaults()
		text, err := cfg.mergeDaemon(o, nil)
		if got := strings.Join(strings.Fields(string(text)), ""); err != nil || got != c.file {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.file)
		}
		s, err := cfg.section(cfg.Runners[0], placeOf(o)).normalized()
		if err != nil {
			t.Fatal(err)
		}
		docker := s.Set["docker"].(map[string]any)
		if got := slices.Contains(docker["volumes"].([]any), any("/srv/hepta/runner/daemon.json:/etc/docker/daemon.json:ro")); got != c.volume {
			t.Errorf("%s: volumes %v", name, docker["volumes"])
		}
		if docker["network_mtu"] != c.mtu {
			t.Errorf("%s: network_mtu %v, want %v", name, docker["network_mtu"], c.mtu)
		}
	}
	// Before the Engine's networks are known there is nothing to say about them.
	if got := (Config{Mirror: "http://host-gateway:5088"}).daemon(placeOf(&converge.Observed{})); !got.empty() {
		t.Errorf("of nothing: %+v", got)
	}
}
