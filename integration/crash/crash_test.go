package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// stage is a forge, a cloud whose hosts run jobs, and the program between them.
type stage struct {
	*gate
	t       *testing.T
	forge   *heptapodtest.Server
	project *heptapodtest.Project
	clone   string // of the project
	cloud   *clevertest.Cloud
	two     *twoPhases
	url     string // of the forge, through the gate
	token   string // of the runner
	pushed  int

	mu   sync.Mutex
	now  time.Time
	runs map[int64]int // of jobs on hosts
	seen chan struct{} // closed when the program has looked at the job
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{gate: newGate(), t: t, runs: map[int64]int{}, now: time.Now(), two: &twoPhases{waiting: map[string]bool{}}}
	s.forge = heptapodtest.New(t, heptapodtest.WithLongPoll(-1), heptapodtest.WithClock(func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	}))
	var err error
	if s.token, err = s.forge.NewRunnerToken(); err != nil {
		t.Fatal(err)
	}
	s.project = s.forge.CreateProject(t, "group/project", "git")
	s.url = s.coordinator(t, s.forge.URL, s.two)
	s.cloud = clevertest.New(t)
	s.cloud.Begin("OK")
	s.cloud.Before = s.pass
	s.cloud.Deploy = s.deploy
	s.clone = filepath.Join(t.TempDir(), "clone")
	url, err := s.project.CloneURL("root")
	if err != nil {
		t.Fatal(err)
	}
	s.git(".", "init", "-q", "-b", "main", s.clone)
	s.git(s.clone, "remote", "add", "origin", url)
	return s
}

func (s *stage) git(dir string, args ...string) {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// push makes a pipeline of one job.
func (s *stage) push() {
	s.t.Helper()
	s.pushed++
	for name, text := range map[string]string{".gitlab-ci.yml": "build: {script: [make]}\n", "n": fmt.Sprint(s.pushed)} {
		if err := os.WriteFile(filepath.Join(s.clone, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git(s.clone, "add", ".")
	s.git(s.clone, "commit", "-qm", fmt.Sprint(s.pushed))
	s.git(s.clone, "push", "-q", "origin", "main")
}

// deploy is what a host does: it runs the job that it was given.
func (s *stage) deploy(a clevertest.App, files map[string][]byte) {
	var job struct {
		ID    int64
		Token string
	}
	if err := json.Unmarshal(files["job.json"], &job); err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	seen := s.seen
	s.mu.Unlock()
	if a.State == "FAIL" {
		return
	}
	say := func(state string) bool {
		body := fmt.Sprintf(`{"token":%q,"state":%q}`, job.Token, state)
		req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/api/v4/jobs/%d", s.forge.URL, job.ID), strings.NewReader(body))
		if err != nil {
			s.t.Error(err)
			return false
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			s.t.Error(err)
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if !say("running") {
		return // it is over: nothing is run
	}
	s.mu.Lock()
	s.runs[job.ID]++
	s.mu.Unlock()
	<-seen
	if !say("success") {
		s.t.Errorf("job %d was ended under its host", job.ID)
	}
}

// config writes a configuration with a state file of its own.
func (s *stage) config() (file, state string) {
	s.t.Helper()
	dir := s.t.TempDir()
	file, state = filepath.Join(dir, "paas.toml"), filepath.Join(dir, "state.json")
	text := fmt.Sprintf(`
state_file = %q
check_interval = 0.05
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
`, state, s.url, s.token, clevertest.Organisation, clevertest.Token, s.cloud.URL+"/v2")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file, state
}

// running is the program at work.
type running struct {
	*exec.Cmd
	said *words
}

// words are what a process says, read while it goes on.
type words struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func (s *stage) start(args ...string) *running {
	s.t.Helper()
	r := &running{exec.Command(program, append([]string{"paas", "run"}, args...)...), &words{}}
	r.Stderr = r.said
	if err := r.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = r.Process.Kill() })
	return r
}

// eventually waits until something holds.
func (s *stage) eventually(what string, r *running, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			_ = r.Process.Kill()
			_ = r.Wait()
			s.t.Fatalf("%s does not come\ncalls %v\n%s", what, s.met(), r.said)
		}
	}
}

// job is that of the last pipeline, and how many jobs that has.
func (s *stage) job() (*heptapodtest.Job, int) {
	p, err := s.forge.Pipeline(context.Background(), s.project.Path, s.pushed)
	if err != nil || len(p.Jobs) == 0 {
		return &heptapodtest.Job{}, 0
	}
	return &p.Jobs[0], len(p.Jobs)
}

// phases are those in a state file.
func phases(path string) (out []string) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var in struct {
		Hepta struct{ Jobs []struct{ Phase string } }
	}
	_ = json.Unmarshal(data, &in)
	for _, j := range in.Hepta.Jobs {
		out = append(out, j.Phase)
	}
	return out
}

// kill runs one job, kills the program at a call, starts it again and waits
// until all is settled.
func (s *stage) kill(call string, served bool, status string) (phase []string) {
	s.t.Helper()
	hosts := len(s.cloud.Ledger())
	seen := make(chan struct{})
	s.mu.Lock()
	s.seen = seen
	s.mu.Unlock()
	hit, release := s.arm(call, served)
	file, state := s.config()
	r := s.start(file)
	s.push()
	dead := false
	s.eventually("the call "+call, r, func() bool {
		select {
		case <-hit:
			dead = true
		default:
		}
		if slices.Contains(s.met(), "look") {
			select {
			case <-seen:
			default:
				close(seen)
			}
		}
		return dead
	})
	if err := r.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = r.Wait()
	phase = phases(state)
	release()
	if call == "request a job" { // nobody has it: the forge gives it again after a minute
		s.mu.Lock()
		s.now = s.now.Add(61 * time.Second)
		s.mu.Unlock()
		if err := s.forge.Reap(); err != nil {
			s.t.Fatal(err)
		}
	}
	r = s.start(file)
	s.eventually("the end of the job", r, func() bool {
		if looked := slices.Contains(s.met(), "look"); looked || call == "look" {
			select {
			case <-seen:
			default:
				close(seen)
			}
		}
		j, _ := s.job()
		return j.Status == "success" || j.Status == "failed" || j.Status == "canceled"
	})
	s.eventually("the end of the host", r, func() bool { return len(s.cloud.Alive()) == 0 && len(phases(state)) == 0 })
	j, n := s.job()
	s.mu.Lock()
	runs := s.runs[j.ID]
	s.mu.Unlock()
	want := 1
	if status != "success" {
		want = 0
	}
	if j.Status != status || n != 1 || runs != want {
		s.t.Errorf("killed at %s (served: %v): job %s, %d jobs, %d runs\n%s", call, served, j.Status, n, runs, r.said)
	}
	if text, err := j.Trace(); err != nil || status == "failed" && strings.Count(text, "could not be started") != 1 {
		s.t.Errorf("killed at %s (served: %v): trace %q, %v", call, served, text, err)
	}
	if made := len(s.cloud.Ledger()) - hosts; made < 1 || made > 2 {
		s.t.Errorf("killed at %s: %d hosts were made", call, made)
	}
	if left, err := os.ReadDir(state + ".scratch"); err != nil || len(left) > 0 {
		s.t.Errorf("killed at %s: secrets are left in %v, %v", call, left, err)
	}
	at := time.Now()
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		s.t.Errorf("stopped: %v\n%s", err, r.said)
	}
	if took := time.Since(at); took > 20*time.Second {
		s.t.Errorf("stopped after %v", took)
	}
	return phase
}

// Killed at any call, before it takes effect or after and before its answer is
// heard, a job ends once, runs once, and leaves nothing.
func TestKilledAtEveryCall(t *testing.T) {
	s := newStage(t)
	reached := map[string]bool{}
	for _, on := range []bool{false, true} {
		s.two.mu.Lock()
		s.two.on = on
		s.two.mu.Unlock()
		for _, call := range []string{"request a job", "create", "set environment", "wait for repository", "say running", "push", "deployment", "look", "delete"} {
			for _, served := range []bool{false, true} {
				if call == "request a job" && !served || on && (call == "wait for repository" || call == "set environment") {
					continue
				}
				for _, p := range s.kill(call, served, "success") {
					reached[p] = true
				}
				if t.Failed() {
					return
				}
			}
		}
		// Where no host comes, the forge hears of it once.
		s.cloud.Begin("FAIL")
		for _, call := range []string{"write trace", "say failed", "delete"} {
			for _, served := range []bool{false, true} {
				for _, p := range s.kill(call, served, "failed") {
					reached[p] = true
				}
				if t.Failed() {
					return
				}
			}
		}
		s.cloud.Begin("OK")
	}
	want := []string{"created", "creating", "deleting", "failing", "pushed", "pushing", "running"}
	if got := slices.Sorted(maps.Keys(reached)); !slices.Equal(got, want) {
		t.Errorf("killed in the phases %v, want %v", got, want)
	}
}
