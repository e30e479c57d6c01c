package heptapodtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// running is a forge, as it lies on disk, with a project whose jobs mine and
// yours two runners have begun.
type running struct {
	dir, token  string // of the forge; of root
	runner      string // token of the runner that has mine
	project     int64
	mine, yours *heldJob
}

// begun is what each job's trace holds.
const begun = "begun\n"

func newRunning(f *testing.F) running {
	dir := f.TempDir()
	s, p, _ := forgeWith(f, "git", "mine: {script: [x], artifacts: {paths: [out/]}}\nyours: {script: [y]}\n",
		heptapodtest.WithConfig(func(c *heptapodtest.Config) { c.Dir = dir }))
	plain := newest()
	plain.stamped = false
	out := running{dir: dir, token: s.Token, project: p.ID}
	for _, job := range []**heldJob{&out.mine, &out.yours} {
		r := newRunner(f, s, plain)
		*job = r.take()
		if got := (*job).patch(begun); got != http.StatusAccepted {
			f.Fatalf("PATCH: %d", got)
		}
	}
	out.runner = out.mine.r.token
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	return out
}

// again starts the forge on a copy of what lies on disk, but for the
// repositories, which the runner protocol does not touch.
func (r running) again(t *testing.T, dir string) *heptapodtest.Server {
	t.Helper()
	for _, part := range []string{"forge.db", "traces"} {
		if err := copyTo(filepath.Join(dir, part), filepath.Join(r.dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := heptapodtest.Start(context.Background(), heptapodtest.Config{Dir: dir, Fast: true, LongPoll: -1, ArtifactLimit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func copyTo(target, source string) error {
	if info, err := os.Stat(source); err != nil || info.IsDir() {
		return errors.Join(err, os.CopyFS(target, os.DirFS(source)))
	}
	content, err := os.ReadFile(source)
	return errors.Join(err, os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, content, 0o600))
}

// state is how a job stands and its trace, as root sees them.
func (r running) state(t *testing.T, s *heptapodtest.Server, j *heldJob) (status, trace string) {
	t.Helper()
	at := fmt.Sprintf("/api/v4/projects/%d/jobs/%d", r.project, j.ID)
	var job struct{ Status string }
	for path, take := range map[string]func([]byte) error{
		at:            func(b []byte) error { return json.Unmarshal(b, &job) },
		at + "/trace": func(b []byte) error { trace = string(b); return nil },
	} {
		w := httptest.NewRecorder()
		q := httptest.NewRequest("GET", path, nil)
		q.Header.Set("PRIVATE-TOKEN", r.token)
		s.Handler().ServeHTTP(w, q)
		if err := take(w.Body.Bytes()); w.Code != http.StatusOK || err != nil {
			t.Fatalf("GET %s: %d %s, %v", path, w.Code, w.Body, err)
		}
	}
	return job.Status, trace
}

// FuzzRunnerProtocol sends any body to each endpoint that runners call. The
// forge never breaks; who has no token changes nothing and gets nothing; who
// has one leaves the jobs of others alone; what is acknowledged is there; and
// nothing is written beside the forge's directory.
func FuzzRunnerProtocol(f *testing.F) {
	r := newRunning(f)
	job := fmt.Sprintf("/api/v4/jobs/%d", r.mine.ID)
	endpoints := []struct{ method, path string }{
		{"POST", "/api/v4/runners"}, {"DELETE", "/api/v4/runners"}, {"POST", "/api/v4/runners/verify"}, {"DELETE", "/api/v4/runners/managers"},
		{"POST", "/api/v4/runners/reset_authentication_token"}, {"POST", "/api/v4/jobs/request"},
		{"PUT", job}, {"PATCH", job + "/trace"}, {"POST", job + "/artifacts"}, {"GET", job + "/artifacts"},
	}
	const asJSON = "application/json"
	for _, known := range []bool{true, false} {
		f.Add(uint8(0), known, asJSON, "", "", []byte(`{"token":"GR1348941x","description":"x","tag_list":"a,b","run_untagged":1}`))
		f.Add(uint8(1), known, "application/x-www-form-urlencoded", "", "", []byte("token=glrt-x&info[name]=x"))
		f.Add(uint8(2), known, asJSON, "", "token[]=x", []byte(`{"system_id":"s_1","info":{"name":"\u0000","version":[1]}}`))
		f.Add(uint8(3), known, asJSON, "", "", []byte(`{"system_id":"s_0123456789ab"}`))
		f.Add(uint8(4), known, asJSON, "", "", []byte("null"))
		f.Add(uint8(5), known, asJSON, "", "", []byte(`{"info":{"features":{"artifacts_exclude":"no"}},"last_update":1e999,"system_id":{}}`))
		f.Add(uint8(6), known, asJSON, "", "", []byte(`{"state":"success","checksum":"crc32:0","output":{"checksum":"crc32:00000000","bytesize":-1},"exit_code":1e9}`))
		f.Add(uint8(6), known, asJSON, "", "", []byte(`{"state":"failed","failure_reason":"../../x","exit_code":"\n"}`))
		f.Add(uint8(7), known, "text/plain", "6-10", "debug_trace=false", []byte("more\x00"))
		f.Add(uint8(7), known, "text/plain", "9223372036854775807-0", "", []byte("x"))
		form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../../x.zip\"\r\n\r\nPK\r\n--b--\r\n"
		f.Add(uint8(8), known, "multipart/form-data; boundary=b", "", "artifact_type=../x&artifact_format=zip&expire_in=1e308 years", []byte(form))
		f.Add(uint8(8), known, "multipart/form-data; boundary=b", "", "artifact_type=dotenv&artifact_format=gzip", []byte(form))
		f.Add(uint8(9), known, "", "", "job_token=x", []byte(nil))
	}
	f.Fuzz(func(t *testing.T, endpoint uint8, known bool, contentType, contentRange, query string, body []byte) {
		if strings.ContainsFunc(contentType+contentRange, unicode.IsControl) {
			return // no server hands such a header on
		}
		outside := t.TempDir()
		s := r.again(t, filepath.Join(outside, "forge"))
		e := endpoints[int(endpoint)%len(endpoints)]
		q := &http.Request{Method: e.method, URL: &url.URL{Path: e.path, RawQuery: query}, Header: http.Header{}, RemoteAddr: "192.0.2.1:1"}
		q.Body = http.NoBody
		if len(body) > 0 {
			q.Body = readCloser{bytes.NewReader(body)}
		}
		q.Header.Set("Content-Type", contentType)
		if contentRange != "" {
			q.Header.Set("Content-Range", contentRange)
		}
		if known {
			q.Header.Set("RUNNER-TOKEN", r.runner)
			q.Header.Set("JOB-TOKEN", r.mine.Token)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, q)
		said := fmt.Sprintf("%s %s: %d %s", e.method, e.path, w.Code, w.Body)
		if w.Code >= 500 {
			t.Fatal(said)
		}
		if kind, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type")); kind == asJSON && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s is no JSON", said)
		}
		if !known && w.Code < 400 {
			t.Errorf("without a token: %s", said)
		}
		status, trace := r.state(t, s, r.yours)
		if status != "running" || trace != begun {
			t.Errorf("%s: the job of another runner is %s with trace %q", said, status, trace)
		}
		status, trace = r.state(t, s, r.mine)
		switch {
		case !known && (status != "running" || trace != begun):
			t.Errorf("without a token: %s: the job is %s with trace %q", said, status, trace)
		case w.Code == http.StatusAccepted && trace != begun+string(body):
			t.Errorf("%s: the trace is %q after %q", said, trace, body)
		case status != "running" && status != "success" && status != "failed":
			t.Errorf("%s: the job is %s", said, status)
		}
		if beside, err := os.ReadDir(outside); err != nil || len(beside) != 1 {
			t.Errorf("%s: beside the forge lie %v, %v", said, beside, err)
		}
	})
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
