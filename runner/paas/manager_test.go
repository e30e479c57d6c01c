package paas

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/secret"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// host is what a host does with what it is given: it runs the job and answers
// for it.
func host(ctx context.Context, forge string, files map[string][]byte) error {
	var job struct {
		ID    int64
		Token string
	}
	if err := json.Unmarshal(files["job.json"], &job); err != nil {
		return err
	}
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "", fmt.Sprintf(`{"token":%q,"state":"running"}`, job.Token)},
		{"PATCH", "/trace", "done by the host\n"},
		{"PUT", "", fmt.Sprintf(`{"token":%q,"state":"success"}`, job.Token)},
	} {
		req, err := http.NewRequestWithContext(ctx, c.method, fmt.Sprintf("%s/api/v4/jobs/%d%s", forge, job.ID, c.path), strings.NewReader(c.body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Job-Token", job.Token)
		if c.method == "PATCH" {
			req.Header.Set("Content-Type", "text/plain")
			req.Header.Set("Content-Range", fmt.Sprintf("0-%d", len(c.body)-1))
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("%s %s: %s", c.method, c.path, resp.Status)
		}
	}
	return nil
}

// configured is a configuration with one runner of the forge at the cloud.
func configured(t *testing.T, f *forged, c *clevertest.Cloud, more string) Config {
	t.Helper()
	cfg, _, err := Read(fmt.Appendf(nil, `
state_file = %q
check_interval = 0.02
job_progress_poll_interval = 0.05
[[runners]]
name = "on demand"
url = %q
token = %q
executor = "clever-docker"
cc_orga_id = %q
cc_token = %q
cc_api_url = %q
cc_deployment_repo_wait_step = 0.01
%s`, filepath.Join(t.TempDir(), "state.json"), f.URL, f.poll.Token.Reveal(), clevertest.Organisation, clevertest.Token, c.URL+"/v2", more))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// fast is a pace for real time.
var fast = Pace{Heartbeat: 10 * time.Second, Sweep: 50 * time.Millisecond, Grace: 200 * time.Millisecond, Retry: 5 * time.Millisecond, Stop: time.Second}

// managed runs a manager until the test ends, or until stop, and gives its log.
func managed(t *testing.T, cfg Config, m *Manager) (log *bytes.Buffer, stop func()) {
	t.Helper()
	if m.Journal == nil {
		j, err := OpenJournal(cfg.StateFile)
		if err != nil {
			t.Fatal(err)
		}
		m.Journal = j
	}
	log = &bytes.Buffer{}
	m.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if m.Pace == (Pace{}) {
		m.Pace = fast
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, cfg, nil) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := m.Journal.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	}
	t.Cleanup(stop)
	return log, stop
}

// phase is that of a job, empty when there is no record of it.
func (m *Manager) phase(job int64) Phase {
	for _, r := range m.Journal.Records() {
		if r.Job == job {
			return r.Phase
		}
	}
	return ""
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// A job is taken from a forge, gets a host, is run by it and leaves nothing.
func TestManagerRunsAJob(t *testing.T) {
	f := forge(t)
	c := clevertest.New(t)
	m := &Manager{}
	c.Deploy = func(a clevertest.App, files map[string][]byte) {
		c.SetState(a.ID, "OK")
		eventually(t, "phase running", func() bool { return m.phase(1) == Running })
		if err := host(t.Context(), f.URL, files); err != nil {
			t.Error(err)
		}
	}
	log, stop := managed(t, configured(t, f, c, ""), m)
	f.push()
	eventually(t, "the end of the job", func() bool { return f.job().Status == "success" })
	eventually(t, "the end of the host", func() bool { return len(c.Ledger()) == 1 && len(c.Alive()) == 0 && len(m.Journal.Records()) == 0 })
	var b strings.Builder
	if err := m.WriteMetrics(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`hepta_paas_jobs_total{runner="on demand"} 1`, `hepta_paas_launch_seconds_count{runner="on demand"} 1`, "hepta_paas_removals_failing 0"} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, b.String())
		}
	}
	stop()
	if text := log.String(); strings.Contains(text, clevertest.Token) || strings.Contains(text, f.poll.Token.Reveal()) {
		t.Errorf("the log has secrets:\n%s", text)
	}
	if a := c.Ledger()[0]; a.Pushes != 1 || a.Body["minFlavor"] != "heptapod-runner-S" {
		t.Errorf("%+v", a)
	}
}

// What heptapod-paas-runner has left is taken over: hosts of jobs that are over
// go, also those that were to go before; what belongs to nobody here is kept.
func TestTakesOverAStateFile(t *testing.T) {
	f := forge(t)
	c := clevertest.New(t)
	for _, name := range []string{"hpd-job-kvzWdEMo-275833", "hpd-job-other-1", "hpd-job-kvzWdEMo-275835", "hpd-job-kvzWdEMo-275830"} {
		c.Plant(name)
	}
	cfg := configured(t, f, c, "")
	old, err := os.ReadFile("testdata/state-newest.json")
	if err != nil {
		t.Fatal(err)
	}
	// There the first application is app_1 and the one to go is app_0.
	text := strings.ReplaceAll(string(old), `"app_0"`, `"app_4"`)
	if err := os.WriteFile(cfg.StateFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Runners[0].Token = secret.New("kvzWdEMoxxxxxxxxxxxx")
	m := &Manager{}
	_, stop := managed(t, cfg, m)
	eventually(t, "the end of the hosts", func() bool { return len(c.Alive()) == 1 && len(m.Journal.Records()) == 1 })
	stop()
	if left := c.Alive()[0].Name; left != "hpd-job-other-1" {
		t.Errorf("left %s", left)
	}
	data, err := os.ReadFile(cfg.StateFile)
	if err != nil {
		t.Fatal(err)
	}
	var now struct {
		Launched, Pending, Leaving []json.RawMessage
		Statistics                 map[string]int
	}
	if err := json.Unmarshal(data, &now); err != nil {
		t.Fatal(err)
	}
	if len(now.Launched) != 1 || !strings.Contains(string(now.Launched[0]), "hpd-job-local123-7") || len(now.Pending) != 0 || now.Statistics["total"] != 3 {
		t.Errorf("%s", data)
	}
}

// The calls for one job are those of heptapod-paas-runner, and no others.
func TestCallsForAJob(t *testing.T) {
	f := forge(t)
	c := clevertest.New(t)
	c.Begin("OK")
	m := &Manager{}
	c.Deploy = func(a clevertest.App, files map[string][]byte) {
		eventually(t, "phase running", func() bool { return m.phase(1) == Running })
		if err := host(t.Context(), f.URL, files); err != nil {
			t.Error(err)
		}
	}
	calm := fast
	calm.Sweep = time.Hour
	m.Pace = calm
	_, stop := managed(t, configured(t, f, c, ""), m)
	f.push()
	eventually(t, "the end", func() bool { return len(c.Ledger()) == 1 && len(m.Journal.Records()) == 0 })
	stop()
	var calls []string
	for _, call := range c.Calls() {
		method, path, _ := strings.Cut(call, " ")
		call = method + " " + strings.TrimPrefix(path, "/organisations/"+clevertest.Organisation)
		if path == "/products/flavors" || strings.HasSuffix(path, "/deployments") || call == "GET /applications" {
			continue // asked for all jobs; asked for by nobody else
		}
		calls = append(calls, call)
	}
	want := []string{
		"GET /products/instances", "POST /applications", "PUT /applications/app_1/env", "GET /applications/app_1", "GET /applications/app_1", "DELETE /applications/app_1",
	}
	if d := cmp.Diff(want, calls); d != "" {
		t.Error(d)
	}
}

// A state file that lies open, as a copy of an older one may, is told, and is
// for its owner alone from the first write on.
func TestStateFileThatLiesOpen(t *testing.T) {
	f := forge(t)
	c := clevertest.New(t)
	cfg := configured(t, f, c, "")
	if err := os.WriteFile(cfg.StateFile, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(cfg.StateFile, 0o644); err != nil {
		t.Fatal(err)
	}
	m := &Manager{}
	log, stop := managed(t, cfg, m)
	eventually(t, "the manager's work", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.lanes) > 0
	})
	stop()
	if info, err := os.Stat(cfg.StateFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if text := log.String(); !strings.Contains(text, "everybody on this machine could read the state file") || !strings.Contains(text, "mode=0644") {
		t.Error(text)
	}
}
