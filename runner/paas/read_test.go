package paas

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/secret"
)

func load(t *testing.T, name string) (Config, []Problem) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, warnings
}

var plain = cmp.Options{
	cmp.Comparer(func(a, b secret.Value) bool { return a.Reveal() == b.Reveal() }),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".section" }, cmp.Ignore()),
}

// The documented example, with the documented spelling.
func TestReadSingleOrganisation(t *testing.T) {
	got, warnings := load(t, "single.toml")
	want := Config{
		Concurrent: 8, CheckInterval: 3 * time.Second, ProgressInterval: 30 * time.Second,
		StateFile: "/srv/heptapod-runner/paas-runner-state.json", MaxProvisioning: 10, RemoveFailedLaunch: true, LogStatistics: true,
		Runners: []Runner{{
			Line: 4, Name: "clever-cloud", URL: "https://heptapod.example.com", Token: secret.New("D3adNQYu8OCjkYDbwDaG"),
			Executor: CleverDocker, Image: defaultImage,
			Clever: &Clever{
				API: "https://api.clever-cloud.com/v2", AuthScheme: "token", AuthUser: "Jenkins", Zone: "par", Flavor: "M",
				FlavorContext: "heptapod-runner", FlavorPrefix: "heptapod-runner-", Variant: "70d676a0-a775-4dc9-a43d-3121036e8515",
				Env: map[string]string{"CC_ENABLE_HEPTAPOD_RUNNER": "true"}, RepoTimeout: 20 * time.Second, RepoStep: 2 * time.Second,
				Organisation: "orga_07cf2ef0-c9ad-4f04-b492-94c164f95c76", Token: secret.New("bb52e490-d47e-47a4-b190-73e23eb17111"),
			},
		}},
	}
	if d := cmp.Diff(want, got, plain); d != "" {
		t.Error(d)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
}

func TestReadEverything(t *testing.T) {
	got, warnings := load(t, "full.toml")
	want := Config{
		Concurrent: 100, CheckInterval: 5 * time.Second, ProgressInterval: 60500 * time.Millisecond, StateFile: "state.json",
		Quota: &Quota{Line: 13, Runner: "many", Flavor: "M", Jobs: 10}, MaxProvisioning: 4, LaunchSpacing: 500 * time.Millisecond, KeepFinished: true,
		Runners: []Runner{{
			Line: 18, Name: "many", URL: "https://heptapod.example.com", Token: secret.New("glrt-t1_abcdefghijkl"), Executor: CleverDocker, Image: "runner:1", HideToken: true,
			Watch: &Watch{Token: secret.New("watch"), Timeout: time.Minute, Step: time.Second},
			Clever: &Clever{
				API: defaultAPI, AuthScheme: "bearer", AuthUser: "Jenkins", Zone: "par", Flavor: "M", MaxFlavor: "XL",
				FlavorContext: "ctx", FlavorPrefix: "ctx-", Variant: defaultVariant, Env: map[string]string{"A": "b", "N": "3", "T": "true", "CC_ENABLE_HEPTAPOD_RUNNER": "true"},
				RepoTimeout: 20 * time.Second, RepoStep: 2 * time.Second,
				Tenants: true, AttributeToken: secret.New("attr"), OrgaAttribute: "cc_orga_id", TokenAttribute: "cc_orga_token",
			},
		}, {
			Line: 39, Name: "here", URL: "http://127.0.0.1:8080", Token: secret.New("glrt-t1_zyxwvutsrqpo"), Executor: LocalDocker, Image: defaultImage,
			Socket: "unix:///run/docker.sock",
		}},
	}
	if d := cmp.Diff(want, got, plain); d != "" {
		t.Error(d)
	}
	wantWarnings := []Problem{
		{11, "paas_speed", "is not known and has no effect"},
		{25, "cc_orga_id", "has no effect with cc_multi_tenant: each top-level group has its own"},
		{28, "cc_flavour", "is not known and has no effect"},
	}
	if d := cmp.Diff(wantWarnings, warnings); d != "" {
		t.Error(d)
	}
	// What the modern tokens have in common does not make one name of two runners.
	if a, b := got.Runners[0].Short(), got.Runners[1].Short(); a != "abcdefghi" || b != "zyxwvutsr" {
		t.Errorf("short names %q, %q", a, b)
	}
}

func TestReadRefuses(t *testing.T) {
	const runner = "[[runners]]\nurl = 'https://f'\ntoken = 'abcdefghij'\nexecutor = 'local-docker'\n"
	for name, c := range map[string]struct{ in, want string }{
		"syntax":            {"state_file = 'x'\nconcurrent = = 1", "line 2: not valid TOML at column 14"},
		"nothing":           {"", "state_file: is missing; runners: there is no [[runners]] section"},
		"single bracket":    {"state_file='x'\n[runners]\nname='a'", "line 2: runners: want [[runners]], with two brackets"},
		"both names":        {"concurrent = 1\nconcurrency = 2\nstate_file = 'x'\n" + runner, "line 2: concurrency: is another name of concurrent"},
		"type":              {"concurrent = 'many'\nstate_file = 3\n" + runner, "line 1: concurrent: want a whole number of at least 1; line 2: state_file: want text in quotes"},
		"zero":              {"concurrent = 0\nstate_file='x'\n" + runner, "line 1: concurrent: want a whole number"},
		"negative interval": {"check_interval = -1\nstate_file='x'\n" + runner, "line 1: check_interval: want a number of seconds"},
		"not a number":      {"check_interval = nan\nstate_file='x'\n" + runner, "line 1: check_interval: want a number of seconds"},
		"missing keys":      {"state_file='x'\n\n[[runners]]\nname='a'\nexecutor='clever-docker'", "line 3: url: is missing; line 3: token: is missing; line 3: cc_orga_id: is missing; line 3: cc_token: is missing"},
		"tenants":           {"state_file='x'\n[[runners]]\nurl='https://f'\ntoken='abcdefghij'\nexecutor='clever-docker'\ncc_multi_tenant=true", "line 2: cc_gitlab_namespace_attributes_token: is missing"},
		"executor":          {"state_file='x'\n" + strings.Replace(runner, "local-docker", "docker", 1), "line 5: executor: want clever-docker or local-docker"},
		"service":           {"state_file='x'\n" + strings.Replace(runner, "local-docker", "clever-service-docker", 1), "line 5: executor: clever-service-docker keeps a helper service"},
		"url":               {"state_file='x'\n" + strings.Replace(runner, "https://f", "forge", 1), "line 3: url: want http(s)://"},
		"short token":       {"state_file='x'\n" + strings.Replace(runner, "abcdefghij", "glrt-t1_abc", 1), "line 4: token: is too short"},
		"same token":        {"state_file='x'\n" + runner + runner, "line 6: token: begins as that of the runner at line 2"},
		"tcp host":          {"state_file='x'\n" + runner + "host='tcp://1.2.3.4'", "line 6: host: want unix:///path"},
		"auth scheme":       {"state_file='x'\n" + strings.Replace(runner, "local-docker'", "clever-docker'\ncc_auth_scheme='basic'\ncc_orga_id='o'\ncc_token='t'", 1), "line 6: cc_auth_scheme: want token or bearer"},
		"watch":             {"state_file='x'\n" + runner + "[runners.paas_job_trace_watch]\npoll_step=1", "line 6: token: is missing"},
		"quota":             {"state_file='x'\n[quota_computation]\nreference_runner='b'\n" + runner, "line 2: reference_flavor: is missing; line 2: reference_jobs_count: is missing; line 3: reference_runner: there is no runner \"b\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Read([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), "read configuration: "+c.want) {
				t.Errorf("error %v\nwant  %s", err, c.want)
			}
		})
	}
}

// What goes to the host has what the host needs, and none of what it must not see.
func TestInner(t *testing.T) {
	cfg, _ := load(t, "full.toml")
	single, _ := load(t, "single.toml")
	for _, r := range append(cfg.Runners, single.Runners...) {
		data, err := r.Inner()
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := toml.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		section := got["runners"].([]any)[0].(map[string]any)
		if section["executor"] != "docker" || section["token"] != map[bool]string{false: r.Token.Reveal(), true: r.beginning()}[r.HideToken] || section["name"] != r.Name {
			t.Errorf("%s: %v", r.Name, section)
		}
		for key := range section {
			if strings.HasPrefix(key, "cc_") || strings.HasSuffix(key, "job_trace_watch") || key == "host" || key == "heptapod_runner_main_image" {
				t.Errorf("%s: %s goes to the host", r.Name, key)
			}
		}
		if len(got) != 1 {
			t.Errorf("global keys go to the host: %v", got)
		}
		if r.section()["executor"] != string(r.Executor) {
			t.Error("the section was changed")
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	cfg, _ := load(t, "single.toml")
	text := fmt.Sprintf("%v %+v %#v %+v", cfg, cfg, cfg, *cfg.Runners[0].Clever)
	for _, s := range []string{"D3adNQYu8OCjkYDbwDaG", "bb52e490"} {
		if strings.Contains(text, s) {
			t.Errorf("%s is printed", s)
		}
	}
}

func TestHostNames(t *testing.T) {
	for name, want := range map[string]int64{
		"hpd-job-kvzWdEMo-275833": 275833, "hpd-job-kvzWdEMo-0": 0, "hpd-job-kvzWdEMo-01": 0, "hpd-job-kvzWdEMo-": 0,
		"hpd-job-kvzWdEMo-+1": 0, "hpd-job-other123-1": 0, "hpd-job-kvzWdEMo-1-2": 0, "web": 0,
	} {
		got, ok := JobOf("kvzWdEMo", name)
		if ok != (want > 0) || ok && got != want {
			t.Errorf("%s: %d %v, want %d", name, got, ok, want)
		}
	}
	if got := HostName("kvzWdEMo", 275833); got != "hpd-job-kvzWdEMo-275833" {
		t.Error(got)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"single.toml", "full.toml"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("runners = [{name='a'}]\nstate_file=''"))
	f.Add([]byte("[[runners]]\n[[runners.x]]\n[[runners]]\n[a.b]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, warnings, err := Read(data)
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range warnings {
			if p.Line < 1 || p.Line > lines {
				t.Errorf("warning outside of the file: %v", p)
			}
		}
		if err != nil {
			return
		}
		for _, r := range cfg.Runners {
			inner, err := r.Inner()
			if err != nil {
				t.Fatal(err)
			}
			var back map[string]any
			if err := toml.Unmarshal(inner, &back); err != nil {
				t.Fatalf("inner: %v\n%s", err, inner)
			}
		}
	})
}

// A section of several tenants with one cache, and one that lacks what Clever
// Cloud wants, are told where they stand.
func TestReadWarnsOfTenantsAndHosts(t *testing.T) {
	const section = "state_file='x'\n[[runners]]\nurl='https://f'\ntoken='abcdefghij'\nexecutor='clever-docker'\n"
	const single, many = "cc_orga_id='o'\ncc_token='t'\n", "cc_multi_tenant=true\npaas_hide_runner_token=true\ncc_gitlab_namespace_attributes_token='a'\n"
	const enabled = "cc_extra_env={CC_ENABLE_HEPTAPOD_RUNNER='true'}\n"
	const cache = "[runners.cache]\nType='s3'\n[runners.cache.s3]\nSecretKey='s3cr3t'\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"one tenant, with a cache":  {single + enabled + cache, nil},
		"several, without a cache":  {many + enabled, nil},
		"several, a local cache":    {many + enabled + "[runners.cache]\nMaxUploadedArchiveSize=1\n", nil},
		"several, with a cache":     {many + enabled + cache, []string{"line 12: cache.s3: is one cache for all tenants"}},
		"several, in capitals":      {many + enabled + "[runners.Cache.GCS]\nBucketName='b'\n", []string{"line 10: Cache.GCS: is one cache"}},
		"several, with the token":   {strings.Replace(many, "=true\npaas", "=true\n#paas", 1) + enabled, []string{"line 6: cc_multi_tenant: gives the runner's token to hosts"}},
		"not enabled":               {single, []string{"line 2: cc_extra_env: lacks CC_ENABLE_HEPTAPOD_RUNNER"}},
		"not enabled by its value":  {single + "cc_extra_env={CC_ENABLE_HEPTAPOD_RUNNER='no'}\n", []string{"line 8: cc_extra_env: lacks"}},
		"not enabled, with a cache": {many + cache, []string{"line 2: cc_extra_env: lacks", "line 11: cache.s3: is one"}},
	} {
		_, warnings, err := Read([]byte(section + c.text))
		if err != nil || len(warnings) != len(c.want) {
			t.Errorf("%s: %v, %v", name, warnings, err)
			continue
		}
		for i, w := range warnings {
			if !strings.HasPrefix(w.String(), c.want[i]) || strings.Contains(w.String(), "s3cr3t") {
				t.Errorf("%s: %s, want %s", name, w, c.want[i])
			}
		}
	}
}

// Tokens for this side do not go to a host, whatever their keys are called.
func TestInnerHasNoTokensOfThisSide(t *testing.T) {
	cfg, _, err := Read([]byte("state_file='x'\n[[runners]]\nurl='https://f'\ntoken='abcdefghij'\nexecutor='local-docker'\ncc_token='s3cr3t'\nCC_Token='s3cr3t'\npaas-runner-helper-token='s3cr3t'\n" +
		"paas_job_trace_wach={token='s3cr3t'}\npass_token='s3cr3t'\n[runners.docker]\nhost='tcp://1.2.3.4'\n"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := cfg.Runners[0].Inner()
	if err != nil || strings.Contains(string(data), "s3cr3t") || !strings.Contains(string(data), "tcp://1.2.3.4") {
		t.Errorf("%v:\n%s", err, data)
	}
}

// With paas_hide_runner_token hosts get no token that opens anything, and what
// they name after it is called as before.
func TestHiddenRunnerToken(t *testing.T) {
	for token, want := range map[string]string{"abcdefghSECRET": "abcdefgh", "glrt-abcdefghiSECRET": "glrt-t1_abcdefghi", "glrt-t3_t1_cdefghSECRET": "glrt-t1_t1_cdefgh"} {
		cfg, _, err := Read([]byte("state_file='x'\n[[runners]]\nurl='https://f'\ntoken='" + token + "'\nexecutor='local-docker'\npaas_hide_runner_token=true\n"))
		if err != nil {
			t.Fatal(err)
		}
		r := cfg.Runners[0]
		data, err := r.Inner()
		if err != nil || strings.Contains(string(data), "SECRET") || !strings.Contains(string(data), "token = '"+want+"'") || strings.Contains(string(data), "paas_hide") {
			t.Errorf("%v:\n%s", err, data)
		}
		if got := (Runner{Token: secret.New(want)}).Short(); got != r.Short() {
			t.Errorf("%s: hosts call the runner %s, and here it is %s", token, got, r.Short())
		}
	}
}
