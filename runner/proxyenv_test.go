package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

func TestExceptHosts(t *testing.T) {
	pinned := []string{"hg.example.org", "docker"}
	for name, tt := range map[string]struct{ env, want []string }{
		"no proxy":         {[]string{"A=1", "NO_PROXY=x"}, []string{"A=1", "NO_PROXY=x"}},
		"empty proxy":      {[]string{"HTTP_PROXY="}, []string{"HTTP_PROXY="}},
		"nothing excepted": {[]string{"http_proxy=p"}, []string{"http_proxy=p", "NO_PROXY=hg.example.org,docker", "no_proxy=hg.example.org,docker"}},
		"some excepted":    {[]string{"HTTPS_PROXY=p", "NO_PROXY=localhost,docker"}, []string{"HTTPS_PROXY=p", "NO_PROXY=localhost,docker,hg.example.org"}},
		"by its domain":    {[]string{"ALL_PROXY=p", "no_proxy=.example.org,docker"}, []string{"ALL_PROXY=p", "no_proxy=.example.org,docker"}},
		"both spellings":   {[]string{"HTTP_PROXY=p", "no_proxy=*", "NO_PROXY="}, []string{"HTTP_PROXY=p", "no_proxy=*", "NO_PROXY=hg.example.org,docker"}},
	} {
		if diff := cmp.Diff(tt.want, exceptHosts(slices.Clone(tt.env), pinned)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestIsExcepted(t *testing.T) {
	for list, want := range map[string]bool{
		"": false, "*": true, "hg.example.org": true, "a, HG.example.org ": true, "example.org": true, ".example.org": true, "*.example.org": true,
		"hg.example.org:8443": false, ".hg.example.org": false, "g.example.org": false, "example.com,,": false, "10.0.0.0/8": false, ".": false,
	} {
		if got := isExcepted(list, "hg.example.org"); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// behindProxy is a runner whose jobs and whose own process use a proxy.
func behindProxy() Config {
	const noProxy = "NO_PROXY=localhost,docker"
	return Config{Forge: Forge{URL: "https://hg.example.org"}, Environment: []string{"HTTPS_PROXY=http://own:1", noProxy},
		Runners: []Runner{{Name: "a", Mode: Dind, Token: NewSecret("glrt-canary"), Environment: []string{"HTTPS_PROXY=http://jobs:1", noProxy}}}}
}

// The runner's own process has variables of its own beside those of its jobs,
// and each is looked at with what it has.
func TestTheRunnersOwnEnvironment(t *testing.T) {
	m := newMachine(t)
	r, err := New(behindProxy())
	if err != nil {
		t.Fatal(err)
	}
	m.must(r)
	if diff := cmp.Diff([]string{"HTTPS_PROXY=http://own:1", "NO_PROXY=localhost,docker"}, r.container().Env); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(m.files[FileConfig], `"HTTPS_PROXY=http://jobs:1", "NO_PROXY=localhost,docker"]`) {
		t.Error(m.files[FileConfig])
	}
	seen := map[string]string{} // network by proxy
	for _, o := range m.ran {
		network := ""
		for _, n := range o.Container.Networks {
			network += n.Network
		}
		seen[lookup(o.Container.Env, "HTTPS_PROXY")] = network
	}
	if diff := cmp.Diff(map[string]string{"http://own:1": "web", "http://jobs:1": ""}, seen); diff != "" {
		t.Error(diff)
	}
	cfg := behindProxy()
	cfg.Environment = []string{"HTTPS_PROXY"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "runner.environment[0]") {
		t.Errorf("got %v", err)
	}
}

// Names that hepta pins are known to no proxy: they are left out of what goes
// through one. Where DNS has the forge's name, the plan tells of the detour.
func TestTheForgeBehindAProxy(t *testing.T) {
	cfg := behindProxy()
	if got := cfg.warnProxy(); len(got) != 0 {
		t.Errorf("an external forge may be behind the proxy: %v", got)
	}
	cfg.After = []string{"container:heptapod"}
	want := []string{
		"runner.environment: a proxy is set, and requests to hg.example.org go through it, although that is on this Docker host; to go there directly put it into NO_PROXY there",
		"runners[a].environment: a proxy is set, and requests to hg.example.org go through it, although that is on this Docker host; to go there directly put it into NO_PROXY there",
	}
	if diff := cmp.Diff(want, cfg.Warnings()[:2]); diff != "" {
		t.Error(diff)
	}
	cfg.HostNames = []string{"hg.example.org", "registry.example.org"}
	const all = "NO_PROXY=localhost,docker,hg.example.org,registry.example.org"
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	section := r.cfg.section(r.cfg.Runners[0], (&Runners{}).place(&converge.Observed{}))
	if env := section.Set["environment"].([]string); !slices.Contains(env, all) || !slices.Contains(r.container().Env, all) || len(r.cfg.warnProxy()) > 0 {
		t.Errorf("jobs %v, the runner %v, %v", env, r.container().Env, r.cfg.warnProxy())
	}
}
