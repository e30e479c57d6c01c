package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

// modern are the facts of a runner program with all features, on a host whose
// name server is known.
var modern = hostFacts{Image: "runner:1", Features: []string{featureNetworkPerBuild, featureFlags, featureNetworkMTU}, NameServers: []string{"192.0.2.53"}}

// Each job gets a network of its own where the runner program supports it and
// no key chooses otherwise.
func TestWhichJobsGetANetwork(t *testing.T) {
	docker := func(key string, value any) map[string]any { return map[string]any{key: value} }
	volume := func(v string) map[string]any { return docker("volumes", []any{v}) }
	old, noDNS, noMTU := modern, modern, modern
	old.Features, noDNS.NameServers, noMTU.Features = nil, nil, []string{featureNetworkPerBuild, featureFlags}
	for name, c := range map[string]struct {
		runner Runner
		facts  hostFacts
		mtu    int
		want   bool
	}{
		"plain":                          {Runner{Mode: Plain}, modern, 0, true},
		"dind":                           {Runner{Mode: Dind}, modern, 0, true},
		"rootless":                       {Runner{Mode: Rootless}, modern, 0, true},
		"socket":                         {Runner{Mode: Socket}, modern, 0, false},
		"an old program":                 {Runner{Mode: Plain}, old, 0, false},
		"no name server":                 {Runner{Mode: Plain}, noDNS, 0, true},
		"no name server for builds":      {Runner{Mode: Dind}, noDNS, 0, false},
		"small packets":                  {Runner{Mode: Plain}, modern, 1400, true},
		"small packets, no key for them": {Runner{Mode: Plain}, noMTU, 1400, false},
		"usual packets":                  {Runner{Mode: Plain}, noMTU, 1500, true},
		"a network":                      {Runner{Mode: Plain, Docker: docker("network_mode", "jobs")}, modern, 0, false},
		"links":                          {Runner{Mode: Plain, Docker: docker("links", []any{"a:b"})}, modern, 0, false},
		"the flag":                       {Runner{Mode: Plain, Settings: map[string]any{"feature_flags": docker(featureNetworkPerBuild, false)}}, modern, 0, false},
		"another flag":                   {Runner{Mode: Plain, Settings: map[string]any{"feature_flags": docker("FF_X", false)}}, modern, 0, true},
		"the variable":                   {Runner{Mode: Plain, Environment: []string{"FF_NETWORK_PER_BUILD=false"}}, modern, 0, false},
		"a daemon's settings":            {Runner{Mode: Dind, Docker: volume("/my.json:/etc/docker/daemon.json:ro")}, modern, 0, true},
		"a daemon's name servers":        {Runner{Mode: Dind, Docker: docker("dns", []any{"10.0.0.1"})}, modern, 0, false},
		"BuildKit's settings":            {Runner{Mode: Rootless, Docker: volume("/my.toml:/home/user/.config/buildkit/buildkitd.toml")}, modern, 0, false},
		"BuildKit's flags":               {Runner{Mode: Rootless, Environment: []string{"BUILDKITD_FLAGS=--debug"}}, modern, 0, false},
	} {
		at := place{facts: c.facts, mtu: func(string) int { return c.mtu }}
		if got := (Config{JobNetworks: true}).hasJobNetwork(c.runner, at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if (Config{}).hasJobNetwork(c.runner, at) {
			t.Errorf("%s: nobody has asked for it", name)
		}
	}
}

// What config.toml and the files beside it have for jobs in job networks.
func TestSettingsOfJobNetworks(t *testing.T) {
	cfg := Config{JobNetworks: true, Forge: Forge{URL: "https://hg.example.org"}, Mirror: "http://host-gateway:5088", Runners: []Runner{
		{Name: "plain", Mode: Plain, Settings: map[string]any{"feature_flags": map[string]any{"FF_X": true}}}, {Name: "dind", Mode: Dind}, {Name: "rootless", Mode: Rootless}, {Name: "socket", Mode: Socket}}}.withDefaults()
	older := modern
	older.Features = []string{featureNetworkPerBuild}
	for _, facts := range []hostFacts{modern, older} {
		r := &Runners{cfg: cfg, host: &facts}
		for _, x := range cfg.Runners {
			s, err := cfg.section(x, r.place(bridge)).normalized()
			if err != nil {
				t.Fatal(err)
			}
			flags, _ := s.Set["feature_flags"].(map[string]any)
			env, _ := s.Set["environment"].([]any)
			own := x.Mode != Socket
			if on, _ := flags[featureNetworkPerBuild].(bool); on != own || slices.Contains(env, any("FF_NETWORK_PER_BUILD=true")) != (own && !facts.supports(featureFlags)) {
				t.Errorf("%s: flags %v, environment %v", x.Name, flags, env)
			}
			if x.Name == "plain" && flags["FF_X"] != true {
				t.Errorf("a flag of the user's is gone: %v", flags)
			}
			volumes := s.Set["docker"].(map[string]any)["volumes"].([]any)
			told := slices.Contains(volumes, any("/srv/hepta/runner/buildkitd.toml:/etc/hepta/buildkitd.toml:ro")) &&
				slices.Contains(env, any("BUILDKITD_FLAGS=--oci-worker-no-process-sandbox --config=/etc/hepta/buildkitd.toml"))
			if told != (x.Mode == Rootless) {
				t.Errorf("%s: volumes %v, environment %v", x.Name, volumes, env)
			}
		}
	}
	r := &Runners{cfg: cfg, host: &modern}
	// Not the pool of 172.17.0.1, by which the daemon reaches forge and mirror.
	want := []string{"--dns=192.0.2.53", "--default-address-pool=base=172.18.0.0/16,size=16", "--default-address-pool=base=172.19.0.0/16,size=16",
		"--default-address-pool=base=172.20.0.0/14,size=16", "--default-address-pool=base=172.24.0.0/14,size=16",
		"--default-address-pool=base=172.28.0.0/14,size=16", "--default-address-pool=base=192.168.0.0/16,size=20",
		"--registry-mirror=http://172.17.0.1:5088", "--insecure-registry=172.17.0.1:5088"}
	if diff := cmp.Diff(want, cfg.daemonFlags(cfg.Runners[1], r.place(bridge))); diff != "" {
		t.Errorf("flags of a daemon: %s", diff)
	}
	if got, err := r.mergeBuildKit(bridge, nil); err != nil || string(got) != "[dns]\n  nameservers = [\"192.0.2.53\"]\n" {
		t.Errorf("buildkitd.toml: %s, %v", got, err)
	}
}

func TestPoolsWithout(t *testing.T) {
	for address, want := range map[string]int{"172.17.0.1": 6, "172.22.0.1": 6, "192.168.9.1": 6, "10.0.0.1": 0, "": 0, "host-gateway": 0, "fd00::1": 0} {
		if got := poolsWithout(address); len(got) != want {
			t.Errorf("%q: %v", address, got)
		}
	}
	unknown := place{gateway: converge.HostGateway}
	if got := poolsWithout((Config{}).addressesToReach(unknown)...); len(got) != 6 || got[0].Base != "172.18.0.0/16" {
		t.Errorf("of an Engine that does not say its gateway: %v", got)
	}
	cfg := Config{HostAddress: "172.18.0.9", ExtraHosts: []string{"hg.example.org:172.19.0.3"}, Mirror: "http://172.20.1.1:5000"}
	at := place{gateway: "172.17.0.1", facts: hostFacts{NameServers: []string{"192.168.1.1", "10.0.0.2"}}}
	if diff := cmp.Diff([]addressPool{{"172.24.0.0/14", 16}, {"172.28.0.0/14", 16}}, poolsWithout(cfg.addressesToReach(at)...)); diff != "" {
		t.Errorf("what a daemon needs: %s", diff)
	}
}

// Without job networks one job can answer in place of the mirror to the daemon
// of another, and a plan warns of it; many networks need many addresses.
func TestWarningsOfJobNetworks(t *testing.T) {
	cfg := Config{JobNetworks: true, Mirror: "http://host-gateway:5088", Runners: []Runner{{Name: "a", Mode: Dind, Project: 7, Concurrent: 40}, {Name: "p", Mode: Plain}}}.withDefaults()
	said := func(facts hostFacts) string { return strings.Join(cfg.warningsAt(place{facts: facts}), "\n") }
	old := modern
	old.Features = nil
	for _, c := range []struct {
		name           string
		facts          hostFacts
		mirror, number bool
	}{{"not inspected", hostFacts{}, false, false}, {"old", old, true, false}, {"modern", modern, false, true}} {
		got := said(c.facts)
		if strings.Contains(got, "pass itself off as the mirror") != c.mirror || strings.Contains(got, "default-address-pools") != c.number {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// The runner's image and its host are inspected once, and again with each new
// container. What follows from it is written in the same run, also beside a
// runner that runs on.
func TestHostOfJobsIsInspected(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	delete(m.files, FileHost)
	m.program = "feature FF_NETWORK_PER_BUILD\nfeature feature_flags\nnameserver 192.0.2.53\ninspected\n"
	cfg := at(f, Runner{Name: "a", Mode: Plain})
	m.must(runners(t, cfg))
	if m.files[FileHost] != "" || m.looked != 0 {
		t.Errorf("nobody has asked for job networks: %d looks", m.looked)
	}
	cfg.JobNetworks = true
	m.must(runners(t, cfg))
	if want := "{\n  \"image\": \"" + DefaultImage + "\",\n  \"features\": [\n    \"FF_NETWORK_PER_BUILD\",\n    \"feature_flags\"\n  ],\n  \"name_servers\": [\n    \"192.0.2.53\"\n  ]\n}\n"; m.files[FileHost] != want || m.looked != 1 {
		t.Errorf("%d looks: %s", m.looked, m.files[FileHost])
	}
	const on = "FF_NETWORK_PER_BUILD = true"
	if !strings.Contains(m.files[FileConfig], on) {
		t.Errorf("config.toml: %s", m.files[FileConfig])
	}
	m.ended = true
	m.must(runners(t, cfg))
	if m.looked != 1 {
		t.Errorf("a container that only stopped: %d looks", m.looked)
	}

	// Another program of the same host, beside keys that somebody wrote by hand.
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], on, "FF_X = true\n    "+on, 1)
	m.program = "nameserver 192.0.2.53\ninspected\n"
	cfg.Image = "gitlab/gitlab-runner:v12.8.0"
	m.must(runners(t, cfg))
	if m.looked != 2 || strings.Contains(m.files[FileConfig], "FF_NETWORK_PER_BUILD") || !strings.Contains(m.files[FileConfig], "FF_X = true") {
		t.Errorf("an older program, %d looks: %s", m.looked, m.files[FileConfig])
	}

	// A file of an earlier release, or one that somebody broke, beside a runner
	// that runs on.
	m.program = "feature FF_NETWORK_PER_BUILD\nfeature feature_flags\ninspected\n"
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], "privileged = false", "network_mode = \"jobs\"\n    privileged = false", 1)
	for i, broken := range []string{"", "{"} {
		if m.files[FileHost] = broken; broken == "" {
			delete(m.files, FileHost)
		}
		m.must(runners(t, cfg))
		if m.looked != 3+i || !strings.Contains(m.files[FileConfig], on) {
			t.Errorf("%q: %d looks: %s", broken, m.looked, m.files[FileConfig])
		}
	}
	// The runner makes no network where somebody wrote one into config.toml.
	if !strings.Contains(m.files[FileConfig], "network_mode = \"jobs\"") {
		t.Errorf("what was written by hand is gone: %s", m.files[FileConfig])
	}
}

// A container that was created and never started says nothing about its image: a
// run that was killed before the image was inspected is followed by one that does.
func TestHostIsInspectedAfterAKill(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a", Mode: Plain})
	cfg.JobNetworks = true
	r := runners(t, cfg)
	m.must(r)
	s := r.resources()
	for state, want := range map[string]int{"running": 0, "exited": 0, "created": 1} {
		o := m.observe(&s)
		o.Containers[0].State = state
		got := r.hostTask(o)
		if len(got) != want {
			t.Errorf("%s: %d tasks", state, len(got))
		}
		if len(got) > 0 && !slices.Contains(got[0].After, "file:"+FileHost) {
			t.Error("the task writes its file beside the plan")
		}
	}
}

// An image without a shell counts as one without the features; everything else
// that goes wrong is an error.
func TestImageWithoutShell(t *testing.T) {
	m := newMachine(t)
	m.fails = errors.New(`exec: "sh": executable file not found in $PATH`)
	r := &Runners{cfg: Config{Stack: "lab", Image: "runner:1"}}
	if err := r.inspectHost(t.Context(), m); err != nil || r.facts(&converge.Observed{}).supports(featureNetworkPerBuild) {
		t.Errorf("%v, %+v", err, r.host)
	}
	m.fails = errors.New("no space left on device")
	if err := r.inspectHost(t.Context(), m); err == nil {
		t.Error("a failure is taken for an answer")
	}
	m.fails, m.program = nil, "feature FF_NETWORK_PER_BUILD\n"
	if err := r.inspectHost(t.Context(), m); err == nil || !strings.Contains(err.Error(), "image runner:1: its container ended before") {
		t.Errorf("an output that was cut off: %v", err)
	}
}

func TestParseFacts(t *testing.T) {
	for in, want := range map[string]hostFacts{
		"":                                {},
		"feature a\nfeature b\nfeature\n": {Features: []string{"a", "b"}},
		"nameserver 127.0.0.53\n":         {},
		"nameserver 10.0.0.2 # x\n":       {NameServers: []string{"10.0.0.2"}},
		"nameserver fd00::2\n":            {NameServers: []string{"fd00::2"}},
		"nameserver fe80::1%eth0\n":       {},
		"nameserver fd00::2\nsearch example.org\nnameserver 10.0.0.2\n": {NameServers: []string{"10.0.0.2"}},
	} {
		if diff := cmp.Diff(want, parseFacts([]byte(in))); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

// FuzzParseFacts feeds it with anything: what it takes for a name server is an
// address that a container can ask.
func FuzzParseFacts(f *testing.F) {
	f.Add([]byte("feature x\nnameserver 127.0.0.1\nnameserver fd00::1%eth0\nnameserver 10.0.0.1\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, s := range parseFacts(in).NameServers {
			if strings.HasPrefix(s, "127.") || s == "::1" || strings.ContainsAny(s, "%\" ") {
				t.Errorf("%q", s)
			}
		}
	})
}
