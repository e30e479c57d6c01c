package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fetched are the files of a job that a forge gave away.
func fetched(t *testing.T, forge http.HandlerFunc) (config, job string) {
	t.Helper()
	s := httptest.NewServer(forge)
	t.Cleanup(s.Close)
	dir := t.TempDir()
	config, job = filepath.Join(dir, "runner.toml"), filepath.Join(dir, "job.json")
	for file, text := range map[string]string{
		config: fmt.Sprintf("[[runners]]\nurl = %q\ntoken = 'glrt-s3cr3ts3cr3t'\nexecutor = 'docker'\n", s.URL),
		job:    `{"id":7,"token":"s3cr3tjob"}`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config, job
}

// A job that is not ours any more is left alone, which the exit code says.
func TestExecFetchedJobThatIsOver(t *testing.T) {
	config, job := fetched(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"403 Forbidden  - Job is not running"}`, http.StatusForbidden)
	})
	code, out, errs := invoke("paas", "exec-fetched-job", "--config", config, "--runner", "/no/such/runner", job)
	if code != exitJobGone || out != "" || strings.Contains(errs, "s3cr3t") {
		t.Errorf("exit code %d, %q\n%s", code, out, errs)
	}
}

// A runner that does not do its work is told about, here and in the forge.
func TestExecFetchedJobBreaks(t *testing.T) {
	var mu sync.Mutex
	var said []string
	config, job := fetched(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		var in struct {
			State  string
			Reason string `json:"failure_reason"`
		}
		_ = json.Unmarshal(data, &in)
		mu.Lock()
		said = append(said, strings.TrimSpace(r.Method+" "+in.State+" "+in.Reason))
		mu.Unlock()
		if r.Method == http.MethodPatch {
			w.WriteHeader(http.StatusAccepted)
		}
	})
	code, _, errs := invoke("paas", "exec-fetched-job", "--config", config, "--runner", "/bin/false", "--address", "127.0.0.1", job)
	if code != exitFailure || !strings.Contains(errs, "The runner ended before the job did: exit status 1") || strings.Contains(errs, "s3cr3t") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) == 0 || said[len(said)-1] != "PUT failed runner_system_failure" {
		t.Errorf("the forge heard %q", said)
	}
}

func TestExecFetchedJobWrongFiles(t *testing.T) {
	config, job := fetched(t, func(http.ResponseWriter, *http.Request) { t.Error("the forge was called") })
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no job":        {[]string{"--config", config}, exitUsage, "takes the file of one job"},
		"missing job":   {[]string{"--config", config, "/no/such/job.json"}, exitFailure, "read job: open /no/such/job.json"},
		"no JSON":       {[]string{"--config", config, config}, exitFailure, "read job: not valid JSON"},
		"no config":     {[]string{"--config", "/no/such/runner.toml", job}, exitFailure, "read the runner's section"},
		"empty section": {[]string{"--config", empty, job}, exitFailure, "there is no [[runners]] section"},
		"no TOML":       {[]string{"--config", job, job}, exitFailure, "read runner.toml: not valid TOML"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := invoke(append([]string{"paas", "exec-fetched-job"}, c.args...)...)
			if code != c.code || !strings.Contains(errs, c.says) || strings.Contains(errs, "s3cr3t") {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, errs)
			}
		})
	}
}
