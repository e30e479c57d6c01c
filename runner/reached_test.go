package runner

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
)

// looks are the calls of a plan that see what jobs reach.
func looks(plan *converge.Plan) []string { return tasks(plan, "see") }

// tasks are those of a plan that have the verb, each with its cause.
func tasks(plan *converge.Plan, verb string) []string {
	var out []string
	for _, o := range plan.Operations {
		if o.Kind == converge.RunTask && o.Task.Verb == verb {
			out = append(out, o.Name()+": "+o.Cause)
		}
	}
	return out
}

// An authority that changes is there before somebody looks what jobs reach: the
// Engine refuses a container that binds a file which is not there.
func TestLooksWaitForTheAuthority(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	another, err := pki.New("another", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cfg.CA = another.Root()
	want := runners(t, cfg).resources()
	plan, err := converge.Up(&want, m.observe(&want))
	if err != nil {
		t.Fatal(err)
	}
	var look, file *converge.Operation
	for i, o := range plan.Operations {
		switch {
		case o.Kind == converge.RunTask && o.Task.Verb == "see":
			look = &plan.Operations[i]
		case o.Kind == converge.WriteFile && o.Target == FileCA:
			file = &plan.Operations[i]
		}
	}
	if look == nil || file == nil || !slices.Contains(look.After, file.ID) {
		t.Errorf("the plan:\n%s", plan)
	}
}

// unplugged answers for a program on a network without the forge.
func unplugged(o converge.OneOff) string {
	return "ERROR: Verifying runner... error  runner=nobody00 status=couldn't execute POST against https://x/api/v4/runners/verify: Post https://x/api/v4/runners/verify: dial tcp: lookup x on 127.0.0.11:53: no such host\n" +
		"ERROR: Verifying runner... failed  runner=nobody01 status=401 Unauthorized\n"
}

// What jobs were seen to reach is known to the next run, whoever makes it. It
// looks again when they stand elsewhere, and only then.
func TestWhatJobsReachIsRemembered(t *testing.T) {
	const seen, changed = "not yet seen that its jobs reach forge and registry", "its network settings changed"
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"}, Runner{Name: "b", Mode: Plain}, Runner{Name: "idle", Paused: true})
	cfg.Registries = []string{"https://registry.example.org"}
	if plan := m.must(runners(t, cfg)); len(looks(plan)) != 0 || len(m.ran) != 1 {
		t.Errorf("the first up looks %d times, apart from its container %q", len(m.ran), looks(plan))
	}
	if a, b := m.known("a").Reached, m.known("b").Reached; a == "" || a != b || m.known("idle").Reached != "" {
		t.Errorf("noted %q and %q for jobs that stand together, and for one that takes none %q", a, b, m.known("idle").Reached)
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string
		ran    int
	}{
		{"what has nothing to do with it", func(c *Config) {
			c.Runners[0].Tags, c.Runners[0].Image, c.Runners[0].Environment = []string{"x"}, "docker:28", []string{"OTHER=1"}
		}, nil, 0},
		{"another program that looks", func(c *Config) { c.Image = "gitlab/gitlab-runner:v18.0.0" }, nil, 1}, // for the new container
		{"a network", func(c *Config) { c.Runners[0].Docker = map[string]any{"network_mode": "jobs"} }, []string{"see runner a: " + changed}, 1},
		{"a name", func(c *Config) {
			c.Runners[1].Docker = map[string]any{"extra_hosts": []any{"x.y:10.0.0.1"}}
		}, []string{"see runner b: " + changed}, 1},
		{"a proxy", func(c *Config) { c.Runners[1].Environment = []string{"https_proxy=http://user:canary@proxy:1"} }, []string{"see runner b: " + changed}, 1},
		{"an authority", func(c *Config) {
			c.Runners[0].Docker["volumes"] = []string{"/srv/lab/my/ca.crt:/etc/ssl/certs/my.crt:ro"}
		}, []string{"see runner a: " + changed}, 1},
		{"a registry", func(c *Config) { c.Registries = []string{"https://other.example.org"} }, []string{"see runner a: " + changed, "see runner b: " + changed}, 2},
		{"no pause any more", func(c *Config) { c.Runners[2].Paused = false }, []string{"see runner idle: " + seen}, 1},
		{"all paused", func(c *Config) {
			for i := range c.Runners {
				c.Runners[i].Paused, c.Runners[i].Docker = true, map[string]any{"network_mode": "away"}
			}
		}, nil, 0},
	} {
		c.change(&cfg)
		m.ran = nil
		r := runners(t, cfg)
		if plan := m.must(r); !slices.Equal(looks(plan), c.want) || len(m.ran) != c.ran {
			t.Errorf("%s: %d containers, want %d; %q, want %q", c.name, len(m.ran), c.ran, looks(plan), c.want)
		}
		m.settled(runners(t, cfg))
	}
}

// A stack of a release that noted nothing looks once, and all that is alike is
// one look.
func TestNotedNothing(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"}, Runner{Name: "b", Mode: Plain}, Runner{Name: "there", Token: NewSecret("glrt-canary-there")})
	m.must(runners(t, cfg))
	m.files[FileRecords] = regexp.MustCompile(`,\s*"reached": "[0-9a-f]+"`).ReplaceAllString(m.files[FileRecords], "")
	if m.known("a").Reached != "" {
		t.Fatal(m.files[FileRecords])
	}
	m.ran = nil
	const seen = ": not yet seen that its jobs reach forge and registry"
	if got := looks(m.must(runners(t, cfg))); !slices.Equal(got, []string{"see runner a" + seen, "see runner b" + seen, "see runner there" + seen}) || len(m.ran) != 1 {
		t.Errorf("%d containers for %q", len(m.ran), got)
	}
}

// A registration token that is all there is does not say whether a runner is
// online; what its jobs reach is seen.
func TestReachedWithoutAPI(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"})
	cfg.Forge = Forge{URL: f.URL, RegistrationToken: NewSecret(f.registration)}
	m.must(runners(t, cfg))
	cfg.Runners = append(slices.Clone(cfg.Runners), Runner{Name: "b", Docker: map[string]any{"network_mode": "jobs"}})
	m.ran = nil
	if plan := m.must(runners(t, cfg)); len(m.ran) != 1 || m.known("b").Reached == "" {
		t.Errorf("%d looks\n%s", len(m.ran), plan)
	}
}

// What jobs do not reach is told by every run until they do, in the same words,
// also where they once did.
func TestUnreachedIsNotForgotten(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"}, Runner{Name: "well", Docker: map[string]any{"network_mode": "well"}})
	says := func(o converge.OneOff) string {
		if len(o.Container.Networks) > 0 {
			return "ERROR: Verifying runner... is removed   runner=nobody00"
		}
		return unplugged(o)
	}
	twice := func(how string) {
		t.Helper()
		m.says = says
		var words [2]string
		for i := range words {
			plan, err := m.apply(runners(t, cfg))
			if !errors.Is(err, ErrUnreached) || strings.Contains(err.Error(), "runner well") {
				t.Fatalf("%s, up %d: %v\n%s", how, i+1, err, plan)
			}
			_, words[i], _ = strings.Cut(fault.Describe(err), ": ")
		}
		if diff := cmp.Diff(words[0], words[1]); diff != "" {
			t.Errorf("%s, the second up says another thing:\n%s", how, diff)
		}
		m.says = nil
		m.must(runners(t, cfg))
	}
	twice("from nothing")
	cfg.Runners[0].Environment = []string{"HTTPS_PROXY=http://proxy:1"}
	twice("changed")
	m.ended = true
	twice("reached before, stopped since")
	m.says = says
	_, err := m.apply(runners(t, at(f, Runner{Name: "new"}, cfg.Runners[0], cfg.Runners[1])))
	if !errors.Is(err, ErrUnreached) || !strings.Contains(err.Error(), "runner new") {
		t.Errorf("one more: %v", err)
	}
}

// Verdicts say of each runner that takes jobs whether these reach what they
// need, in words about that runner, and nothing is changed.
func TestVerifyLooksWhatJobsReach(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"}, Runner{Name: "alike", Mode: Plain}, Runner{Name: "well", Docker: map[string]any{"network_mode": "well"}},
		Runner{Name: "idle", Paused: true}, Runner{Name: "dead"})
	m.must(runners(t, cfg))
	f.lose(m.known("dead").ID)
	m.byHand("hand", f.URL, "canary-hand")
	m.says = func(o converge.OneOff) string {
		if len(o.Container.Networks) > 0 {
			return "ERROR: Verifying runner... is removed   runner=nobody00"
		}
		return unplugged(o)
	}
	cfg.Runners = append(slices.Clone(cfg.Runners), Runner{Name: "new"})
	for _, fix := range []bool{false, true} {
		before := m.files[FileRecords] + m.files[FileConfig]
		ro := runners(t, cfg).roster(m)
		verify := ro.Verify
		if fix {
			verify = ro.Repair
		}
		list, err := verify(t.Context())
		if err != nil || !ro.Looks(list) {
			t.Fatal(err, list)
		}
		m.ran = nil
		if err := ro.Reach(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range list {
			reached := "-"
			if v.Reached != nil {
				reached = fmt.Sprint(*v.Reached)
			}
			got = append(got, v.Name+" "+reached)
			if lost := reached == "false"; lost != strings.Contains(v.Problem, "a job of runner "+v.Name+" cannot: dial tcp: lookup x") || lost != strings.Contains(v.Remedy, "extra_hosts") {
				t.Errorf("%s: %s: %s", v.Name, v.Problem, v.Remedy)
			}
			if dead := v.Name == "dead" && !fix; dead != strings.Contains(v.Problem, "the forge rejects its token; ") || dead != strings.Contains(v.Remedy, "verify --fix Give") {
				t.Errorf("%s: %s: %s", v.Name, v.Problem, v.Remedy)
			}
		}
		want := []string{"a false", "alike false", "well true", "idle -", "dead false", "hand -", "new -"}
		if diff := cmp.Diff(want, got); diff != "" || !fix && m.files[FileRecords]+m.files[FileConfig] != before {
			t.Errorf("fix %v: %s", fix, diff)
		}
	}
}

// A container that starts is waited for until its jobs reach everything: no task
// looks beside it.
func TestStoppedContainerLooksItself(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	m.ended, m.ran = true, nil
	cfg.Runners[0].Docker = map[string]any{"network_mode": "jobs"}
	if plan := m.must(runners(t, cfg)); len(looks(plan)) != 0 || len(m.ran) != 1 {
		t.Errorf("%d looks\n%s", len(m.ran), plan)
	}
}

// What is just coming up may be there a moment later.
func TestReachedAtTheSecondTry(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	m.ran = nil
	m.says = func(o converge.OneOff) string {
		if len(m.ran) < 2 {
			return unplugged(o)
		}
		return "ERROR: Verifying runner... is removed   runner=nobody00"
	}
	cfg.Runners[0].Docker = map[string]any{"network_mode": "jobs"}
	if plan := m.must(runners(t, cfg)); len(m.ran) != 2 {
		t.Errorf("%d looks\n%s", len(m.ran), plan)
	}
}

// The fingerprint is the same in every release, or everybody's plan has
// something to do after an upgrade.
func TestFingerprintOfAStand(t *testing.T) {
	cfg := private("https://hg.example.org")
	x := cfg.withDefaults().Runners[0]
	g := jobPlace{Name: "dind", URL: "https://hg.example.org", CA: "/etc/hepta/ca/ca.crt", Environment: []string{"HTTPS_PROXY=http://proxy:1"}}
	g.Docker.Network, g.Docker.ExtraHosts, g.Docker.Volumes = "jobs", []string{"a.b:10.0.0.1"}, []string{"/srv/lab/ca/ca.crt:/etc/x.crt:ro"}
	if got := cfg.stand(cfg.probes(x, g)); got != "91cb8f609309416b" {
		t.Errorf("it is %s", got)
	}
	other := cfg
	other.CA = []byte("another authority")
	if other.stand(other.probes(x, g)) == cfg.stand(cfg.probes(x, g)) {
		t.Error("another authority is not seen")
	}
}

// Nothing of what is noted is a secret, and a file with it is read as it was.
func TestRecordsRoundTrip(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a", Environment: []string{"HTTPS_PROXY=http://user:canary@proxy:1"}})
	m.must(runners(t, cfg)) // settled looks for the canary
	known, err := parseRecords([]byte(m.files[FileRecords]))
	if err != nil {
		t.Fatal(err)
	}
	a := known["a"]
	a.Heard = noon
	known["a"] = a
	content, err := known.content()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseRecords(content)
	if diff := cmp.Diff(known, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
