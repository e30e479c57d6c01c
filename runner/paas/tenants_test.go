package paas

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// tenants are a forge with two groups, each with an organisation of its own at
// a Clever Cloud whose machines report that their job has succeeded.
type tenants struct {
	t     *testing.T
	forge *heptapodtest.Server
	cloud *clevertest.Cloud
	file  string // of the state
	token string // of the runner
	cache string // what its section says about caches

	mu    sync.Mutex
	files map[string]map[string][]byte // what was handed over, by organisation
}

const (
	orgaOne, tokenOne = "orga_11111111-1111-1111-1111-111111111111", "token-of-one-0123456789"
	orgaTwo, tokenTwo = "orga_22222222-2222-2222-2222-222222222222", "token-of-two-0123456789"
)

func newTenants(t *testing.T) *tenants {
	w := &tenants{t: t, forge: heptapodtest.New(t, heptapodtest.WithLongPoll(time.Second)), cloud: clevertest.New(t),
		file: filepath.Join(t.TempDir(), "state.json"), cache: sharedCache, files: map[string]map[string][]byte{}}
	var err error
	if w.token, err = w.forge.NewRunnerToken(); err != nil {
		t.Fatal(err)
	}
	w.cloud.AddOrganisation(orgaOne, tokenOne)
	w.cloud.AddOrganisation(orgaTwo, tokenTwo)
	w.cloud.Deploy = w.deploy
	for group, attributes := range map[string]map[string]string{
		"one": {"cc_orga_id": orgaOne, "cc_orga_token": tokenOne},
		"two": {"cc_orga_id": orgaTwo, "cc_orga_token": tokenTwo},
		"bar": nil, // pays for nothing
	} {
		w.forge.CreateProject(t, group+"/deep/app", "git")
		for key, value := range attributes {
			w.api(http.MethodPut, "/groups/"+group+"/custom_attributes/"+key, url.Values{"value": {value}})
		}
	}
	return w
}

func (w *tenants) api(method, path string, form url.Values) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.forge.URL+"/api/v4"+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Private-Token", w.forge.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// deploy is the machine of an application: its runner says that the job has
// succeeded.
func (w *tenants) deploy(a clevertest.App, files map[string][]byte) {
	w.mu.Lock()
	w.files[a.Organisation] = files
	w.mu.Unlock()
	w.cloud.SetState(a.ID, "OK")
	var job struct {
		ID    int64
		Token string
	}
	if err := json.Unmarshal(files["job.json"], &job); err != nil {
		w.t.Errorf("the job of %s: %v", a.Name, err)
		return
	}
	for _, state := range []string{"running", "success"} {
		body, _ := json.Marshal(map[string]any{"token": job.Token, "state": state})
		req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/api/v4/jobs/%d", w.forge.URL, job.ID), bytes.NewReader(body))
		if err != nil {
			w.t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Error(err)
			return
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			w.t.Errorf("job %d says that it is %s: %s", job.ID, state, resp.Status)
		}
	}
}

// sharedCache is one bucket for all tenants.
const sharedCache = `
[runners.cache]
Type = "s3"
Shared = true
[runners.cache.s3]
ServerAddress = "cellar.example.org"
BucketName = "caches"
`

func (w *tenants) config() Config {
	w.t.Helper()
	cfg, _, err := Read(fmt.Appendf(nil, `concurrent = 4
check_interval = 1
job_progress_poll_interval = 1
state_file = %q

[[runners]]
name = "tenants"
url = %q
token = %q
executor = "clever-docker"
cc_multi_tenant = true
cc_gitlab_namespace_attributes_token = %q
cc_api_url = %q
cc_deployment_repo_wait_step = 1
cc_extra_env = {CC_ENABLE_HEPTAPOD_RUNNER = "true"}
%s
[runners.docker]
image = "debian:13"
volumes = ["/cache", "/data:/data:ro"]
shm_size = 4096
pull_policy = ["if-not-present"]
[[runners.docker.services]]
name = "postgres:17"
alias = "db"
`, w.file, w.forge.URL, w.token, w.forge.Token, w.cloud.URL+"/v2", w.cache))
	if err != nil {
		w.t.Fatal(err)
	}
	return cfg
}

// manage runs a manager until stop is called, which gives its log.
func (w *tenants) manage() (stop func() string) {
	w.t.Helper()
	cfg := w.config()
	journal, err := OpenJournal(cfg.StateFile)
	if err != nil {
		w.t.Fatal(err)
	}
	var log syncedLog
	m := &Manager{Journal: journal, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Pace: Pace{Sweep: 200 * time.Millisecond, Grace: time.Millisecond}}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, cfg, nil) }()
	stop = sync.OnceValue(func() string {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		journal.Close()
		return log.text()
	})
	w.t.Cleanup(func() {
		if said := stop(); w.t.Failed() {
			w.t.Log(said)
		}
	})
	return stop
}

type syncedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *tenants) push(group string) {
	w.t.Helper()
	at := &url.URL{Scheme: "http", Host: strings.TrimPrefix(w.forge.URL, "http://"), Path: "/" + group + "/deep/app.git", User: url.UserPassword("root", w.forge.Token)}
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte("build:\n  script: [make]\n  services: [redis:8]\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "begin"}, {"push", "-q", at.String(), "main"},
	} {
		cmd := exec.CommandContext(w.t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}

// job waits until the job of a group is over.
func (w *tenants) job(group string) *heptapodtest.Job {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	p, err := w.forge.WaitPipeline(ctx, group+"/deep/app", "main")
	if err != nil {
		w.t.Fatal(err)
	}
	j, err := p.Job("build")
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

func (w *tenants) nothingAlive(t *testing.T) {
	t.Helper()
	tick, until := time.NewTicker(50*time.Millisecond), time.Now().Add(time.Minute)
	defer tick.Stop()
	for ; len(w.cloud.Alive()) > 0; <-tick.C {
		if time.Now().After(until) {
			t.Fatalf("left: %+v", w.cloud.Alive())
		}
	}
}

// Two tenants from end to end: each job's host is made in the organisation of
// its own group, with that one's token alone; a group without an organisation
// gets a failed job and no host. What a killed manager left in either
// organisation is found again, by the state file and without it.
func TestTwoTenants(t *testing.T) {
	w := newTenants(t)
	stop := w.manage()
	for _, group := range []string{"one", "two", "bar"} {
		w.push(group)
	}
	one, two, bar := w.job("one"), w.job("two"), w.job("bar")
	if one.Status != "success" || two.Status != "success" || bar.Status != "failed" {
		t.Errorf("jobs %s, %s, %s", one.Status, two.Status, bar.Status)
	}
	w.nothingAlive(t)
	stop()
	payer := map[string]string{}
	for _, a := range w.cloud.Ledger() {
		payer[a.Name] = a.Organisation
	}
	short := w.config().Runners[0].Short()
	if len(payer) != 2 || payer[HostName(short, one.ID)] != orgaOne || payer[HostName(short, two.ID)] != orgaTwo {
		t.Errorf("hosts and who paid for them: %v", payer)
	}
	for organisation, files := range w.files {
		for name, text := range files {
			for _, secret := range []string{tokenOne, tokenTwo, w.forge.Token} {
				if bytes.Contains(text, []byte(secret)) {
					t.Errorf("%s of a host of %s holds a token of the manager's side", name, organisation)
				}
			}
		}
	}
	state, err := os.ReadFile(w.file)
	if err != nil || bytes.Contains(state, []byte(tokenOne)) || bytes.Contains(state, []byte(tokenTwo)) {
		t.Errorf("the state file: %v\n%s", err, state)
	}

	for name, lose := range map[string]bool{"by the state file": false, "without it": true} {
		t.Run("sweep "+name, func(t *testing.T) {
			w.cloud.PlantIn(orgaOne, HostName(short, one.ID))
			w.cloud.PlantIn(orgaTwo, HostName(short, two.ID))
			if lose {
				if err := os.Remove(w.file); err != nil {
					t.Fatal(err)
				}
			}
			stop := w.manage()
			w.nothingAlive(t)
			stop()
		})
	}
}

// What a section says about services, caches and docker arrives on the host as
// it was written, and what a job says about its services in the job.
func TestKeysArriveOnTheHost(t *testing.T) {
	w := newTenants(t)
	stop := w.manage()
	w.push("one")
	if j := w.job("one"); j.Status != "success" {
		t.Fatalf("the job is %s", j.Status)
	}
	stop()
	files := w.files[orgaOne]
	var host struct {
		Runners []struct {
			Executor string
			Cache    map[string]any
			Docker   map[string]any
		}
	}
	if err := toml.Unmarshal(files["runner.toml"], &host); err != nil || len(host.Runners) != 1 {
		t.Fatalf("%v\n%s", err, files["runner.toml"])
	}
	got := fmt.Sprint(host.Runners[0])
	want := "{docker map[Shared:true Type:s3 s3:map[BucketName:caches ServerAddress:cellar.example.org]] " +
		"map[image:debian:13 pull_policy:[if-not-present] services:[map[alias:db name:postgres:17]] shm_size:4096 volumes:[/cache /data:/data:ro]]}"
	if got != want {
		t.Errorf("on the host is\n%s\nwant\n%s", got, want)
	}
	var job struct{ Services []struct{ Name string } }
	if err := json.Unmarshal(files["job.json"], &job); err != nil || len(job.Services) != 1 || job.Services[0].Name != "redis:8" {
		t.Errorf("services of the job: %+v, %v", job, err)
	}
}

// With cc_cellar_attributes each tenant's hosts get the bucket of its own group
// and nobody else's keys; a group without one gets no bucket.
func TestEachTenantHasItsBucket(t *testing.T) {
	w := newTenants(t)
	w.cache = "cc_cellar_attributes = true\n[runners.cache]\nType = \"s3\"\n[runners.cache.s3]\nServerAddress = \"cellar.example.org\"\n"
	for key, value := range map[string]string{cellarBucket: "caches-of-one", cellarKeyID: "KEYONE", cellarSecret: "secret-of-one"} {
		w.api(http.MethodPut, "/groups/one/custom_attributes/"+key, url.Values{"value": {value}})
	}
	stop := w.manage()
	for _, group := range []string{"one", "two"} {
		w.push(group)
		if j := w.job(group); j.Status != "success" {
			t.Fatalf("the job of %s is %s", group, j.Status)
		}
	}
	said := stop()
	for organisation, want := range map[string]string{
		orgaOne: "map[Type:s3 s3:map[AccessKey:KEYONE BucketName:caches-of-one SecretKey:secret-of-one ServerAddress:cellar.example.org]]", orgaTwo: "map[]"} {
		var host struct {
			Runners []struct{ Cache map[string]any }
		}
		if err := toml.Unmarshal(w.files[organisation]["runner.toml"], &host); err != nil || len(host.Runners) != 1 || fmt.Sprint(host.Runners[0].Cache) != want {
			t.Errorf("%s: %v, %v, want %s", organisation, host, err, want)
		}
	}
	state, err := os.ReadFile(w.file)
	if err != nil || strings.Contains(said+string(state), "secret-of-one") {
		t.Errorf("the key of the bucket is in the log or the state file, %v", err)
	}
}

// What does not go with buckets of the tenants is told at its key.
func TestCellarAttributes(t *testing.T) {
	for more, want := range map[string]string{
		"cc_multi_tenant = true\ncc_gitlab_namespace_attributes_token = 'x'": "cc_cellar_attributes: needs [runners.cache]",
		"cc_orga_id = 'o'\ncc_token = 't'":                                   "cc_cellar_attributes: is for cc_multi_tenant = true",
		"cc_multi_tenant = true\ncc_gitlab_namespace_attributes_token = 'x'\n[runners.cache]\nType = 's3'\n[runners.cache.s3]\nBucketName = 'b'":    "cache.s3.BucketName: comes from the custom attributes",
		"cc_multi_tenant = true\ncc_gitlab_namespace_attributes_token = 'x'\n[runners.cache]\nType = 's3'\n[runners.cache.s3]\nServerAddress = 'c'": "",
	} {
		_, warnings, err := Read([]byte("state_file='x'\n[[runners]]\nurl='https://f'\ntoken='abcdefghij'\nexecutor='clever-docker'\ncc_cellar_attributes = true\n" + more + "\n"))
		if want == "" && (err != nil || strings.Contains(fmt.Sprint(warnings), "one cache for all tenants")) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s:\ngot %v, %v, want %q", more, err, warnings, want)
		}
	}
}
