package heptapodtest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

const twoStages = `
stages: [build, test]
build: {stage: build, script: [x], artifacts: {paths: [out/]}}
test: {stage: test, script: [y]}
`

// 9., 10. Artifacts go up in chunks, within a limit, and come down with the
// consuming job's token.
func TestArtifacts(t *testing.T) {
	s, p, _ := forgeWith(t, "git", twoStages, heptapodtest.WithConfig(func(c *heptapodtest.Config) { c.ArtifactLimit = 1000 }))
	r := newRunner(t, s, newest())
	j := r.take()
	if got := j.upload("archive", "zip", "artifacts.zip", make([]byte, 1001)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("beyond the limit: %d, want 413", got)
	}
	for range 2 { // an upload whose answer was lost comes again
		if got := j.upload("archive", "zip", "artifacts.zip", zipBytes); got != http.StatusCreated {
			t.Fatalf("upload: %d", got)
		}
	}
	var env bytes.Buffer
	z := gzip.NewWriter(&env)
	fmt.Fprint(z, "MADE=by-build\n")
	z.Close()
	if got := j.upload("dotenv", "gzip", ".env.gz", env.Bytes()); got != http.StatusCreated {
		t.Errorf("dotenv: %d", got)
	}
	if got := j.upload("dotenv", "gzip", ".env.gz", []byte("no gzip")); got != http.StatusBadRequest {
		t.Errorf("broken dotenv: %d", got)
	}
	j.put("success", nil)
	second := r.take()
	if len(second.Dependencies) != 1 || second.Dependencies[0].ID != j.ID || second.Dependencies[0].ArtifactsFile.Size != 400 {
		t.Fatalf("%d dependencies", len(second.Dependencies))
	}
	if got, _ := second.variable("MADE"); got != "by-build" {
		t.Errorf("dotenv variable %q", got)
	}
	d := second.Dependencies[0]
	if status, data := second.download(d.ID, d.Token); status != http.StatusOK || !bytes.Equal(data, zipBytes) {
		t.Errorf("download: %d, %d bytes", status, len(data))
	}
	if status, _ := second.download(second.ID, d.Token); status != http.StatusNotFound {
		t.Errorf("a job without artifacts: %d, want 404", status)
	}
	if status, _ := second.download(99999, d.Token); status != http.StatusNotFound {
		t.Errorf("no such job: %d, want 404", status)
	}
	for name, token := range map[string]string{"the finished producer's": j.Token, "a wrong": "glcbt-64_x", "the runner's": r.token} {
		if status, _ := second.download(d.ID, token); status != http.StatusForbidden {
			t.Errorf("%s token: %d, want 403", name, status)
		}
	}
	if status, _ := second.download(d.ID, ""); status != http.StatusUnauthorized {
		t.Errorf("no token: %d, want 401", status)
	}
	// Another pipeline's job may not have it.
	again(t, s, p)
	other := r.take()
	if status, _ := second.download(d.ID, other.Token); status != http.StatusForbidden {
		t.Errorf("job of another pipeline: %d, want 403", status)
	}
}

// 12. The token of a job that is over opens nothing.
func TestTokenDiesWithJob(t *testing.T) {
	s, _, _ := forgeWith(t, "git", simpleCI)
	r := newRunner(t, s, newest())
	j := r.take()
	token := j.Token
	c := client{t: t, url: s.URL}
	if status, _ := c.do("GET", "/job", nil, map[string]string{"JOB-TOKEN": token}); status != http.StatusOK {
		t.Errorf("GET job while it runs: %d", status)
	}
	j.Token = "glcbt-64_wrong"
	if a, b, u := j.patch("x"), j.put("running", nil), j.upload("archive", "zip", "a", zipBytes); a != 403 || b != 403 || u != 403 {
		t.Errorf("wrong token: PATCH %d, PUT %d, upload %d; want 403", a, b, u)
	}
	j.Token = token
	j.put("success", nil)
	if a, b, u := j.patch("x"), j.put("running", nil), j.upload("archive", "zip", "a", zipBytes); a != 403 || b != 403 || u != 403 {
		t.Errorf("after the end: PATCH %d, PUT %d, upload %d; want 403", a, b, u)
	}
	if status, _ := c.do("GET", "/job", nil, map[string]string{"JOB-TOKEN": token}); status != http.StatusUnauthorized {
		t.Errorf("GET job after the end: %d", status)
	}
	if out, err := try(t, ".", "git", "ls-remote", j.GitInfo.RepoURL); err == nil {
		t.Errorf("git after the end: %s", out)
	}
	j.ID = 12345
	if a, b := j.patch("x"), j.put("running", nil); a != 403 || b != 403 {
		t.Errorf("no such job: PATCH %d, PUT %d; want 403", a, b)
	}
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// 13. A job that was never acknowledged goes to another runner; one whose
// runner fell silent fails.
func TestSilentJobs(t *testing.T) {
	k := &clock{now: time.Now()}
	s, p, _ := forgeWith(t, "git", simpleCI, heptapodtest.WithClock(k.Now))
	r := newRunner(t, s, newest())
	lost, _ := r.request() // the answer never arrives
	k.pass(61 * time.Second)
	if err := s.Reap(); err != nil {
		t.Fatal(err)
	}
	j := r.take()
	if j.ID != lost.ID || j.Token == lost.Token {
		t.Fatalf("job %d after %d: want the same job with another token", j.ID, lost.ID)
	}
	if got := lost.put("running", nil); got != http.StatusForbidden {
		t.Errorf("the first runner comes back: %d, want 403", got)
	}
	for range 3 {
		k.pass(100 * time.Second)
		if got := j.put("running", nil); got != http.StatusOK { // keep-alive
			t.Fatal(got)
		}
		if err := s.Reap(); err != nil {
			t.Fatal(err)
		}
	}
	k.pass(121 * time.Second)
	if err := s.Reap(); err != nil {
		t.Fatal(err)
	}
	got := jobStatusOf(t, s, p, j.ID)
	if got["status"] != "failed" || got["failure_reason"] != "stuck_or_timeout_failure" {
		t.Errorf("silent job: %v %v", got["status"], got["failure_reason"])
	}
}

// No job is ever given to two runners.
func TestClaimsAreAtomic(t *testing.T) {
	var ci strings.Builder
	const jobs = 20
	for i := range jobs {
		fmt.Fprintf(&ci, "job%d: {script: [x]}\n", i)
	}
	s, _, _ := forgeWith(t, "git", ci.String())
	seen := make(chan int64, 8*jobs)
	var all sync.WaitGroup
	for range 8 {
		r := newRunner(t, s, newest())
		all.Go(func() {
			for range jobs { // no runner can have more
				j, _ := r.request()
				if j == nil {
					return
				}
				seen <- j.ID
			}
		})
	}
	all.Wait()
	close(seen)
	got := map[int64]bool{}
	for id := range seen {
		if got[id] {
			t.Errorf("job %d was given twice", id)
		}
		got[id] = true
	}
	if len(got) != jobs {
		t.Errorf("%d jobs were given, want %d", len(got), jobs)
	}
}

// Tags, untagged jobs, pause and protected refs decide who gets a job.
func TestWhoGetsAJob(t *testing.T) {
	s, p, _ := forgeWith(t, "git", "a: {script: [x], tags: [arm, big]}\nb: {script: [x]}\n")
	c := client{t: t, url: s.URL, token: s.Token}
	only := func(req map[string]any) *runner {
		req["runner_type"] = "instance_type"
		out := c.call("POST", "/user/runners", req, http.StatusCreated)
		return &runner{dialect: newest(), client: client{t: t, url: s.URL}, token: out["token"].(string)}
	}
	if j, _ := only(map[string]any{"tag_list": "arm", "run_untagged": false}).request(); j != nil {
		t.Error("a runner with one of two tags got the job")
	}
	paused := only(map[string]any{"tag_list": "arm,big", "paused": true})
	if j, status := paused.request(); j != nil || status != http.StatusNoContent {
		t.Errorf("paused runner: %d", status)
	}
	if j, _ := only(map[string]any{"tag_list": []string{"big", "arm", "x"}, "run_untagged": false}).request(); j == nil || j.JobInfo.Name != "a" {
		t.Error("a runner with both tags did not get the job")
	}
	protected := only(map[string]any{"access_level": "ref_protected"})
	if j, _ := protected.request(); j == nil || j.JobInfo.Name != "b" {
		t.Error("the default branch is protected: its job is for such runners too")
	}
	work := filepath.Join(t.TempDir(), "w")
	run(t, ".", "git", "clone", "-q", cloneURL(t, p, "root"), work)
	run(t, work, "git", "checkout", "-q", "-b", "feature")
	write(t, filepath.Join(work, "f"), "f")
	run(t, work, "git", "add", "f")
	run(t, work, "git", "commit", "-qm", "f")
	run(t, work, "git", "push", "-q", "origin", "feature")
	if j, _ := protected.request(); j != nil {
		t.Error("a runner for protected refs got a job of a feature branch")
	}
	c.call("POST", "/user/runners", map[string]any{"runner_type": "instance_type", "run_untagged": false}, http.StatusBadRequest)
	c.call("POST", "/user/runners", map[string]any{"runner_type": "instance_type", "maximum_timeout": 599}, http.StatusBadRequest)
	c.call("POST", "/user/runners", map[string]any{}, http.StatusBadRequest)
}
