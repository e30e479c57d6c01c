package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forges are the two ways in which forges give jobs away, each with a runner of its time.
var forges = map[string]bool{"legacy": false, "two-phase": true}

// A job that was taken beforehand runs in a runner that knows nothing of that:
// its trace, its artifacts and its end reach the forge, and the runner ends.
func TestJobRuns(t *testing.T) {
	for name, waits := range forges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, waits)
			r := l.relay(plan{New: waits, Steps: []string{"print one", "upload the archive", "print two", "success"}})
			outcome, err := begin(t.Context(), r).wait(t)
			if outcome != Succeeded || err != nil {
				t.Fatalf("%q, %v", outcome, err)
			}
			if got := l.ended("success", ""); got != "one\ntwo\n" {
				t.Errorf("trace %q", got)
			}
			if got := l.artifact(); got != "the archive" {
				t.Errorf("artifact %q", got)
			}
			if got := l.life(); got != "began quit" {
				t.Errorf("the runner: %s", got)
			}
			if got := l.called("jobs/request"); got != 1 {
				t.Errorf("the forge was asked for a job %d times, by the manager alone is once", got)
			}
			job, err := os.ReadFile(filepath.Join(l.dir, "job.json"))
			if err != nil || string(job) != l.job.Payload.Reveal() {
				t.Errorf("the runner got another job: %v", err)
			}
			config, err := os.ReadFile(filepath.Join(l.dir, "config.toml"))
			if err != nil || strings.Contains(string(config), runnerToken) || strings.Contains(string(config), l.front.URL) || !strings.Contains(string(config), "debian:12") {
				t.Errorf("the runner's configuration: %v\n%s", err, config)
			}
		})
	}
}

func TestJobFails(t *testing.T) {
	for name, waits := range forges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, waits)
			outcome, err := begin(t.Context(), l.relay(plan{New: waits, Steps: []string{"print no", "failed"}})).wait(t)
			if outcome != Failed || err != nil {
				t.Fatalf("%q, %v", outcome, err)
			}
			if got := l.ended("failed", "script_failure"); got != "no\n" {
				t.Errorf("trace %q", got)
			}
		})
	}
}

// The forge is out of reach from the job's first line to after its last one:
// nothing of it is lost.
func TestForgeOutOfReach(t *testing.T) {
	for name, waits := range forges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, waits)
			r := l.relay(plan{New: waits, Steps: []string{"print one", "mark begun", "await dark", "print two", "mark said", "upload the archive", "print three", "success"}})
			b := begin(t.Context(), r)
			l.marked("begun")
			l.setDown(true)
			l.mark("dark")
			l.marked("said")
			before := l.called("/api/v4/job")
			l.await("somebody tries in vain", func() bool { return l.called("/api/v4/job") > before })
			l.setDown(false)
			outcome, err := b.wait(t)
			if outcome != Succeeded || err != nil {
				t.Fatalf("%q, %v", outcome, err)
			}
			if got := l.ended("success", ""); got != "one\ntwo\nthree\n" {
				t.Errorf("trace %q", got)
			}
			if got := l.artifact(); got != "the archive" {
				t.Errorf("artifact %q", got)
			}
		})
	}
}

// The forge is out of reach when the host begins.
func TestForgeComesLate(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	l.setDown(true)
	b := begin(t.Context(), l.relay(plan{New: true, Steps: []string{"success"}}))
	l.await("somebody tries in vain", func() bool { return l.called("PUT") > 0 })
	if l.life() != "" {
		t.Error("the job began before the forge accepted it")
	}
	l.setDown(false)
	if outcome, err := b.wait(t); outcome != Succeeded || err != nil {
		t.Errorf("%q, %v", outcome, err)
	}
}

// A runner that dies takes its job with it: the job's author is told, and
// the forge that it was not the job's fault.
func TestRunnerBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		steps []string
		trace string
		why   string
	}{
		"dies":          {[]string{"print one", "die"}, "one\n", "The runner ended before the job did: exit status 7"},
		"dies silently": {[]string{"die"}, "", "The runner ended before the job did: exit status 7"},
	} {
		for kind, waits := range forges {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, waits)
				_, err := begin(t.Context(), l.relay(plan{New: waits, Steps: c.steps})).wait(t)
				if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), c.why) {
					t.Errorf("error %v", err)
				}
				trace := l.ended("failed", "runner_system_failure")
				if !strings.HasPrefix(trace, c.trace) || strings.Count(trace, c.why) != 1 {
					t.Errorf("trace %q", trace)
				}
			})
		}
	}
}

func TestRunnerDoesNotStart(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	r := l.relay(plan{})
	r.Runner = filepath.Join(t.TempDir(), "no-such-runner")
	if _, err := r.Run(t.Context()); !errors.Is(err, ErrBroken) {
		t.Errorf("error %v", err)
	}
	if trace := l.ended("failed", "runner_system_failure"); !strings.Contains(trace, "The runner does not start") {
		t.Errorf("trace %q", trace)
	}
}

// A runner that never asks, and one that does not get to the job's end.
func TestRunnerHangs(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	r := l.relay(plan{})
	r.Runner, r.PickUp = filepath.Join(t.TempDir(), "gitlab-runner"), 100*time.Millisecond
	if err := os.WriteFile(r.Runner, []byte("#!/bin/sh\nexec sleep 600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := begin(t.Context(), r).wait(t); !errors.Is(err, ErrBroken) {
		t.Errorf("error %v", err)
	}
	if trace := l.ended("failed", "runner_system_failure"); !strings.Contains(trace, "did not ask for the job") {
		t.Errorf("trace %q", trace)
	}
	long := newLab(t, false)
	r = long.relay(plan{Steps: []string{"print one", "await ever"}})
	r.Slack = -timeLimit(long.job) + 2*time.Second
	if _, err := begin(t.Context(), r).wait(t); !errors.Is(err, ErrBroken) {
		t.Errorf("error %v", err)
	}
	if trace := long.ended("failed", "runner_system_failure"); !strings.Contains(trace, "did not end the job in time") {
		t.Errorf("trace %q", trace)
	}
}

// The runner's last word found nobody, and the runner is gone: it counts all the same.
func TestLastWordIsDelivered(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	b := begin(t.Context(), l.relay(plan{Steps: []string{"print one", "mark begun", "await dark", "word success", "mark said", "die"}}))
	l.marked("begun")
	l.setDown(true)
	l.mark("dark")
	l.marked("said")
	before := l.called("PUT")
	l.await("the relay says it again", func() bool { return l.called("PUT") > before })
	l.setDown(false)
	if outcome, err := b.wait(t); outcome != Succeeded || err != nil {
		t.Errorf("%q, %v", outcome, err)
	}
	if got := l.ended("success", ""); got != "one\n" {
		t.Errorf("trace %q", got)
	}
}

// A host that is started again does not run its job again, on the same disk or
// on another.
func TestJobRunsOnce(t *testing.T) {
	for _, disk := range []string{"same disk", "new disk"} {
		t.Run(disk, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, false)
			ctx, kill := context.WithCancel(t.Context())
			r := l.relay(plan{Steps: []string{"print one", "mark begun", "await ever"}})
			first := begin(ctx, r)
			l.marked("begun")
			second := r
			if disk == "new disk" {
				second.Dir = t.TempDir()
			}
			if _, err := second.Run(t.Context()); !errors.Is(err, ErrBroken) {
				t.Errorf("error %v", err)
			}
			if trace := l.ended("failed", "runner_system_failure"); !strings.Contains(trace, "not run a second time") {
				t.Errorf("trace %q", trace)
			}
			kill()
			if outcome, err := first.wait(t); outcome != Gone && !errors.Is(err, ErrBroken) {
				t.Errorf("%q, %v", outcome, err)
			}
			if got := strings.Count(l.life(), "began"); got != 1 {
				t.Errorf("the job ran %d times", got)
			}
			// A third time: it is over.
			if outcome, err := second.Run(t.Context()); outcome != Gone || err != nil {
				t.Errorf("once more: %q, %v", outcome, err)
			}
		})
	}
}

// Killed before the runner wrote a line, the host still knows that it began.
func TestJobRunsOnceThoughItIsSilent(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	ctx, kill := context.WithCancel(t.Context())
	r := l.relay(plan{Steps: []string{"mark begun", "await ever"}})
	first := begin(ctx, r)
	l.marked("begun")
	if _, err := r.Run(t.Context()); !errors.Is(err, ErrBroken) {
		t.Errorf("error %v", err)
	}
	kill()
	_, _ = first.wait(t)
	if got := strings.Count(l.life(), "began"); got != 1 {
		t.Errorf("the job ran %d times", got)
	}
}

// A job that is canceled ends on the host, and one that was canceled before
// does not begin.
func TestCancel(t *testing.T) {
	for name, waits := range forges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, waits)
			b := begin(t.Context(), l.relay(plan{New: waits, Steps: []string{"print one", "mark begun", "await ever", "success"}}))
			l.marked("begun")
			l.cancel()
			if outcome, err := b.wait(t); outcome != Gone || err != nil {
				t.Errorf("%q, %v", outcome, err)
			}
			l.ended("canceled", "")
			if got := l.life(); got != "began aborted quit" {
				t.Errorf("the runner: %s", got)
			}
			early := newLab(t, waits)
			early.cancel()
			if outcome, err := early.relay(plan{Steps: []string{"success"}}).Run(t.Context()); outcome != Gone || err != nil {
				t.Errorf("canceled before: %q, %v", outcome, err)
			}
			if got := early.life(); got != "" {
				t.Errorf("canceled before, the runner: %s", got)
			}
		})
	}
}

// What the forge says of a job, in the status, in Job-Status or in both; a proxy
// on the way has no say.
func TestVerdict(t *testing.T) {
	success, failed := &word{state: "success"}, &word{state: "failed"}
	const no, page = `{"message":"403 Forbidden"}`, "404 page not found\n"
	for _, c := range []struct {
		last   *word
		code   int
		body   string
		status string
		want   Outcome
	}{
		{nil, 202, "", "running", ""}, {nil, 202, "", "", ""}, {nil, 416, "", "running", ""}, {nil, 404, page, "", ""}, {nil, 404, `{"error":"404 Not Found"}`, "", ""},
		{nil, 202, "", "canceling", ""}, {nil, 202, "", "canceled", Gone}, {nil, 202, "", "failed", Gone}, {nil, 403, no, "", Gone}, {nil, 403, "Forbidden", "", ""},
		{nil, 502, "", "failed", ""}, {nil, 429, "", "", ""}, {nil, 401, "", "", ""},
		{nil, 200, "", "running", ""}, {nil, 200, "", "canceled", Gone}, {nil, 500, "", "canceled", ""},
		{success, 200, "", "running", Succeeded}, {success, 200, "", "success", Succeeded}, {success, 200, "", "canceling", Gone},
		{success, 202, "", "running", ""}, {success, 412, "", "running", ""}, {success, 403, no, "", Gone}, {success, 403, page, "", ""}, {success, 503, "", "", ""},
		{failed, 200, "", "failed", Failed}, {failed, 200, "", "running", Failed}, {failed, 200, "", "canceled", Gone},
	} {
		resp := &http.Response{StatusCode: c.code, Header: http.Header{"Job-Status": {c.status}}, Body: io.NopCloser(strings.NewReader(c.body))}
		if got := verdict(c.last, resp); got != c.want {
			t.Errorf("%v: %d %q %q is %q, want %q", c.last, c.code, c.body, c.status, got, c.want)
		}
		if left, err := io.ReadAll(resp.Body); string(left) != c.body || err != nil {
			t.Errorf("%d: the runner reads %q, %v; the forge said %q", c.code, left, err, c.body)
		}
	}
}

// A host that is stopped tells the forge within the time that a stop takes.
func TestHostIsStopped(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	ctx, stop := context.WithCancel(t.Context())
	b := begin(ctx, l.relay(plan{Steps: []string{"print one", "mark begun", "await ever"}}))
	l.marked("begun")
	stop()
	if _, err := b.wait(t); !errors.Is(err, ErrBroken) {
		t.Errorf("error %v", err)
	}
	if trace := l.ended("failed", "runner_system_failure"); !strings.Contains(trace, "The host was stopped") {
		t.Errorf("trace %q", trace)
	}
}

// The job is full of secrets: nobody but the runner gets it, and the relay is
// no way to anything else of the forge.
func TestNobodyElseGetsTheJob(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	s, err := readSection(l.relay(plan{}).Config)
	if err != nil {
		t.Fatal(err)
	}
	r := l.relay(plan{}).withDefaults()
	f, err := newForge(s, r.Job, r.Patience, r.Log)
	if err != nil {
		t.Fatal(err)
	}
	c, err := serve(r, s, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	status := func(method, path, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	before := l.called("")
	for _, k := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/api/v4/jobs/request", `{"token":""}`, 403},
		{"POST", "/api/v4/jobs/request", `{"token":"` + runnerToken + `"}`, 403},
		{"POST", "/api/v4/jobs/request", `{"token":"` + l.job.Token.Reveal() + `"}`, 403},
		{"PUT", "/api/v4/jobs/1", `{"state":"success"}`, 403},
		{"PUT", "/api/v4/jobs/99", `{"state":"success","token":"` + l.job.Token.Reveal() + `"}`, 404},
		{"GET", "/api/v4/user", "", 404},
		{"GET", "/api/v4/jobs/../user", "", 404},
		{"GET", "/group/project.git/info/refs", "", 404},
		{"GET", "/api/v4/runners/router/discovery", "", 404},
		{"POST", "/api/v4/jobs/request", `{"token":"` + c.token + `"}`, 201},
		{"POST", "/api/v4/jobs/request", `{"token":"` + c.token + `"}`, 204},
	} {
		if got := status(k.method, k.path, k.body); got != k.want {
			t.Errorf("%s %s: %d, want %d", k.method, k.path, got, k.want)
		}
	}
	if got := l.called(""); got != before {
		t.Errorf("the forge heard of %d calls", got-before)
	}
}
