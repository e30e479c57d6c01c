package heptapodtest_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// states lists the jobs of the latest pipeline, in the order of names.
func states(t *testing.T, s *heptapodtest.Server, p *heptapodtest.Project) string {
	t.Helper()
	pl, err := s.Await(within(t), p.Path, branchOf(p.VCS), func(*heptapodtest.Pipeline) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, j := range pl.Jobs {
		all = append(all, j.Name+"="+j.Status)
	}
	slices.Sort(all)
	return pl.Status + ": " + strings.Join(all, " ")
}

func TestLifeOfPipeline(t *testing.T) {
	s, p, _ := forgeWith(t, "git", `
stages: [build, test, deploy]
build: {stage: build, script: [x]}
lint: {stage: build, script: [x], allow_failure: true}
test: {stage: test, script: [x], retry: 1}
fast: {stage: test, script: [x], needs: [lint]}
ask: {stage: deploy, script: [x], when: manual, allow_failure: false}
after: {stage: .post, script: [x]}
cleanup: {stage: deploy, script: [x], when: on_failure}
`)
	c := client{t: t, url: s.URL, token: s.Token}
	r := newRunner(t, s, newest())
	want := func(text string) {
		t.Helper()
		if got := states(t, s, p); got != text {
			t.Fatalf("\n got %s\nwant %s", got, text)
		}
	}
	end := func(name, state string) *heldJob {
		t.Helper()
		j := r.take()
		if j.JobInfo.Name != name {
			t.Fatalf("got job %s, want %s", j.JobInfo.Name, name)
		}
		if status := j.put(state, map[string]any{"failure_reason": "script_failure"}); status != http.StatusOK {
			t.Fatalf("PUT %s: %d", state, status)
		}
		return j
	}
	want("pending: after=created ask=created build=pending cleanup=created fast=created lint=pending test=created")
	end("build", "success")
	end("lint", "failed") // allowed
	want("running: after=created ask=created build=success cleanup=created fast=pending lint=failed test=pending")
	first := end("test", "failed") // retried once by itself
	end("fast", "success")
	again := end("test", "success")
	if again.ID == first.ID {
		t.Error("the retry is the same job")
	}
	want("manual: after=created ask=manual build=success cleanup=skipped fast=success lint=failed test=success")
	pl, err := s.WaitPipeline(within(t), p.Path, "main")
	if err != nil || pl.Status != "manual" {
		t.Fatalf("%+v %v", pl, err)
	}
	ask, err := pl.Job("ask")
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/projects/%d/jobs/%d", p.ID, ask.ID)
	c.call("POST", path+"/play", nil, http.StatusCreated)
	c.call("POST", path+"/play", nil, http.StatusBadRequest)
	end("ask", "failed")
	want("failed: after=skipped ask=failed build=success cleanup=skipped fast=success lint=failed test=success")
	out := c.call("POST", path+"/retry", nil, http.StatusCreated)
	if out["status"] != "pending" {
		t.Errorf("retried job is %v", out["status"])
	}
	c.call("POST", path+"/retry", nil, http.StatusForbidden)
	end("ask", "success")
	end("after", "success")
	want("success: after=success ask=success build=success cleanup=skipped fast=success lint=failed test=success")
	jobs := c.list(fmt.Sprintf("/projects/%d/pipelines/1/jobs?include_retried=true", p.ID))
	if len(jobs) != 9 {
		t.Errorf("%d jobs with retried ones, want 9", len(jobs))
	}
	c.call("POST", fmt.Sprintf("/projects/%d/pipelines/1/retry", p.ID), nil, http.StatusCreated)
	end("lint", "success")
	want("success: after=success ask=success build=success cleanup=skipped fast=success lint=success test=success")
}

func TestAllowedExitCodes(t *testing.T) {
	s, p, _ := forgeWith(t, "git", "a: {script: [x], allow_failure: {exit_codes: [7]}}\n")
	r := newRunner(t, s, newest())
	for _, c := range []struct {
		code int
		want string
	}{{7, "success"}, {8, "failed"}} {
		r.take().put("failed", map[string]any{"failure_reason": "script_failure", "exit_code": c.code})
		if pl, err := s.WaitPipeline(within(t), p.Path, "main"); err != nil || pl.Status != c.want {
			t.Errorf("exit code %d: pipeline %+v %v, want %s", c.code, pl, err, c.want)
		}
		again(t, s, p)
	}
}

func TestIncludeAndChanges(t *testing.T) {
	s := heptapodtest.New(t)
	p := s.CreateProject(t, "g/p", "git")
	work := filepath.Join(t.TempDir(), "w")
	push(t, p, work, map[string]string{
		".gitlab-ci.yml": "include: {local: ci/jobs.yml}\n",
		"ci/jobs.yml":    "docs: {script: [x], rules: [{changes: [docs/*]}]}\nmake: {script: [x], rules: [{exists: [Makefile]}]}\nall: {script: [x]}\n",
	}, "first")
	if got := states(t, s, p); got != "pending: all=pending docs=pending" {
		t.Errorf("new branch: %s", got) // nothing to compare with: changed
	}
	push(t, p, work, map[string]string{"Makefile": "x"}, "second")
	if got := states(t, s, p); got != "pending: all=pending make=pending" {
		t.Errorf("without docs: %s", got)
	}
	push(t, p, work, map[string]string{"docs/a": "x"}, "third")
	if got := states(t, s, p); got != "pending: all=pending docs=pending make=pending" {
		t.Errorf("with docs: %s", got)
	}
	run(t, work, "git", "tag", "v1")
	run(t, work, "git", "push", "-q", "origin", "v1")
	pl, err := s.Await(within(t), p.Path, "v1", func(*heptapodtest.Pipeline) bool { return true })
	if err != nil || len(pl.Jobs) != 3 {
		t.Errorf("tag: %+v %v", pl, err)
	}
}

// A push cancels the pipeline before it, unless a job of it has started that
// may not be interrupted.
func TestPushSupersedes(t *testing.T) {
	for ci, want := range map[string]string{
		"a: {script: [x], interruptible: true}\nb: {script: [x]}\n": "canceled",
		"a: {script: [x]}\nb: {script: [x]}\n":                      "running",
	} {
		s := heptapodtest.New(t, heptapodtest.WithLongPoll(-1))
		p := s.CreateProject(t, "g/p", "git")
		work := filepath.Join(t.TempDir(), "w")
		push(t, p, work, map[string]string{".gitlab-ci.yml": ci}, "first")
		j := newRunner(t, s, newest()).take()
		push(t, p, work, map[string]string{"x": "x"}, "second")
		j.put("success", nil)
		if pl, err := s.Pipeline(t.Context(), p.Path, 1); err != nil || pl.Status != want {
			t.Errorf("%q: %+v %v, want %s", ci, pl, err, want)
		}
	}
}

// A delayed job starts when its time has come, or when somebody plays it.
func TestDelayedJobs(t *testing.T) {
	k := &clock{now: time.Now()}
	s, p, _ := forgeWith(t, "git", "a: {script: [x], when: delayed, start_in: 30 minutes}\nb: {script: [x], when: delayed, start_in: 1 day}\n", heptapodtest.WithClock(k.Now))
	r := newRunner(t, s, newest())
	reaped := func(after time.Duration, want string) {
		t.Helper()
		k.pass(after)
		if err := s.Reap(); err != nil {
			t.Fatal(err)
		}
		if got := states(t, s, p); got != want {
			t.Errorf("after %v:\n got %s\nwant %s", after, got, want)
		}
	}
	reaped(0, "scheduled: a=scheduled b=scheduled")
	reaped(29*time.Minute, "scheduled: a=scheduled b=scheduled")
	reaped(time.Minute, "running: a=pending b=scheduled")
	r.take().put("success", nil)
	pl, err := s.Pipeline(t.Context(), p.Path, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pl.Job("b")
	if err != nil {
		t.Fatal(err)
	}
	c := client{t: t, url: s.URL, token: s.Token}
	c.call("POST", fmt.Sprintf("/projects/%d/jobs/%d/play", p.ID, b.ID), nil, http.StatusCreated)
	r.take().put("success", nil)
	reaped(0, "success: a=success b=success")
}
