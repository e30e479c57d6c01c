package runner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// at is the configuration of one stack against f.
func at(f *forge, list ...Runner) Config {
	return Config{Stack: "lab", Forge: Forge{URL: f.URL, Token: NewSecret(f.pat)}, Runners: list}
}

// runners makes them past Validate, which refuses the loopback address that
// the forge of a test has.
func runners(t *testing.T, cfg Config) *Runners {
	t.Helper()
	url := cfg.Forge.URL
	cfg.Forge.URL = "http://forge.example.org"
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Forge.URL = url
	for i := range r.cfg.Runners {
		if r.cfg.Runners[i].URL == "http://forge.example.org" {
			r.cfg.Runners[i].URL = url
		}
	}
	r.patience, r.round, r.reread, r.reading = 50*time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond
	return r
}

func TestRunnersAreMadeOnce(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "dind", Tags: []string{"docker", "big"}, MaximumTimeout: 900}, Runner{Name: "plain", Mode: Plain})
	m.must(runners(t, cfg))
	if diff := cmp.Diff([]string{"POST user/runners", "POST user/runners"}, f.took()); diff != "" {
		t.Error(diff)
	}
	have, err := holdings([]byte(m.files[FileConfig]))
	if err != nil {
		t.Fatal(err)
	}
	known, err := parseRecords([]byte(m.files[FileRecords]))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dind", "plain"} {
		id := known[name].ID
		if id == 0 || have[name].token.Reveal() != f.tokens[id] {
			t.Errorf("runner %s: id %d", name, id)
		}
		if note := f.get(id, "maintenance_note"); note != "hepta lab/"+name {
			t.Errorf("note %v", note)
		}
	}
	id := known["dind"].ID
	if f.get(id, "run_untagged") != false || f.get(id, "maximum_timeout") != float64(900) || fmt.Sprint(f.get(id, "tag_list")) != "[big docker]" || f.get(id, "runner_type") != "instance_type" {
		t.Errorf("runner %v", f.runners[id])
	}
}

func TestAnotherProcessGoesOn(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	f.took()
	m.settled(runners(t, cfg)) // nothing is remembered outside the host
	m.blind = true             // the container was removed by hand
	if _, err := m.apply(runners(t, cfg)); err != nil {
		t.Fatal(err)
	}
	m.blind = false
	m.settled(runners(t, cfg))
	if calls := f.took(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
}

// What a task found out is forgotten once the files say something else.
func TestOthersMayChangeTheFiles(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	r := runners(t, at(f, Runner{Name: "a"}))
	m.must(r)
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], "canary-1", "canary-rotated", 1)
	m.settled(r)
	m.files[FileRecords] = strings.Replace(m.files[FileRecords], `"id": 1`, `"id": 9`, 1)
	m.settled(r)
}

func TestAttributesAreTold(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	m.must(runners(t, at(f, Runner{Name: "a", Tags: []string{"x"}, MaximumTimeout: 900})))
	f.took()
	plan := m.must(runners(t, at(f, Runner{Name: "a", Tags: []string{"y", "x"}, Paused: true})))
	if diff := cmp.Diff([]string{"PUT runners/1"}, f.took()); diff != "" {
		t.Error(diff)
	}
	want := "call update runner a: tags [x] → [x y], paused false → true, maximum_timeout 900 → 0"
	if !strings.Contains(plan.String(), want) {
		t.Errorf("plan\n%s", plan)
	}
	if f.get(1, "maximum_timeout") != nil || f.get(1, "paused") != true {
		t.Errorf("runner %v", f.runners[1])
	}
}

func TestRunnerThatIsNoLongerDescribed(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	m.must(runners(t, at(f, Runner{Name: "a"}, Runner{Name: "b"})))
	f.took()
	m.files[FileConfig] += "\n[[runners]]\n  name = \"foreign\"\n  token = \"x\"\n"
	m.must(runners(t, at(f, Runner{Name: "a"})))
	if diff := cmp.Diff([]string{"DELETE runners/2"}, f.took()); diff != "" {
		t.Error(diff)
	}
	have, _ := holdings([]byte(m.files[FileConfig]))
	if _, there := have["b"]; there || len(have) != 2 {
		t.Errorf("config.toml\n%s", m.files[FileConfig])
	}
}

// Without any runner described those of before leave the forge and the files,
// and then their container goes. Nothing of a run that was killed on the way
// stays.
func TestNoRunnersAnyMore(t *testing.T) {
	for _, step := range []string{"", FileConfig, FileRecords} {
		t.Run("killed before "+step, func(t *testing.T) {
			f, m := newForge(t), newMachine(t)
			m.must(runners(t, at(f, Runner{Name: "a"}, Runner{Name: "b"})))
			f.took()
			none := func() *Runners { return runners(t, at(f)) }
			if m.die = step; step != "" {
				if _, err := m.apply(none()); err == nil || !m.up {
					t.Fatalf("killed: %v; the container is there: %v", err, m.up)
				}
				m.die = ""
			}
			plan := m.must(none())
			took := f.took()
			slices.Sort(took)
			if took = slices.Compact(took); !slices.Equal(took, []string{"DELETE runners/1", "DELETE runners/2"}) || len(f.runners) != 0 {
				t.Errorf("calls %v, left in the forge %v", took, f.runners)
			}
			if m.up {
				t.Errorf("the container is still there:\n%s", plan)
			}
			if have, err := holdings([]byte(m.files[FileConfig])); err != nil || len(have) != 0 {
				t.Errorf("config.toml holds %v, %v", have, err)
			}
			if known, err := parseRecords([]byte(m.files[FileRecords])); err != nil || len(known) != 0 {
				t.Errorf("records hold %v, %v", known, err)
			}
			// Back again: they are created again.
			m.must(runners(t, at(f, Runner{Name: "a"})))
			if took := f.took(); !slices.Contains(took, "POST user/runners") {
				t.Errorf("calls %v", took)
			}
		})
	}
}

// A stack that never had runners has nothing to do about them.
func TestNeverAnyRunners(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	m.settled(runners(t, at(f)))
	m.up = true // and even where their directory is seen it stays empty
	s := runners(t, at(f)).resources()
	o := m.observe(&s)
	o.Containers = nil
	if plan, err := converge.Up(&s, o); err != nil || !plan.Empty() {
		t.Errorf("%v\n%s", err, plan)
	}
	if calls := f.took(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
}

// A run that is killed after any step is finished by the next one, without a
// second runner in the forge.
func TestKilledAnywhere(t *testing.T) {
	for _, step := range []string{"POST user/runners", FileConfig, FileRecords} {
		t.Run(step, func(t *testing.T) {
			f, m := newForge(t), newMachine(t)
			cfg := at(f, Runner{Name: "a"})
			f.breakAfter, m.die = step, step
			if _, err := m.apply(runners(t, cfg)); err == nil {
				t.Fatal("it was not killed")
			}
			if f.count() != 1 {
				t.Fatalf("%d runners were made", f.count())
			}
			m.die = ""
			m.must(runners(t, cfg))
			if f.count() != 1 {
				t.Errorf("%d runners in the forge", f.count())
			}
			have, _ := holdings([]byte(m.files[FileConfig]))
			if have["a"].token.Reveal() != f.tokens[1] {
				t.Error("config.toml holds another token")
			}
		})
	}
}

func TestLostAnswerAmongManyRunners(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	for range 3 { // ours comes on the second page
		f.add(map[string]any{"description": "a", "maintenance_note": "hepta other/a"}, "")
	}
	cfg := at(f, Runner{Name: "a"})
	f.breakAfter = "POST user/runners"
	if _, err := m.apply(runners(t, cfg)); err == nil {
		t.Fatal("it was not killed")
	}
	f.took()
	m.must(runners(t, cfg))
	if diff := cmp.Diff([]string{"POST runners/4/reset_authentication_token", "PUT runners/4"}, f.took()); diff != "" {
		t.Error(diff)
	}
}

func TestTokenOfAnotherHostIsLeftAlone(t *testing.T) {
	f := newForge(t)
	one, two := newMachine(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"})
	one.must(runners(t, cfg))
	f.is(1, "online", true)
	f.took()
	two.must(runners(t, cfg))
	if diff := cmp.Diff([]string{"POST user/runners"}, f.took()); diff != "" {
		t.Error(diff)
	}
	one.settled(runners(t, cfg))
}

func TestLostConfigToml(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	f.is(1, "online", true)
	f.is(1, "description", "renamed by someone")
	f.took()
	delete(m.files, FileConfig)
	m.must(runners(t, cfg))
	if diff := cmp.Diff([]string{"POST runners/1/reset_authentication_token"}, f.took()); diff != "" {
		t.Error(diff)
	}
}

func TestRunnerDeletedInTheForge(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	m.must(runners(t, at(f, Runner{Name: "a"})))
	f.mu.Lock()
	clear(f.runners)
	clear(f.tokens)
	f.mu.Unlock()
	f.took()
	m.must(runners(t, at(f, Runner{Name: "a", Tags: []string{"now"}})))
	if diff := cmp.Diff([]string{"POST user/runners"}, f.took()); diff != "" {
		t.Error(diff)
	}
	have, _ := holdings([]byte(m.files[FileConfig]))
	if have["a"].token.Reveal() != f.tokens[2] {
		t.Error("config.toml holds the old token")
	}
}

func TestSectionMadeByHandIsAdopted(t *testing.T) {
	for _, old := range []bool{false, true} {
		f, m := newForge(t), newMachine(t)
		f.add(map[string]any{"description": "dind", "maintenance_note": "hepta lab/dind"}, "")
		m.files[FileConfig] = strings.Replace(byHand, "kept-token", f.tokens[1], 1)
		f.plainVerify = old
		m.must(runners(t, at(f, Runner{Name: "dind", Tags: []string{"docker"}})))
		if diff := cmp.Diff([]string{"PUT runners/1"}, f.took()); diff != "" {
			t.Error(diff)
		}
		if s := m.files[FileConfig]; !strings.Contains(s, f.tokens[1]) || !strings.Contains(s, "# do not touch") {
			t.Errorf("config.toml\n%s", s)
		}
	}
}

func TestTokenMadeElsewhere(t *testing.T) {
	m := newMachine(t)
	cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{{Name: "a", URL: "https://other.example.org", Token: NewSecret("glrt-canary-given")}}}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.must(r)
	// The runner exchanges the token by itself; that is kept.
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], "glrt-canary-given", "glrt-canary-rotated", 1)
	m.settled(r)
	cfg.Runners[0].Token = NewSecret("glrt-canary-other")
	if r, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	m.must(r)
	if !strings.Contains(m.files[FileConfig], "glrt-canary-other") {
		t.Errorf("config.toml\n%s", m.files[FileConfig])
	}
}

func TestOwnRunnerBecomesAGivenOne(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	m.must(runners(t, at(f, Runner{Name: "a"})))
	f.took()
	m.must(runners(t, at(f, Runner{Name: "a", Token: NewSecret("glrt-canary-given")})))
	if diff := cmp.Diff([]string{"DELETE runners/1"}, f.took()); diff != "" {
		t.Error(diff)
	}
}

func TestOtherProject(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	m.must(runners(t, at(f, Runner{Name: "a", Project: 7})))
	f.took()
	m.must(runners(t, at(f, Runner{Name: "a", Project: 8})))
	if diff := cmp.Diff([]string{"DELETE runners/1", "POST user/runners"}, f.took()); diff != "" {
		t.Error(diff)
	}
	if f.get(2, "runner_type") != "project_type" || f.get(2, "project_id") != float64(8) {
		t.Errorf("runner %v", f.runners[2])
	}
}

func TestForgeThatCannotCreate(t *testing.T) {
	for _, code := range []int{404, 405} {
		f, m := newForge(t), newMachine(t)
		f.noUserRunners = code
		cfg := at(f, Runner{Name: "a", Tags: []string{"x", "y"}})
		_, err := m.apply(runners(t, cfg))
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(fault.Remedy(err), "registration token") {
			t.Errorf("%d: %v", code, err)
		}
		cfg.Forge.RegistrationToken = NewSecret(f.registration)
		f.took()
		m.must(runners(t, cfg))
		if diff := cmp.Diff([]string{"POST user/runners", "POST runners"}, f.took()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRegistrationTokenAlone(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a", Tags: []string{"x", "y"}}, Runner{Name: "b"})
	cfg.Forge.Token, cfg.Forge.RegistrationToken = Secret{}, NewSecret(f.registration)
	m.must(runners(t, cfg))
	cfg.Runners = cfg.Runners[:1]
	m.must(runners(t, cfg))
	want := []string{"POST runners", "POST runners", "DELETE runners"}
	if diff := cmp.Diff(want, f.took()); diff != "" {
		t.Error(diff)
	}
}

// A token does not tell which kind it is; the forge does.
func TestTokenOfEitherWorld(t *testing.T) {
	for name, c := range map[string]struct {
		token func(*forge) string
		want  []string
	}{
		"api token":          {func(f *forge) string { return f.pat }, []string{"POST user/runners", "PUT runners/1", "DELETE runners/1"}},
		"registration token": {func(f *forge) string { return f.registration }, []string{"POST runners", "DELETE runners", "POST runners", "DELETE runners"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, m := newForge(t), newMachine(t)
			cfg := at(f, Runner{Name: "a", Tags: []string{"x"}}, Runner{Name: "made there", Token: NewSecret("glrt-canary-there")})
			cfg.Runners[1].Name = "there"
			cfg.Forge.Token = NewSecret(c.token(f))
			m.must(runners(t, cfg))
			cfg.Runners[0].Tags = []string{"y"}
			m.must(runners(t, cfg))
			list, err := runners(t, cfg).roster(m).List(t.Context())
			if err != nil || len(list) != 2 {
				t.Errorf("list: %+v, %v", list, err)
			}
			cfg.Runners = cfg.Runners[1:]
			m.must(runners(t, cfg))
			if diff := cmp.Diff(c.want, f.took()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if err := (Config{Forge: Forge{URL: "https://a.b", Token: NewSecret("glrt-canary")}}).Validate(); err == nil ||
		!strings.Contains(fault.Describe(err), "runners[].forge.token_file") || strings.Contains(fault.Describe(err), "canary") {
		t.Errorf("a runner's own token: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*forge, *Config)
		is     error
		remedy string
	}{
		"wrong token": {func(f *forge, cfg *Config) { cfg.Forge.Token = NewSecret("glpat-canary-wrong") }, ErrRefused, "scope api"},
		"wrong registration token": {func(f *forge, cfg *Config) {
			cfg.Forge = Forge{URL: f.URL, RegistrationToken: NewSecret("GR-canary-wrong")}
		}, ErrRefused, "registration token"},
		"neither kind": {func(f *forge, cfg *Config) {
			f.noRegistration = true
			cfg.Forge.Token = NewSecret("glpat-canary-ended")
		}, ErrDisabled, "does not know the token as an API token"},
		"no registration tokens": {func(f *forge, cfg *Config) {
			f.noRegistration = true
			cfg.Forge = Forge{URL: f.URL, RegistrationToken: NewSecret(f.registration)}
		}, ErrDisabled, "allow_runner_registration_token"},
	} {
		t.Run(name, func(t *testing.T) {
			f, m := newForge(t), newMachine(t)
			cfg := at(f, Runner{Name: "a"})
			c.change(f, &cfg)
			_, err := m.apply(runners(t, cfg))
			if !errors.Is(err, c.is) || !strings.Contains(fault.Describe(err), c.remedy) {
				t.Errorf("got %v", fault.Describe(err))
			}
			if strings.Contains(fault.Describe(err), "canary") {
				t.Errorf("a token is in %v", err)
			}
			if _, written := m.files[FileConfig]; written {
				t.Error("config.toml was written")
			}
		})
	}
}

func TestBrokenConfigToml(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	m.must(runners(t, at(f, Runner{Name: "a"})))
	broken := m.files[FileConfig] + "token = glrt-canary\n"
	m.files[FileConfig] = broken
	_, err := m.apply(runners(t, at(f, Runner{Name: "a"})))
	line := fmt.Sprintf("line %d, column 9", strings.Count(broken, "\n"))
	if err == nil || !strings.Contains(err.Error(), line) || strings.Contains(fault.Describe(err), "canary") {
		t.Errorf("got %v, want %s", err, line)
	}
	if m.files[FileConfig] != broken {
		t.Error("the file was changed")
	}
}

// Somebody has registered a runner again under its name: what stands behind
// the first goes, here and in the forge. Sections of other forges and names
// stay, and a copy with the same token must not take the runner along.
func TestDoublesAreRemoved(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"}, Runner{Name: "b"})
	m.must(runners(t, cfg))
	a, b := m.token("a"), m.token("b")
	_, made := f.add(map[string]any{"description": "a"}, "glrt-")
	m.byHand("a", f.URL+"/", made.(map[string]any)["token"].(string))
	m.byHand("a", f.URL, "canary-refused")
	m.byHand("b", f.URL, b)
	m.byHand("a", "https://gitlab.example.com", "canary-far")
	m.byHand("c", f.URL, "canary-other")
	f.took()
	plan := m.must(runners(t, cfg))
	if diff := cmp.Diff([]string{"DELETE runners", "DELETE runners"}, f.took()); diff != "" {
		t.Errorf("%s\n%s", diff, plan)
	}
	if f.count() != 2 || m.token("a") != a || m.token("b") != b {
		t.Errorf("%d runners in the forge\n%s", f.count(), m.files[FileConfig])
	}
	list, err := entries([]byte(m.files[FileConfig]))
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, h := range list {
		left = append(left, h.name+" "+strings.TrimPrefix(h.url, f.URL))
	}
	if diff := cmp.Diff([]string{"a ", "b ", "a https://gitlab.example.com", "c "}, left); diff != "" {
		t.Error(diff)
	}
}
