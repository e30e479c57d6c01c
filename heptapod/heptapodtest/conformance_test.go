package heptapodtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// Every release runs a job to its end.
func TestRunnersOfAllReleases(t *testing.T) {
	s, p, _ := forgeWith(t, "git", simpleCI)
	for i, d := range dialects() {
		t.Run(d.name, func(t *testing.T) {
			if i > 0 {
				again(t, s, p)
			}
			r := newRunner(t, s, d)
			j := r.take()
			if got := j.patch("one\n"); got != http.StatusAccepted {
				t.Fatalf("PATCH: %d", got)
			}
			want := fmt.Sprintf("0-%d", len(j.sent))
			if got := r.header.Get("Range"); got != want {
				t.Errorf("Range %q, want the size: %q", got, want)
			}
			if j.status() != "running" || r.header.Get("X-GitLab-Trace-Update-Interval") == "" {
				t.Errorf("headers of PATCH: %v", r.header)
			}
			if got := j.patch("two\n"); got != http.StatusAccepted {
				t.Fatalf("PATCH: %d", got)
			}
			if got := j.put("success", nil); got != http.StatusOK {
				t.Fatalf("PUT success: %d", got)
			}
			if got := jobStatusOf(t, s, p, j.ID)["status"]; got != "success" {
				t.Errorf("job is %v", got)
			}
			pl, err := s.WaitPipeline(within(t), p.Path, "main")
			if err != nil || pl.Status != "success" {
				t.Fatalf("pipeline %+v, %v", pl, err)
			}
			text, err := pl.Jobs[0].Trace()
			if err != nil || text != "one\ntwo\n" {
				t.Errorf("trace %q, %v", text, err)
			}
		})
	}
}

// 1. verify returns JSON with an id; 403 for a token that is not known.
func TestVerify(t *testing.T) {
	s := heptapodtest.New(t)
	for _, d := range dialects() {
		r := newRunner(t, s, d)
		status, data := r.do("POST", "/runners/verify", r.body(nil), r.headers(d.carrier, r.token))
		var out struct {
			ID      int64
			Token   string
			Expires any `json:"token_expires_at"`
		}
		if err := json.Unmarshal(data, &out); status != http.StatusOK || err != nil || out.ID == 0 || out.Token != r.token || out.Expires != nil {
			t.Errorf("%s: %d %s", d.name, status, data)
		}
		if kind := r.header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: content type %q", d.name, kind)
		}
		r.token = "glrt-" + strings.Repeat("x", 20)
		if status, _ := r.do("POST", "/runners/verify", r.body(nil), nil); status != http.StatusForbidden {
			t.Errorf("%s: unknown token: %d, want 403", d.name, status)
		}
		if _, status := r.request(); status != http.StatusForbidden {
			t.Errorf("%s: request with unknown token: %d, want 403", d.name, status)
		}
	}
}

// Whoever changes a runner, if only to what it is, ends its requests, and no
// other's.
func TestChangedRunnerIsAnswered(t *testing.T) {
	s := heptapodtest.New(t, heptapodtest.WithLongPoll(time.Minute))
	poll := func() (*runner, <-chan int) {
		r, answer := newRunner(t, s, newest()), make(chan int, 1)
		body, _ := json.Marshal(r.body(nil))
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/api/v4/jobs/request", bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				answer <- 0
				return
			}
			resp.Body.Close()
			answer <- resp.StatusCode
		}()
		return r, answer
	}
	changed, answer := poll()
	_, other := poll()
	c := client{t: t, url: s.URL, token: s.Token}
	id := c.call("POST", "/runners/verify", map[string]any{"token": changed.token}, http.StatusOK)["id"]
	late := time.After(20 * time.Second)
	for tick := time.Tick(10 * time.Millisecond); ; {
		c.call("PUT", fmt.Sprintf("/runners/%v", id), map[string]any{"paused": false}, http.StatusOK)
		select {
		case status := <-answer:
			if status != http.StatusNoContent {
				t.Errorf("it is answered %d", status)
			}
		case status := <-other:
			t.Fatalf("another runner is answered %d", status)
		case <-tick:
			continue
		case <-late:
			t.Fatal("it goes on to wait")
		}
		return
	}
}

// 2. 204 with X-GitLab-Last-Update; a held request ends with a new job, with
// the time, and with the client.
func TestLongPoll(t *testing.T) {
	s, _, _ := forgeWith(t, "git", simpleCI, heptapodtest.WithLongPoll(50*time.Millisecond))
	r := newRunner(t, s, newest())
	j := r.take()
	if _, status := r.request(); status != http.StatusNoContent || r.update == "" {
		t.Fatalf("empty queue: %d, last update %q", status, r.update)
	}
	j.put("success", nil)

	long, p2, _ := forgeWith(t, "git", simpleCI, heptapodtest.WithLongPoll(time.Minute))
	r = newRunner(t, long, newest())
	r.take().put("success", nil)
	got := make(chan *heldJob, 1)
	go func() {
		j, _ := r.request()
		got <- j
	}()
	again(t, long, p2)
	select {
	case j := <-got:
		if j == nil {
			t.Error("held request answered without the job")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a new job does not end a held request")
	}
	ctx, cancel := context.WithCancel(t.Context())
	body, _ := json.Marshal(r.body(nil))
	req, _ := http.NewRequestWithContext(ctx, "POST", long.URL+"/api/v4/jobs/request", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	done := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Close does not wait for held requests.
	sent := make(chan struct{})
	req, _ = http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
	}), "POST", long.URL+"/api/v4/jobs/request", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	go func() {
		_, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		done <- err
	}()
	<-sent
	began := time.Now()
	if err := long.Close(); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("close took %s: %v", time.Since(began), err)
	}
	<-done
}

// 3. and 14. What is in the payload, and what is not.
func TestPayload(t *testing.T) {
	ci := `
variables: {GLOBAL: "g-$CI_PROJECT_NAME", RAW: {value: "$GLOBAL", expand: false}}
image: {name: "alpine:3", entrypoint: [""]}
stages: [one, two]
first:
  stage: one
  services: [{name: "postgres:16", alias: db, variables: {POSTGRES_PASSWORD: x}}]
  variables: {LOCAL: "$GLOBAL/$SECRET/$UNKNOWN/$$"}
  before_script: [before]
  script: [a, b]
  after_script: [c]
  tags: [docker]
  timeout: 20 minutes
  cache: {key: k, paths: [vendor/]}
  artifacts: {paths: [out/], reports: {junit: r.xml, dotenv: v.env}, expire_in: 1 week}
`
	s, p, id := forgeWith(t, "git", ci, heptapodtest.WithRegistry("http://registry.test:5000"))
	if err := s.SetVariable(p.Path, "SECRET", "hidden-value", true); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, s, newest(), "docker", "more")
	j := r.take()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(j.raw, &fields); err != nil {
		t.Fatal(err)
	}
	if _, there := fields["run"]; there {
		t.Error("payload has a field run: a runner of 19.4 loses the job on null")
	}
	if j.GitInfo.SHA != id || j.GitInfo.Ref != "main" || j.GitInfo.RefType != "branch" || j.GitInfo.Depth != 20 {
		t.Errorf("git_info %+v", j.GitInfo)
	}
	want := []string{"+refs/pipelines/1:refs/pipelines/1", "+refs/heads/main:refs/remotes/origin/main"}
	if !slices.Equal(j.GitInfo.Refspecs, want) {
		t.Errorf("refspecs %q, want %q", j.GitInfo.Refspecs, want)
	}
	if want := strings.Replace(s.URL, "://", "://gitlab-ci-token:"+j.Token+"@", 1) + "/group/project.git"; j.GitInfo.RepoURL != want {
		t.Error("repo_url is not the project's with the job's token")
	}
	if j.RunnerInfo.Timeout != 1200 {
		t.Errorf("timeout %d, want 1200", j.RunnerInfo.Timeout)
	}
	if len(j.Steps) != 2 || !slices.Equal(j.Steps[0].Script, []string{"before", "a", "b"}) || j.Steps[1].Name != "after_script" {
		t.Errorf("steps %+v", j.Steps)
	}
	if len(j.Services) != 1 || j.Services[0].Alias != "db" || len(j.Services[0].Variables) != 1 {
		t.Errorf("services %+v", j.Services)
	}
	if len(j.Artifacts) != 3 || j.Artifacts[1].ArtifactType != "dotenv" || j.Artifacts[2].ArtifactFormat != "gzip" {
		t.Errorf("artifacts %+v", j.Artifacts)
	}
	if len(j.Credentials) != 1 || j.Credentials[0].URL != "registry.test:5000" || j.Credentials[0].Password != j.Token {
		t.Errorf("%d credentials", len(j.Credentials))
	}
	if !j.Features.TraceSections || !slices.Contains(j.Features.FailureReasons, "script_failure") {
		t.Errorf("features %+v", j.Features)
	}
	for key, want := range map[string]string{
		"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_SHA": id, "CI_COMMIT_SHORT_SHA": id[:8], "CI_COMMIT_BRANCH": "main",
		"CI_PROJECT_PATH": "group/project", "CI_PROJECT_NAMESPACE": "group", "CI_JOB_NAME": "first", "CI_JOB_STAGE": "one",
		"CI_PIPELINE_SOURCE": "push", "CI_REGISTRY": "registry.test:5000", "CI_REGISTRY_IMAGE": "registry.test:5000/group/project",
		"CI_REGISTRY_USER": "gitlab-ci-token", "CI_REGISTRY_PASSWORD": j.Token, "CI_JOB_TOKEN": j.Token, "CI_NODE_TOTAL": "1",
		"GLOBAL": "g-project", "RAW": "$GLOBAL", "LOCAL": "g-project/hidden-value/$UNKNOWN/$$", "SECRET": "hidden-value",
		"CI_RUNNER_TAGS": `["docker","more"]`, "GITLAB_USER_LOGIN": "root", "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_REF_PROTECTED": "true",
		"CI_SERVER_URL": s.URL, "CI_API_V4_URL": s.URL + "/api/v4", "CI_PIPELINE_IID": "1", "CI_COMMIT_TITLE": "first",
		"CI_COMMIT_AUTHOR": "Alice <alice@example.com>", "CI_SERVER_VERSION_MAJOR": "17",
	} {
		if got, ok := j.variable(key); !ok || got != want {
			t.Errorf("%s = %q (there: %v), want %q", key, got, ok, want)
		}
	}
	for _, key := range []string{"CI_COMMIT_TAG", "CI_COMMIT_HG_SHA", "CI_NODE_INDEX", "CI_JOB_STATUS", "CI_PROJECT_DIR", "CI_BUILDS_DIR"} {
		if _, ok := j.variable(key); ok {
			t.Errorf("%s is set", key)
		}
	}
	for _, v := range j.Variables {
		secret := v.Key == "SECRET" || v.Key == "CI_JOB_TOKEN" || v.Key == "CI_REGISTRY_PASSWORD" || v.Key == "CI_REPOSITORY_URL"
		if v.Masked != secret {
			t.Errorf("%s: masked %v", v.Key, v.Masked)
		}
		if secret && v.Public {
			t.Errorf("%s is public: services would get it", v.Key)
		}
		if (v.Key == "GLOBAL" || v.Key == "CI_PROJECT_PATH") && !v.Public {
			t.Errorf("%s is not public: services would not get it", v.Key)
		}
		if (v.Key == "RAW") != v.Raw && !strings.HasPrefix(v.Key, "CI_") {
			t.Errorf("%s: raw %v", v.Key, v.Raw)
		}
	}
}

// 3., 11. A Mercurial commit reaches a runner that has no hg as one Git commit.
func TestMercurialForStockRunner(t *testing.T) {
	s, p, node := forgeWith(t, "hg", simpleCI)
	r := newRunner(t, s, newest())
	j := r.take()
	if j.GitInfo.SHA == node || len(j.GitInfo.SHA) < 8 || !strings.HasSuffix(j.GitInfo.RepoURL, "/group/project.git") || j.GitInfo.RepoType != "" {
		t.Errorf("git_info sha %s repo_type %q", j.GitInfo.SHA, j.GitInfo.RepoType)
	}
	if !slices.Equal(j.GitInfo.Refspecs, []string{"+refs/pipelines/1:refs/pipelines/1"}) {
		t.Errorf("refspecs %q", j.GitInfo.Refspecs)
	}
	for key, want := range map[string]string{
		"CI_COMMIT_SHA": node, "CI_COMMIT_HG_SHA": node, "CI_COMMIT_HG_SHORT_SHA": node[:12], "CI_COMMIT_HG_BRANCH": "default",
		"CI_COMMIT_REF_NAME": "branch/default", "CI_COMMIT_REF_SLUG": "branch-default",
	} {
		if got, _ := j.variable(key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	dir := t.TempDir()
	run(t, dir, "git", "init", "-q")
	run(t, dir, append([]string{"git", "fetch", "-q", "--depth", "20", j.GitInfo.RepoURL}, j.GitInfo.Refspecs...)...)
	run(t, dir, "git", "checkout", "-q", j.GitInfo.SHA)
	if got := run(t, dir, "cat", ".gitlab-ci.yml"); got != strings.TrimSpace(simpleCI) {
		t.Errorf("checked out %q", got)
	}
	j.put("success", nil)

	// A Heptapod Runner gets the Mercurial repository itself.
	again(t, s, p)
	h := newRunner(t, s, newest())
	h.dialect.name = "heptapod-17.5"
	j = h.take()
	if j.GitInfo.RepoType != "hg" || j.GitInfo.HgSHA != node || j.GitInfo.SHA != node || j.GitInfo.Ref != "branch/default" || strings.HasSuffix(j.GitInfo.RepoURL, ".git") {
		t.Errorf("git_info repo_type %q hgsha %s", j.GitInfo.RepoType, j.GitInfo.HgSHA)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, ".", "hg", "clone", "-q", "-r", j.GitInfo.HgSHA, j.GitInfo.RepoURL, clone)
	// Its token opens nothing but this, and only while the job runs.
	write(t, filepath.Join(clone, "x"), "x")
	run(t, clone, "hg", "commit", "-qAm", "x")
	if out, err := try(t, clone, "hg", "push", j.GitInfo.RepoURL); err == nil {
		t.Errorf("a job may push: %s", out)
	}
	j.put("success", nil)
	if out, err := try(t, clone, "hg", "pull", j.GitInfo.RepoURL); err == nil {
		t.Errorf("the token outlives its job: %s", out)
	}
}

// 4. PUT running is idempotent.
func TestPutRunning(t *testing.T) {
	s, _, _ := forgeWith(t, "git", simpleCI)
	j := newRunner(t, s, newest()).take()
	for range 3 {
		if got := j.put("running", nil); got != http.StatusOK || j.status() != "running" {
			t.Fatalf("PUT running: %d, Job-Status %q", got, j.status())
		}
	}
}

// 5. An append that does not begin at the end is 416 with the size.
func TestTraceRanges(t *testing.T) {
	s, p, _ := forgeWith(t, "git", simpleCI)
	j := newRunner(t, s, newest()).take()
	if got := j.patchAt(0, []byte("0123456789")); got != http.StatusAccepted {
		t.Fatal(got)
	}
	for _, first := range []int{0, 5, 11, 1 << 30} {
		got := j.patchAt(first, []byte("xxxxx"))
		if got != http.StatusRequestedRangeNotSatisfiable || j.r.header.Get("Range") != "0-10" || j.status() != "running" {
			t.Errorf("from %d: %d, Range %q, Job-Status %q; want 416, 0-10, running", first, got, j.r.header.Get("Range"), j.status())
		}
	}
	// Empty pieces and wrong ends do no harm.
	status, _ := j.r.do("PATCH", j.path("/trace"), []byte("ab"), map[string]string{"JOB-TOKEN": j.Token, "Content-Range": "10-99"})
	if status != http.StatusAccepted || j.r.header.Get("Range") != "0-12" {
		t.Errorf("the end of the range counts: %d %q", status, j.r.header.Get("Range"))
	}
	for _, bad := range []string{"", "x-1", "-5", "1", "bytes 12-13/14", "12-13/*"} {
		h := map[string]string{"JOB-TOKEN": j.Token}
		if bad != "" {
			h["Content-Range"] = bad
		}
		if status, _ := j.r.do("PATCH", j.path("/trace"), []byte("ab"), h); status != http.StatusBadRequest {
			t.Errorf("Content-Range %q: %d, want 400", bad, status)
		}
	}
	c := client{t: t, url: s.URL, token: s.Token}
	if _, data := c.do("GET", fmt.Sprintf("/projects/%d/jobs/%d/trace", p.ID, j.ID), nil, nil); string(data) != "0123456789ab" {
		t.Errorf("trace %q", data)
	}
}

// 6. The final PUT compares checksum and size: 412 once, then the whole trace
// comes again from 0. The same end again is 200.
func TestFinalPut(t *testing.T) {
	s, p, _ := forgeWith(t, "git", simpleCI)
	j := newRunner(t, s, newest()).take()
	j.patch("stored\n")
	right := j.sent
	j.sent = []byte("what the runner believes it sent\n")
	if got := j.put("success", nil); got != http.StatusPreconditionFailed {
		t.Fatalf("wrong checksum: %d, want 412", got)
	}
	if got := jobStatusOf(t, s, p, j.ID)["status"]; got != "running" {
		t.Fatalf("after 412 the job is %v", got)
	}
	if got := j.patchAt(0, j.sent); got != http.StatusAccepted {
		t.Fatalf("the trace again from 0: %d", got)
	}
	for _, status := range []string{"running", "success"} {
		if got := j.put("success", nil); got != http.StatusOK || j.status() != status {
			t.Fatalf("PUT success: %d, Job-Status %q", got, j.status())
		}
	}
	if got := j.put("failed", nil); got != http.StatusForbidden {
		t.Errorf("another end after the end: %d, want 403", got)
	}
	_ = right

	again(t, s, p)
	j = newRunner(t, s, newest()).take()
	j.patch("x\n")
	j.sent = []byte("never sent\n")
	if got := j.put("failed", map[string]any{"failure_reason": "script_failure", "exit_code": 3}); got != http.StatusPreconditionFailed {
		t.Fatal(got)
	}
	if got := j.put("failed", map[string]any{"failure_reason": "script_failure", "exit_code": 3}); got != http.StatusOK {
		t.Fatalf("412 came twice: %d", got)
	}
	got := jobStatusOf(t, s, p, j.ID)
	if got["status"] != "failed" || got["failure_reason"] != "script_failure" || got["exit_code"] != 3.0 {
		t.Errorf("job %v %v %v", got["status"], got["failure_reason"], got["exit_code"])
	}
}

// 8. canceling for runners that know it, canceled for the others.
func TestCancel(t *testing.T) {
	s, p, _ := forgeWith(t, "git", simpleCI)
	c := client{t: t, url: s.URL, token: s.Token}
	j := newRunner(t, s, newest()).take()
	c.call("POST", fmt.Sprintf("/projects/%d/jobs/%d/cancel", p.ID, j.ID), nil, http.StatusCreated)
	if got := j.patch("still\n"); got != http.StatusAccepted || j.status() != "canceling" {
		t.Errorf("PATCH while canceling: %d %q", got, j.status())
	}
	if got := j.put("running", nil); got != http.StatusOK || j.status() != "canceling" {
		t.Errorf("PUT while canceling: %d %q", got, j.status())
	}
	if got := j.upload("archive", "zip", "a.zip", zipBytes); got != http.StatusCreated {
		t.Errorf("upload while canceling: %d", got)
	}
	for _, status := range []string{"canceling", "canceled"} {
		if got := j.put("failed", map[string]any{"failure_reason": "unknown_failure"}); got != http.StatusOK || j.status() != status {
			t.Errorf("final PUT while canceling: %d %q", got, j.status())
		}
	}
	pl, err := s.WaitPipeline(within(t), p.Path, "main")
	if err != nil || pl.Status != "canceled" {
		t.Errorf("pipeline %+v, %v", pl, err)
	}

	id := again(t, s, p)
	j = newRunner(t, s, dialects()[0]).take()
	c.call("POST", fmt.Sprintf("/projects/%d/pipelines/%d/cancel", p.ID, id), nil, http.StatusOK)
	if got := j.patch("x"); got != http.StatusForbidden || j.status() != "canceled" {
		t.Errorf("PATCH after a hard cancel: %d %q, want 403 canceled", got, j.status())
	}
	if got := j.put("failed", nil); got != http.StatusForbidden || j.status() != "canceled" {
		t.Errorf("PUT after a hard cancel: %d %q, want 403 canceled", got, j.status())
	}
}
