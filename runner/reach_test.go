package runner

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
)

// What runners of several releases log about a call.
func TestAnswers(t *testing.T) {
	for log, want := range map[string]string{
		"ERROR: Verifying runner... is removed               runner=nobody00":                         "",
		"ERROR: Verifying runner... is not valid             correlation_id=01 runner=nobody00":       "",
		"ERROR: Verifying runner... failed                   runner=nobody00 status=401 Unauthorized": "",
		"ERROR: Verifying runner... failed                   runner=nobody00 status=404 Not Found":    "who answers there is no forge that works: 404 Not Found",
		"ERROR: Verifying runner... error                    runner=nobody00 status=couldn't execute POST against https://a.b/api/v4/runners/verify: Post https://a.b/api/v4/runners/verify: x509: certificate signed by unknown authority":             "x509: certificate signed by unknown authority",
		`ERROR: Verifying runner... error                    runner=nobody00 status="couldn't execute POST against https://a.b/api/v4/runners/verify: Post \"https://a.b/api/v4/runners/verify\": dial tcp: lookup a.b on 127.0.0.11:53: no such host"`: "dial tcp: lookup a.b on 127.0.0.11:53: no such host",
		"Runtime platform\nFATAL: open /hepta-reach.toml: permission denied\n": "FATAL: open /hepta-reach.toml: permission denied",
		"\x1b[31;1mERROR: Verifying runner... error\x1b[0;m   \x1b[31;1mrunner\x1b[0;m=nobody00 \x1b[31;1mstatus\x1b[0;m=couldn't execute POST against https://a.b/api/v4/runners/verify: Post https://a.b/api/v4/runners/verify: EOF": "EOF",
		"": "the runner's program said nothing",
	} {
		if got := answerTo("Running with privileges\n"+log+"\n", "nobody00", true); got != want && (log != "" || got != "Running with privileges") {
			t.Errorf("%s\n got %q\nwant %q", log, got, want)
		}
	}
	if got := answerTo("ERROR: Verifying runner... failed  runner=nobody01 status=404 Not Found", "nobody01", false); got != "" {
		t.Errorf("a registry may know no such path: %q", got)
	}
}

// private is a configuration of two runners whose forge has an authority of its own.
func private(url string) Config {
	return Config{Stack: "lab", Data: "/srv/lab", Forge: Forge{URL: url, Token: NewSecret("glpat-canary")}, CAFile: "ca/ca.crt", HostNames: []string{"registry.example.org"},
		RegistryHosts: []string{"registry.example.org"}, Registries: []string{"https://registry.example.org"},
		Runners: []Runner{
			{Name: "dind", Mode: Dind, Environment: []string{"HTTPS_PROXY=http://proxy:1", "OTHER=1"}, Docker: map[string]any{"extra_hosts": []any{"a.b:10.0.0.1"}, "network_mode": "jobs"}},
			{Name: "plain", Mode: Plain},
			{Name: "again", Mode: Plain},
			{Name: "paused", Mode: Plain, Paused: true, Docker: map[string]any{"network_mode": "elsewhere"}},
		}}
}

// Before a runner counts as ready, what jobs, runner and daemon trust and how
// they are named is tried on their network.
func TestReach(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	r := runners(t, private(f.URL))
	f.online = true
	authority, err := pki.New("lab", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m.files["ca/ca.crt"] = string(authority.Root())
	m.must(r)
	check := r.resources().Containers[0].Ready.Check
	if err := check(t.Context(), m); err != nil {
		t.Fatal(fault.Describe(err))
	}
	if err := check(t.Context(), m); err != nil || len(m.ran) != 4 {
		t.Fatalf("%v, %d containers, want one for each kind of job, one for the daemon, one for the runner and none again", err, len(m.ran))
	}
	slices.SortFunc(m.ran, func(a, b converge.OneOff) int {
		return cmp.Or(len(b.Container.Networks)-len(a.Container.Networks), len(b.Container.Env)-len(a.Container.Env))
	})
	proxied := "HTTPS_PROXY=http://proxy:1 NO_PROXY=registry.example.org,docker no_proxy=registry.example.org,docker"
	for i, want := range []struct{ env, network, calls string }{
		{jobTrust + " " + proxied, "jobs", f.URL + " https://registry.example.org"},
		{proxied, "jobs", "https://registry.example.org@/etc/docker/certs.d/registry.example.org/ca.crt"},
		{"", "web", f.URL + "@/etc/hepta/ca/ca.crt"},
		{jobTrust, "", f.URL + " https://registry.example.org"},
	} {
		box, file := m.ran[i].Container, m.ran[i].Files[reachFile]
		network := ""
		for _, n := range box.Networks {
			network += n.Network
		}
		var calls []string
		for line := range strings.Lines(file) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
			switch value = strings.Trim(value, `"`); key {
			case "url":
				calls = append(calls, value)
			case "tls-ca-file":
				calls[len(calls)-1] += "@" + value
			}
		}
		if strings.Join(box.Env, " ") != want.env || network != want.network || strings.Join(calls, " ") != want.calls {
			t.Errorf("container %s: env %q, network %q, calls %q\nwant %+v", box.Name, box.Env, network, calls, want)
		}
		for _, call := range calls {
			_, ca, own := strings.Cut(call, "@")
			// Of a file that is not there the Engine would make a directory.
			if slices.ContainsFunc(box.Mounts, func(x converge.Mount) bool { return x.Kind == converge.Data }) {
				t.Errorf("container %s makes what it mounts: %v", box.Name, box.Mounts)
			}
			if own && !slices.ContainsFunc(box.Mounts, func(x converge.Mount) bool { return x.Target == ca }) {
				t.Errorf("container %s does not have %s: %v", box.Name, ca, box.Mounts)
			}
		}
		gateway := "172.17.0.1"
		if network == "web" {
			gateway = "host-gateway"
		}
		if !slices.Contains(box.ExtraHosts, "registry.example.org:"+gateway) || network == "jobs" != slices.Contains(box.ExtraHosts, "a.b:10.0.0.1") {
			t.Errorf("container %s: names %v", box.Name, box.ExtraHosts)
		}
		if strings.Contains(file, "canary") || strings.Contains(fmt.Sprint(m.ran[i].Container), "canary") {
			t.Errorf("a token is in %s", file)
		}
	}
}

// Runners that are added at once are looked at at once.
func TestReachAtOnce(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	r := runners(t, private(f.URL))
	authority, err := pki.New("lab", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m.files["ca/ca.crt"] = string(authority.Root())
	m.must(runners(t, private(f.URL)))
	m.ran = nil
	var all errgroup.Group
	for _, name := range []string{"dind", "plain"} {
		all.Go(func() error { return r.reach(t.Context(), m, func(x Runner) bool { return x.Name == name }) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(fault.Describe(err))
	}
	names := map[string]bool{}
	for _, o := range m.ran {
		names[o.Container.Name] = true
	}
	if len(m.ran) != 4 || len(names) != 4 {
		t.Errorf("%d containers have %d names", len(m.ran), len(names))
	}
}

func TestUnreached(t *testing.T) {
	for why, want := range map[string]string{
		"x509: certificate signed by unknown authority":                  "runner: {ca: FILE}",
		"x509: certificate is valid for a.b, not c.d":                    "good for 127.0.0.1",
		"dial tcp: lookup a.b on 127.0.0.11:53: no such host":            "extra_hosts",
		"dial tcp 10.0.0.1:443: connect: connection refused":             "firewall",
		"dial tcp 10.0.0.1:443: i/o timeout":                             "another address",
		"http: server gave HTTP response to HTTPS client":                "no TLS at that port",
		"net/http: something that nobody has thought of, x: y, code: 17": "a container on the jobs' network",
	} {
		f, m := newForge(t), newMachine(t)
		f.online = true
		m.says = func(o converge.OneOff) string {
			return "ERROR: Verifying runner... error  runner=nobody00 status=couldn't execute POST against https://x/api/v4/runners/verify: Post https://x/api/v4/runners/verify: " + why +
				"\nERROR: Verifying runner... failed  runner=nobody01 status=404 Not Found\n"
		}
		cfg := at(f, Runner{Name: "a"})
		plan, err := m.apply(runners(t, cfg))
		if !errors.Is(err, ErrUnreached) || !strings.Contains(err.Error(), "a job of runner a cannot: "+why) || !strings.Contains(fault.Describe(err), want) {
			t.Errorf("%s\n%s\nwant %s\n%s", why, fault.Describe(err), want, plan)
		}
		// One that comes later is tried, too, whoever has made it.
		fails := m.says
		m.says = nil
		m.must(runners(t, cfg))
		m.says = func(o converge.OneOff) string {
			if len(o.Container.Networks) == 0 {
				return "ERROR: Verifying runner... is removed   runner=nobody00"
			}
			return fails(o)
		}
		cfg.Runners = append(slices.Clone(cfg.Runners), Runner{Name: "given", Token: NewSecret("glrt-canary"), Docker: map[string]any{"network_mode": "other"}})
		if plan, err := m.apply(runners(t, cfg)); !errors.Is(err, ErrUnreached) || !strings.Contains(err.Error(), "runner given") {
			t.Errorf("one more: %v\n%s", err, plan)
		}
	}
}

// A port of the Docker host itself that says nothing is told apart from one
// elsewhere: the Engine's own rules may be in the way.
func TestUnreachedHere(t *testing.T) {
	for onNetwork, want := range map[bool]string{true: "docker: {network_mode: lab-net}", false: "take that setting out"} {
		cfg := private("https://hg.example.org")
		cfg.HostNames, cfg.OnNetwork, cfg.Network = []string{"hg.example.org"}, onNetwork, "lab-net"
		cfg.Runners = []Runner{{Name: "a"}}
		r := runners(t, cfg)
		got := r.remedy(call{url: "https://hg.example.org"}, "dial tcp 172.17.0.1:443: i/o timeout")
		if !strings.Contains(got, `"userland-proxy": false`) || !strings.Contains(got, want) {
			t.Error(got)
		}
		if got := r.remedy(call{url: "https://gitlab.example.com"}, "dial tcp 10.0.0.1:443: i/o timeout"); strings.Contains(got, "userland") {
			t.Error(got)
		}
	}
}

// Where forge and registry say nothing both are waited for, half a minute each,
// before the container's own time is over: else nobody learns the reason.
func TestLookWaitsForEachAddress(t *testing.T) {
	r, err := New(private("https://hg.example.org"))
	if err != nil {
		t.Fatal(err)
	}
	ready := r.resources().Containers[0].Ready.Timeout
	if got := lookTime(2); got <= 2*30*time.Second || got >= ready {
		t.Errorf("a look at two addresses takes up to %s, and the container has %s", got, ready)
	}
}
