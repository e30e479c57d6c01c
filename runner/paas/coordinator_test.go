package paas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
	"github.com/heptaup/hepta/internal/secret"
)

// forged is a forge in this process, with one project that has one job.
type forged struct {
	*heptapodtest.Server
	t       *testing.T
	project *heptapodtest.Project
	c       *Coordinator
	poll    *Poll
}

func forge(t *testing.T) *forged {
	t.Helper()
	s := heptapodtest.New(t, heptapodtest.WithLongPoll(time.Second))
	token, err := s.NewRunnerToken()
	if err != nil {
		t.Fatal(err)
	}
	f := &forged{Server: s, t: t, project: s.CreateProject(t, "group/project", "git")}
	f.c = &Coordinator{URL: s.URL, SystemID: "s_0123456789ab"}
	f.poll = &Poll{Coordinator: f.c, Token: secret.New(token)}
	return f
}

// push makes a pipeline.
func (f *forged) push() {
	f.t.Helper()
	url, err := f.project.CloneURL("root")
	if err != nil {
		f.t.Fatal(err)
	}
	dir := f.t.TempDir()
	ci := "build:\n  script: [make]\n  variables: {CI_CLEVER_CLOUD_FLAVOR: S}\n"
	if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(ci), 0o600); err != nil {
		f.t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "begin"}, {"push", "-q", url, "main"},
	} {
		cmd := exec.CommandContext(f.t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			f.t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}

// take gets the job.
func (f *forged) take() (Job, Record) {
	f.t.Helper()
	f.push()
	for range 10 {
		j, err := f.poll.Next(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if j != nil {
			return *j, Record{Key: Key{"abcdefghi", j.ID}, Token: j.Token, Phase: Acquired}
		}
	}
	f.t.Fatal("no job")
	return Job{}, Record{}
}

func (f *forged) job() *heptapodtest.Job {
	f.t.Helper()
	p, err := f.Await(f.t.Context(), f.project.Path, "main", func(*heptapodtest.Pipeline) bool { return true })
	if err != nil {
		f.t.Fatal(err)
	}
	j, err := p.Job("build")
	if err != nil {
		f.t.Fatal(err)
	}
	return j
}

func (f *forged) cancel(job int64) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), "POST", fmt.Sprintf("%s/api/v4/projects/%s/jobs/%d/cancel", f.URL, "group%2Fproject", job), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Private-Token", f.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		f.t.Fatalf("cancel: %s", resp.Status)
	}
}

func want(t *testing.T, what string, got Standing, err error, want Standing) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: %v, %v; want %v", what, got, err, want)
	}
}

// A job is taken, kept alive, and fails with a text that its author reads.
func TestForgeJobFails(t *testing.T) {
	f := forge(t)
	if j, err := f.poll.Next(t.Context()); j != nil || err != nil {
		t.Fatalf("before the push: %v, %v", j, err)
	}
	job, r := f.take()
	if job.Flavor != "S" || job.Namespace != "group" || job.Project == 0 {
		t.Errorf("job %+v", job)
	}
	s, err := f.c.Heartbeat(t.Context(), r, true)
	want(t, "heartbeat", s, err, Live)
	s, err = f.c.Look(t.Context(), r)
	want(t, "look", s, err, Live)
	if started, err := f.c.Started(t.Context(), r, job.Project, secret.New(f.Token)); started || err != nil {
		t.Errorf("started %v, %v", started, err)
	}

	r.Failure = "no host of flavor S could be had"
	end, err := f.c.Fail(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(inRed(r.Failure))); end != want {
		t.Errorf("trace ends at %d, want %d", end, want)
	}
	got := f.job()
	trace, err := got.Trace()
	if err != nil || got.Status != "failed" || strings.Count(trace, r.Failure) != 1 {
		t.Errorf("job %+v, trace %q, %v", got, trace, err)
	}
	s, err = f.c.Look(t.Context(), r)
	want(t, "look", s, err, Over)
	// Killed before that was written down, it is done again.
	if _, err := f.c.Fail(t.Context(), r); err != nil {
		t.Error(err)
	}
	if trace, err := got.Trace(); err != nil || strings.Count(trace, r.Failure) != 1 {
		t.Errorf("trace %q, %v", trace, err)
	}
}

// The trace got through, its answer did not: the text is there once.
func TestForgeTraceOnce(t *testing.T) {
	f := forge(t)
	_, r := f.take()
	r.Failure = "once"
	for range 2 {
		if end, err := f.c.append(t.Context(), r, inRed(r.Failure)); err != nil || end != int64(len(inRed("once"))) {
			t.Fatalf("end %d, %v", end, err)
		}
	}
	// Behind what a host has written.
	later := r
	later.Failure = "later on"
	if _, err := f.c.Fail(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	trace, err := f.job().Trace()
	if err != nil || strings.Count(trace, "once") != 1 || !strings.Contains(trace, "later on") {
		t.Errorf("trace %q, %v", trace, err)
	}
}

// A job that is canceled while its host is made is seen to be.
func TestForgeCancel(t *testing.T) {
	f := forge(t)
	_, r := f.take()
	f.cancel(r.Job)
	for _, waiting := range []bool{true, false} {
		s, err := f.c.Heartbeat(t.Context(), r, waiting)
		want(t, "heartbeat", s, err, Over)
	}
	s, err := f.c.Accept(t.Context(), r)
	want(t, "accept", s, err, Over)
	if _, err := f.c.Fail(t.Context(), r); err != nil {
		t.Error(err)
	}
	if got := f.job(); got.Status != "canceled" {
		t.Errorf("status %s", got.Status)
	}
}

func TestForgeUnknownRunner(t *testing.T) {
	f := forge(t)
	_, err := (&Poll{Coordinator: f.c, Token: secret.New("glrt-nobodynobody")}).Next(t.Context())
	var status *StatusError
	if !errors.As(err, &status) || status.Status != http.StatusForbidden || Temporary(err) || strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v", err)
	}
}

// acking is a coordinator that waits until jobs are accepted: the second way,
// as GitLab 18.5 has it behind a flag, for one job.
type acking struct {
	mu     sync.Mutex
	flag   bool   // off: it behaves as before
	status string // of the job
	beats  int
	system string
	bodies []string
	trace  string
}

func (a *acking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	data, _ := io.ReadAll(r.Body)
	var in struct {
		Token, State string
		SystemID     string `json:"system_id"`
		Info         struct{ Features map[string]bool }
	}
	_ = json.Unmarshal(data, &in)
	refuse := func(code int, text string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"message":"%d %s  - %s"}`, code, http.StatusText(code), text)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/jobs/request"):
		a.bodies = append(a.bodies, string(data))
		if a.flag && (!in.Info.Features["two_phase_job_commit"] || in.SystemID == "") {
			refuse(400, "not announced")
			return
		}
		a.system, a.status = in.SystemID, "running"
		if a.flag {
			a.status = "pending"
		}
		w.WriteHeader(201)
		fmt.Fprint(w, `{"id":5,"token":"jobtoken","job_info":{"project_id":3},"variables":[{"key":"CI_CLEVER_CLOUD_FLAVOR","value":"M"},{"key":"CI_CLEVER_CLOUD_FLAVOR","value":"XS"}]}`)
	case r.Method == http.MethodPatch:
		if a.status != "running" {
			refuse(403, "Job is not running")
			return
		}
		a.trace += string(data)
		w.Header().Set("Range", fmt.Sprint("0-", len(a.trace)))
		w.WriteHeader(202)
	case in.Token != "jobtoken":
		refuse(403, "403 Forbidden")
	case in.State == "pending" && a.status == "running" && !a.flag:
		refuse(403, "Job is not processing on runner")
	case in.State == "pending" && a.status == "running":
		refuse(400, "Job is already running")
	case in.State == "pending" && a.system != in.SystemID:
		refuse(409, "Job is taken")
	case in.State == "pending" && a.status == "pending":
		a.beats++
		w.WriteHeader(200)
	case in.State == "running" && (a.status == "pending" || a.status == "running"):
		a.status = "running"
		w.WriteHeader(200)
	case in.State == "failed" && a.status == "pending":
		refuse(400, "Job is waiting")
	case in.State == "failed" && a.status == "running":
		a.status = "failed"
		w.WriteHeader(200)
	default:
		refuse(403, "Job is not running")
	}
}

func ackingCoordinator(t *testing.T, flag bool) (*acking, *Coordinator, Record) {
	t.Helper()
	a := &acking{flag: flag}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	c := &Coordinator{URL: s.URL, SystemID: "s_0123456789ab"}
	j, err := (&Poll{Coordinator: c, Token: secret.New("t")}).Next(t.Context())
	if err != nil || j == nil || j.Flavor != "XS" {
		t.Fatalf("job %+v, %v", j, err)
	}
	return a, c, Record{Key: Key{"abcdefgh", j.ID}, Token: j.Token}
}

func TestTwoPhases(t *testing.T) {
	a, c, r := ackingCoordinator(t, true)
	for range 3 {
		s, err := c.Heartbeat(t.Context(), r, true)
		want(t, "heartbeat", s, err, Waiting)
	}
	other := *c
	other.SystemID = "s_another000000"
	s, err := other.Heartbeat(t.Context(), r, true)
	want(t, "heartbeat of another installation", s, err, Over)
	s, err = c.Accept(t.Context(), r)
	want(t, "accept", s, err, Live)
	s, err = c.Accept(t.Context(), r)
	want(t, "accept again", s, err, Live)
	s, err = c.Heartbeat(t.Context(), r, true)
	want(t, "late heartbeat", s, err, Live)
	if a.beats != 3 || a.status != "running" {
		t.Errorf("%d beats, %s", a.beats, a.status)
	}
}

// A job that waits can fail, and does so with its text.
func TestTwoPhasesFail(t *testing.T) {
	a, c, r := ackingCoordinator(t, true)
	r.Failure = "why"
	if _, err := c.Fail(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if a.status != "failed" || !strings.Contains(a.trace, "why") {
		t.Errorf("%s, trace %q", a.status, a.trace)
	}
	s, err := c.Heartbeat(t.Context(), r, true)
	want(t, "heartbeat", s, err, Over)
}

// The flag goes off under a job that waits, or was never on.
func TestTwoPhasesFallBack(t *testing.T) {
	_, c, r := ackingCoordinator(t, false)
	s, err := c.Heartbeat(t.Context(), r, true)
	want(t, "heartbeat without the flag", s, err, Live)

	a, c, r := ackingCoordinator(t, true)
	a.mu.Lock()
	a.flag, a.status = false, "running"
	a.mu.Unlock()
	s, err = c.Heartbeat(t.Context(), r, true)
	want(t, "heartbeat after the flag went off", s, err, Live)
}

// What is announced is what the host can do.
func TestFeaturesAreHonest(t *testing.T) {
	a, _, _ := ackingCoordinator(t, true)
	var in struct {
		Info struct{ Features map[string]bool }
	}
	if err := json.Unmarshal([]byte(a.bodies[0]), &in); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"session": false, "terminal": false, "shared": false, "proxy": false, "two_phase_job_commit": true, "refspecs": true, "artifacts": true,
	} {
		if got, said := in.Info.Features[name]; !said || got != want {
			t.Errorf("%s: %v, %v", name, got, said)
		}
	}
}

// scripted answers every call the same way.
func scripted(t *testing.T, h http.HandlerFunc) *Coordinator {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Coordinator{URL: s.URL}
}

func TestPollAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status    int
		body      string
		retry     string
		err       string
		temporary bool
	}{
		"nothing":          {status: 204},
		"faster one":       {status: 409},
		"paused or gone":   {status: 403, body: `{"message":"403 Forbidden"}`, err: "403 Forbidden"},
		"unprocessable":    {status: 422, err: "422 Unprocessable"},
		"too many":         {status: 429, retry: "7", err: "429", temporary: true},
		"down":             {status: 502, body: "<html>", err: "502 Bad Gateway", temporary: true},
		"unavailable":      {status: 503, err: "503", temporary: true},
		"not a job":        {status: 201, body: "<html>s3cr3t", err: "cannot be used: read job: not valid JSON"},
		"job of no id":     {status: 201, body: `{"token":"s3cr3t"}`, err: "no id or no token"},
		"job of odd types": {status: 201, body: `{"id":"s3cr3t"}`, err: "id has another type"},
	} {
		t.Run(name, func(t *testing.T) {
			k := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.retry != "" {
					w.Header().Set("Retry-After", c.retry)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			j, err := (&Poll{Coordinator: k, Token: secret.New("s3cr3t")}).Next(t.Context())
			if j != nil || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || Temporary(err) != c.temporary {
				t.Fatalf("%v, %v", j, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Error(err)
			}
			if c.retry != "" && Backoff(1, err) < 7*time.Second {
				t.Error("Retry-After is not honoured")
			}
		})
	}
}

// A server that takes the call and never answers, or not to the end, holds
// nobody up.
func TestCallsEnd(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"silent": func(http.ResponseWriter) {},
		"half": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(201)
			fmt.Fprint(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			k := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
				begin(w)
				<-release
			})
			k.CallLimit, k.PollLimit = 100*time.Millisecond, 100*time.Millisecond
			t.Cleanup(func() { close(release) }) // before the server waits for its handlers
			if j, err := (&Poll{Coordinator: k}).Next(t.Context()); j != nil || !Temporary(err) {
				t.Errorf("poll: %v, %v", j, err)
			}
			if _, err := k.Look(t.Context(), Record{}); !Temporary(err) {
				t.Errorf("look: %v", err)
			}
		})
	}
	gone := &Coordinator{URL: "http://127.0.0.1:1"}
	if _, err := gone.Look(t.Context(), Record{}); !Temporary(err) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gone.Look(ctx, Record{}); err == nil || Temporary(err) {
		t.Errorf("called off: %v", err)
	}
}

// Only the forge's own word is an end. A refusal by something before the forge,
// a server in trouble or a token that opens nothing is none: no host is removed
// for it, and no job given up.
func TestTroubleIsNotOver(t *testing.T) {
	for _, status := range []int{500, 502, 503, 429, 401, 404, 403, 410} {
		for _, body := range []string{"", "404 page not found\n", "Forbidden\n", `{"message":"Forbidden"}`, "<html>", `{"message":"401 Unauthorized"}`, `{"message":"404 Job Not Found"}`} {
			k := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
				if status != http.StatusForbidden {
					w.Header().Set("Job-Status", "failed") // a server in trouble may say anything
				}
				w.WriteHeader(status)
				fmt.Fprint(w, body)
			})
			for name, ask := range map[string]func() (Standing, error){
				"look":      func() (Standing, error) { return k.Look(t.Context(), Record{}) },
				"accept":    func() (Standing, error) { return k.Accept(t.Context(), Record{}) },
				"heartbeat": func() (Standing, error) { return k.Heartbeat(t.Context(), Record{}, true) },
				"beat":      func() (Standing, error) { return k.Heartbeat(t.Context(), Record{}, false) },
			} {
				if s, err := ask(); err == nil || s != Unsure {
					t.Errorf("%s, %d %q: %v, %v", name, status, body, s, err)
				}
			}
			if _, err := k.Fail(t.Context(), Record{Failure: "why"}); err == nil {
				t.Errorf("fail, %d %q: told", status, body)
			}
		}
	}
}

// What the forge says of a job that is over, that it does not know, or whose
// token it cannot read any more.
func TestLookIsSure(t *testing.T) {
	const no = `{"message":"403 Forbidden  - Job is not running"}`
	for name, c := range map[string]struct {
		token  int // the answer to the job's token
		runner int // the answer to the runner of the job
		body   string
		status string // Job-Status
		want   Standing
	}{
		"over":                    {401, 403, no, "success", Over},
		"over, behind error page": {401, 403, "<html>", "failed", Over},
		"deleted":                 {401, 403, `{"message":"403 Forbidden"}`, "", Over},
		"project deleted":         {401, 403, `{"message":"403 Forbidden  - Project has been deleted!"}`, "", Over},
		"tokens are ruled out":    {403, 200, "", "running", Live},
		"the key was lost":        {401, 200, "", "", Live},
		"being canceled":          {401, 200, "", "canceling", Canceling},
	} {
		k := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.WriteHeader(c.token)
				fmt.Fprintf(w, `{"message":"%d"}`, c.token)
				return
			}
			w.Header().Set("Job-Status", c.status)
			w.WriteHeader(c.runner)
			fmt.Fprint(w, c.body)
		})
		s, err := k.Look(t.Context(), Record{Key: Key{Job: 5}})
		want(t, name, s, err, c.want)
	}
}

func TestStarted(t *testing.T) {
	for _, c := range []struct {
		status  int
		body    string
		started bool
		failed  bool
	}{{200, "", false, false}, {200, "12345", false, false}, {200, "123456", true, false}, {404, "", false, true}, {429, "", false, true}, {500, "", false, true}, {403, "", false, true}} {
		k := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/v4/projects/3/jobs/5/trace" || r.Header.Get("Private-Token") != "watch" {
				t.Errorf("%s %v", r.URL, r.Header)
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		got, err := k.Started(t.Context(), Record{Key: Key{Job: 5}, TraceOffset: 5}, 3, secret.New("watch"))
		if got != c.started || (err != nil) != c.failed {
			t.Errorf("%d %q: %v, %v", c.status, c.body, got, err)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, longest := range map[int]time.Duration{0: time.Second, 1: time.Second, 4: 8 * time.Second, 7: time.Minute, 1000: time.Minute} {
		for range 50 {
			if d := Backoff(failures, nil); d < longest/2 || d > longest+1 {
				t.Fatalf("%d failures: %v", failures, d)
			}
		}
	}
}
