package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// planVariable makes this test's program a stock runner.
const planVariable = "RELAY_TEST_RUNNER"

func TestMain(m *testing.M) {
	if text := os.Getenv(planVariable); text != "" {
		os.Exit(runStock(text))
	}
	os.Exit(m.Run())
}

// plan is how a stock runner is to behave: it says to the coordinator what
// GitLab Runner 12.8 says, or what 19.4 says.
type plan struct {
	New   bool     // 19.4
	Dir   string   // a line is added to began for each job, and what is waited for appears here
	Steps []string // print TEXT, upload TEXT, await FILE, mark FILE, word STATE (once), die, success, failed
}

// program is a file that behaves so.
func (p plan) program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "gitlab-runner")
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec %s \"$@\"\n", planVariable, data, self)
	if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// stock is a runner at work.
type stock struct {
	plan
	url, token string
	job        struct {
		ID    int64
		Token string
	}
	trace []byte
	sent  int
	over  bool // told to abort
}

func runStock(text string) int {
	s := &stock{}
	if err := json.Unmarshal([]byte(text), &s.plan); err != nil {
		return 90
	}
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	if len(os.Args) < 4 || os.Args[1] != "run" || os.Args[2] != "--config" {
		return 91
	}
	var config struct {
		Runners []struct{ URL, Token, Executor string }
	}
	data, err := os.ReadFile(os.Args[3])
	if err != nil || toml.Unmarshal(data, &config) != nil || len(config.Runners) != 1 || config.Runners[0].Executor != "docker" {
		return 92
	}
	_ = os.WriteFile(filepath.Join(s.Dir, "config.toml"), data, 0o600)
	s.url, s.token = config.Runners[0].URL, config.Runners[0].Token
	// A test that fails leaves no runner behind.
	go func(parent int) {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		os.Exit(94)
	}(os.Getppid())
	for {
		if status, body := s.request(); status == http.StatusCreated {
			_ = os.WriteFile(filepath.Join(s.Dir, "job.json"), body, 0o600)
			if json.Unmarshal(body, &s.job) != nil {
				return 93
			}
			s.run()
		}
		select {
		case <-quit:
			s.note("quit")
			return 0
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *stock) note(line string) {
	f, err := os.OpenFile(filepath.Join(s.Dir, "began"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, line)
		f.Close()
	}
}

func (s *stock) request() (int, []byte) {
	body := map[string]any{"token": s.token, "info": map[string]any{"executor": "docker"}}
	header := http.Header{}
	if s.New {
		body["system_id"] = "s_0123456789ab"
		header.Set("Runner-Token", s.token)
	}
	resp, data := s.call(http.MethodPost, "/jobs/request", body, header)
	if resp == nil || resp.StatusCode == http.StatusCreated && resp.Header.Get("Content-Type") != "application/json" {
		return 0, nil
	}
	return resp.StatusCode, data
}

func (s *stock) call(method, path string, body any, header http.Header) (*http.Response, []byte) {
	raw, ok := body.([]byte)
	if !ok {
		raw, _ = json.Marshal(body)
		header.Set("Content-Type", "application/json")
	}
	req, err := http.NewRequest(method, s.url+"/api/v4"+path, bytes.NewReader(raw))
	if err != nil {
		return nil, nil
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil
	}
	switch status := resp.Header.Get("Job-Status"); {
	case resp.StatusCode == http.StatusForbidden, resp.StatusCode < 300 && (status == "canceled" || status == "failed"):
		s.over = true
	}
	return resp, data
}

// run does the steps of the plan with the job.
func (s *stock) run() {
	s.note("began")
	if s.New {
		s.put("running", nil)
	}
	for _, step := range s.Steps {
		verb, text, _ := strings.Cut(step, " ")
		switch verb {
		case "print":
			s.trace = append(s.trace, text...)
			s.trace = append(s.trace, '\n')
			s.patch()
		case "upload":
			s.upload(text)
		case "mark":
			_ = os.WriteFile(filepath.Join(s.Dir, text), nil, 0o600)
		case "await":
			for !s.over {
				if _, err := os.Stat(filepath.Join(s.Dir, text)); err == nil {
					break
				}
				s.put("running", nil)
				time.Sleep(20 * time.Millisecond)
			}
		case "die":
			os.Exit(7)
		case "word":
			s.flush()
			s.put(text, nil)
		case "success", "failed":
			s.flush()
			extra := map[string]any{}
			if verb == "failed" {
				extra["failure_reason"], extra["exit_code"] = "script_failure", 3
			}
			for !s.over && s.put(verb, extra) != http.StatusOK {
				time.Sleep(20 * time.Millisecond)
			}
		}
		if s.over {
			s.note("aborted")
			return
		}
	}
}

// flush sends the trace to its end.
func (s *stock) flush() {
	for s.sent < len(s.trace) && !s.over {
		s.patch()
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *stock) patch() {
	query, header := "", http.Header{"Job-Token": {s.job.Token}, "Content-Type": {"text/plain"}}
	if s.New {
		query = "?debug_trace=false"
	}
	header.Set("Content-Range", fmt.Sprintf("%d-%d", s.sent, len(s.trace)-1))
	resp, _ := s.call(http.MethodPatch, fmt.Sprintf("/jobs/%d/trace%s", s.job.ID, query), s.trace[s.sent:], header)
	switch {
	case resp == nil:
	case resp.StatusCode == http.StatusAccepted:
		s.sent = len(s.trace)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		_, _ = fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &s.sent)
	}
}

func (s *stock) put(state string, extra map[string]any) int {
	body, header := map[string]any{"token": s.job.Token, "state": state}, http.Header{}
	for k, v := range extra {
		body[k] = v
	}
	if s.New {
		header.Set("Job-Token", s.job.Token)
		if state != "running" {
			body["output"] = map[string]any{"checksum": fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(s.trace)), "bytesize": len(s.trace)}
		}
	}
	resp, _ := s.call(http.MethodPut, fmt.Sprint("/jobs/", s.job.ID), body, header)
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}

// upload is what a helper does, which tries three times.
func (s *stock) upload(text string) {
	for range 3 {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreateFormFile("file", "artifacts.zip")
		if err != nil {
			return
		}
		_, _ = io.WriteString(part, text)
		_ = w.Close()
		resp, _ := s.call(http.MethodPost, fmt.Sprintf("/jobs/%d/artifacts?artifact_format=zip&artifact_type=archive", s.job.ID), form.Bytes(),
			http.Header{"Job-Token": {s.job.Token}, "Content-Type": {w.FormDataContentType()}})
		if resp != nil && resp.StatusCode == http.StatusCreated {
			return
		}
	}
	s.note("no artifacts")
}
