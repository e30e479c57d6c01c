package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

// modern is a runner's program that can make networks, on a host whose name
// server is known.
var modern = hostFacts{Image: "runner:1", Knows: []string{knowsNetworks, knowsFlags, knowsMTU}, NameServers: []string{"192.0.2.53"}}

// Each job gets a network of its own where the runner's program can make one
// and nobody has decided otherwise.
func TestWhoGetsANetworkOfItsOwn(t *testing.T) {
	docker := func(key string, value any) map[string]any { return map[string]any{key: value} }
	volume := func(v string) map[string]any { return docker("volumes", []any{v}) }
	old, deaf, small := modern, modern, modern
	old.Knows, deaf.NameServers, small.Knows = nil, nil, []string{knowsNetworks, knowsFlags}
	for name, c := range map[string]struct {
		runner Runner
		facts  hostFacts
		mtu    int
		want   bool
	}{
		"plain":                      {Runner{Mode: Plain}, modern, 0, true},
		"dind":                       {Runner{Mode: Dind}, modern, 0, true},
		"rootless":                   {Runner{Mode: Rootless}, modern, 0, true},
		"socket":                     {Runner{Mode: Socket}, modern, 0, false},
		"an old program":             {Runner{Mode: Plain}, old, 0, false},
		"no name server":             {Runner{Mode: Plain}, deaf, 0, true},
		"no name server for builds":  {Runner{Mode: Dind}, deaf, 0, false},
		"small packets":              {Runner{Mode: Plain}, modern, 1400, true},
		"small packets, not settled": {Runner{Mode: Plain}, small, 1400, false},
		"usual packets":              {Runner{Mode: Plain}, small, 1500, true},
		"a network":                  {Runner{Mode: Plain, Docker: docker("network_mode", "jobs")}, modern, 0, false},
		"links":                      {Runner{Mode: Plain, Docker: docker("links", []any{"a:b"})}, modern, 0, false},
		"the flag":                   {Runner{Mode: Plain, Settings: map[string]any{"feature_flags": docker(knowsNetworks, false)}}, modern, 0, false},
		"another flag":               {Runner{Mode: Plain, Settings: map[string]any{"feature_flags": docker("FF_X", false)}}, modern, 0, true},
		"the variable":               {Runner{Mode: Plain, Environment: []string{"FF_NETWORK_PER_BUILD=false"}}, modern, 0, false},
		"a daemon's settings":        {Runner{Mode: Dind, Docker: volume("/my.json:/etc/docker/daemon.json:ro")}, modern, 0, false},
		"a daemon's settings, plain": {Runner{Mode: Plain, Docker: volume("/my.json:/etc/docker/daemon.json:ro")}, modern, 0, true},
		"a daemon's name servers":    {Runner{Mode: Dind, Docker: docker("dns", []any{"10.0.0.1"})}, modern, 0, false},
		"BuildKit's settings":        {Runner{Mode: Rootless, Docker: volume("/my.toml:/home/user/.config/buildkit/buildkitd.toml")}, modern, 0, false},
		"BuildKit's flags":           {Runner{Mode: Rootless, Environment: []string{"BUILDKITD_FLAGS=--debug"}}, modern, 0, false},
	} {
		at := place{facts: c.facts, mtu: func(string) int { return c.mtu }}
		if got := (Config{}).ownNetwork(c.runner, at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What config.toml and the files beside it say to jobs in networks of their own.
func TestSettingsOfOwnNetworks(t *testing.T) {
	cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, Mirror: "http://host-gateway:5088", Runners: []Runner{
		{Name: "plain", Mode: Plain, Settings: map[string]any{"feature_flags": map[string]any{"FF_X": true}}}, {Name: "dind", Mode: Dind}, {Name: "rootless", Mode: Rootless}, {Name: "socket", Mode: Socket}}}.withDefaults()
	older := modern
	older.Knows = []string{knowsNetworks}
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
			if on, _ := flags[knowsNetworks].(bool); on != own || slices.Contains(env, any("FF_NETWORK_PER_BUILD=true")) != (own && !facts.knows(knowsFlags)) {
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
	daemon, err := r.mergeDaemon(bridge, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Not the pool of 172.17.0.1, by which the daemon reaches forge and mirror.
	want := `{"registry-mirrors":["http://172.17.0.1:5088"],"insecure-registries":["172.17.0.1:5088"],"dns":["192.0.2.53"],"default-address-pools":[` +
		`{"base":"172.18.0.0/16","size":16},{"base":"172.19.0.0/16","size":16},{"base":"172.20.0.0/14","size":16},{"base":"172.24.0.0/14","size":16},` +
		`{"base":"172.28.0.0/14","size":16},{"base":"192.168.0.0/16","size":20}]}`
	if got := strings.Join(strings.Fields(string(daemon)), ""); got != want {
		t.Errorf("daemon.json: %s", got)
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
	cfg := Config{HostAddress: "172.18.0.9", ExtraHosts: []string{"hg.example.org:172.19.0.3"}, Mirror: "http://172.20.1.1:5000"}
	at := place{gateway: "172.17.0.1", facts: hostFacts{NameServers: []string{"192.168.1.1", "10.0.0.2"}}}
	if diff := cmp.Diff([]addressPool{{"172.24.0.0/14", 16}, {"172.28.0.0/14", 16}}, poolsWithout(cfg.needed(at)...)); diff != "" {
		t.Errorf("what a daemon needs: %s", diff)
	}
}

// Without networks of their own one job can take the mirror's address before
// the daemon of another, and a plan says so; many networks need addresses.
func TestWarningsOfNetworks(t *testing.T) {
	cfg := Config{Mirror: "http://host-gateway:5088", Runners: []Runner{{Name: "a", Mode: Dind, Project: 7, Concurrent: 40}, {Name: "p", Mode: Plain}}}.withDefaults()
	said := func(facts hostFacts) string { return strings.Join(cfg.warningsAt(place{facts: facts}), "\n") }
	old := modern
	old.Knows = nil
	for _, c := range []struct {
		name           string
		facts          hostFacts
		mirror, number bool
	}{{"not looked at", hostFacts{}, false, false}, {"old", old, true, false}, {"modern", modern, false, true}} {
		got := said(c.facts)
		if strings.Contains(got, "pass itself off as the mirror") != c.mirror || strings.Contains(got, "default-address-pools") != c.number {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// The runner's program and its host are looked at once, and with each new
// container again.
func TestHostOfJobsIsLookedAt(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	delete(m.files, FileHost)
	m.program = "knows FF_NETWORK_PER_BUILD\nknows feature_flags\nnameserver 192.0.2.53\n"
	cfg := at(f, Runner{Name: "a", Mode: Plain})
	m.must(runners(t, cfg))
	if want := "{\n  \"image\": \"" + DefaultImage + "\",\n  \"knows\": [\n    \"FF_NETWORK_PER_BUILD\",\n    \"feature_flags\"\n  ],\n  \"name_servers\": [\n    \"192.0.2.53\"\n  ]\n}\n"; m.files[FileHost] != want || m.looked != 1 {
		t.Errorf("%d looks: %s", m.looked, m.files[FileHost])
	}
	if !strings.Contains(m.files[FileConfig], "FF_NETWORK_PER_BUILD = true") {
		t.Errorf("config.toml: %s", m.files[FileConfig])
	}
	m.program = ""
	cfg.Image = "gitlab/gitlab-runner:v12.8.0"
	m.must(runners(t, cfg))
	if m.looked != 2 || strings.Contains(m.files[FileConfig], "FF_NETWORK_PER_BUILD") {
		t.Errorf("an older program, %d looks: %s", m.looked, m.files[FileConfig])
	}
	m.ended = true
	m.must(runners(t, cfg))
	if m.looked != 2 {
		t.Errorf("a container that only stopped: %d looks", m.looked)
	}
	m.files[FileHost] = "{"
	m.must(runners(t, cfg))
	if m.looked != 3 {
		t.Errorf("a file that somebody broke: %d looks", m.looked)
	}
}

// An image without a shell is one of whose program nothing is known.
func TestProgramWithoutShell(t *testing.T) {
	m := newMachine(t)
	m.fails = errors.New(`exec: "sh": executable file not found in $PATH`)
	r := &Runners{cfg: Config{Stack: "lab", Image: "runner:1"}}
	if err := r.lookAtHost(t.Context(), m); err != nil || r.facts(&converge.Observed{}).knows(knowsNetworks) {
		t.Errorf("%v, %+v", err, r.host)
	}
	m.fails = errors.New("no space left on device")
	if err := r.lookAtHost(t.Context(), m); err == nil {
		t.Error("a failure is taken for an answer")
	}
}

func TestParseFacts(t *testing.T) {
	for in, want := range map[string]hostFacts{
		"":                          {},
		"knows a\nknows b\nknows\n": {Knows: []string{"a", "b"}},
		"nameserver 127.0.0.53\n":   {},
		"nameserver 10.0.0.2 # x\n": {NameServers: []string{"10.0.0.2"}},
		"nameserver fd00::2\n":      {NameServers: []string{"fd00::2"}},
		"nameserver fe80::1%eth0\n": {},
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
	f.Add([]byte("knows x\nnameserver 127.0.0.1\nnameserver fd00::1%eth0\nnameserver 10.0.0.1\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, s := range parseFacts(in).NameServers {
			if strings.HasPrefix(s, "127.") || s == "::1" || strings.ContainsAny(s, "%\" ") {
				t.Errorf("%q", s)
			}
		}
	})
}
