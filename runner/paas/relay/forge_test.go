package relay

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/heptaup/hepta/runner/paas"
)

// lab is a forge with one job that was taken, and what stands before the forge.
type lab struct {
	t       *testing.T
	forge   *heptapodtest.Server
	project *heptapodtest.Project
	front   *httptest.Server
	job     paas.Job
	dir     string // where the runner leaves its marks
	hosts   string // the file system of the host

	mu       sync.Mutex
	down     bool
	accepted bool // of a forge that waits for it
	waits    bool
	calls    []string
}

// newLab makes a forge that waits until a job is accepted, or one that does not.
func newLab(t *testing.T, waits bool) *lab {
	t.Helper()
	l := &lab{t: t, waits: waits, dir: t.TempDir(), hosts: t.TempDir()}
	l.forge = heptapodtest.New(t, heptapodtest.WithLongPoll(time.Second))
	l.project = l.forge.CreateProject(t, "group/project", "git")
	l.front = httptest.NewServer(l)
	t.Cleanup(l.front.Close)
	l.push("build:\n  script: [make]\n  artifacts: {paths: [out]}\n")
	token, err := l.forge.NewRunnerToken()
	if err != nil {
		t.Fatal(err)
	}
	poll := &paas.Poll{Coordinator: &paas.Coordinator{URL: l.front.URL, SystemID: "s_0123456789ab"}, Token: secret.New(token)}
	for range 10 {
		j, err := poll.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if j != nil {
			l.job = *j
			return l
		}
	}
	t.Fatal("no job")
	return nil
}

// ServeHTTP is the way to the forge. When it is down, calls break off or are
// answered by a proxy in between, that has no backend, does not know the name or
// guards it. Of a job that waits to be
// accepted nothing but its acceptance is heard.
func (l *lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	var in struct{ State string }
	_ = json.Unmarshal(data, &in)
	l.mu.Lock()
	l.calls = append(l.calls, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+in.State))
	down, n := l.down, len(l.calls)
	if in.State == "running" {
		l.accepted = true
	}
	early := l.waits && !l.accepted && strings.HasPrefix(r.URL.Path, "/api/v4/jobs/") && r.URL.Path != "/api/v4/jobs/request"
	l.mu.Unlock()
	switch {
	case down && n%4 == 0:
		panic(http.ErrAbortHandler)
	case down && n%4 == 1:
		http.NotFound(w, r)
	case down && n%4 == 2:
		http.Error(w, "Forbidden", http.StatusForbidden)
	case down:
		w.WriteHeader(http.StatusBadGateway)
	case early:
		w.WriteHeader(http.StatusBadRequest)
	default:
		l.forge.Handler().ServeHTTP(w, r)
	}
}

func (l *lab) setDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

func (l *lab) called(what string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.calls {
		if strings.Contains(c, what) {
			n++
		}
	}
	return n
}

func (l *lab) push(ci string) {
	l.t.Helper()
	url, err := l.project.CloneURL("root")
	if err != nil {
		l.t.Fatal(err)
	}
	dir := l.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(ci), 0o600); err != nil {
		l.t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "begin"}, {"push", "-q", url, "main"},
	} {
		cmd := exec.CommandContext(l.t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			l.t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}

// runnerToken is what runner.toml holds; the relay has no use for it.
const runnerToken = "glrt-RunnerTokenOfTheForge"

func (l *lab) relay(p plan) Relay {
	l.t.Helper()
	p.Dir = l.dir
	return Relay{
		Config: fmt.Appendf(nil, "[[runners]]\nname = 'paas'\nurl = %q\ntoken = %q\nexecutor = 'docker'\n[runners.docker]\nimage = 'debian:12'\n", l.front.URL+"/", runnerToken),
		Job:    l.job, Runner: p.program(l.t), Dir: l.hosts, Address: "127.0.0.1", CleanUp: time.Minute,
	}
}

// begun is a relay at work.
type begun struct {
	outcome Outcome
	err     error
	done    chan struct{}
}

func begin(ctx context.Context, r Relay) *begun {
	b := &begun{done: make(chan struct{})}
	go func() {
		defer close(b.done)
		b.outcome, b.err = r.Run(ctx)
	}()
	return b
}

func (b *begun) wait(t *testing.T) (Outcome, error) {
	t.Helper()
	select {
	case <-b.done:
	case <-time.After(2 * time.Minute):
		t.Fatal("the relay does not end")
	}
	return b.outcome, b.err
}

func (l *lab) await(what string, done func() bool) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (l *lab) mark(name string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), nil, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) marked(name string) {
	l.t.Helper()
	l.await("the runner gets to "+name, func() bool {
		_, err := os.Stat(filepath.Join(l.dir, name))
		return err == nil
	})
}

// life is what the runner did, in words.
func (l *lab) life() string {
	data, err := os.ReadFile(filepath.Join(l.dir, "began"))
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(data)), " ")
}

// ended checks the job as the forge has it and gives its trace.
func (l *lab) ended(status, reason string) string {
	l.t.Helper()
	p, err := l.forge.Await(l.t.Context(), l.project.Path, "main", func(*heptapodtest.Pipeline) bool { return true })
	if err != nil {
		l.t.Fatal(err)
	}
	j, err := p.Job("build")
	if err != nil {
		l.t.Fatal(err)
	}
	if j.Status != status || j.FailureReason != reason {
		l.t.Errorf("the job is %s %q, want %s %q", j.Status, j.FailureReason, status, reason)
	}
	raw, err := j.RawTrace()
	if err != nil {
		l.t.Fatal(err)
	}
	return string(raw)
}

// artifact is the job's archive.
func (l *lab) artifact() string {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet,
		fmt.Sprintf("%s/api/v4/projects/group%%2Fproject/jobs/%d/artifacts", l.forge.URL, l.job.ID), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Private-Token", l.forge.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	return string(data)
}

func (l *lab) cancel() {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost,
		fmt.Sprintf("%s/api/v4/projects/group%%2Fproject/jobs/%d/cancel", l.forge.URL, l.job.ID), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Private-Token", l.forge.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		l.t.Fatalf("cancel: %s", resp.Status)
	}
}
