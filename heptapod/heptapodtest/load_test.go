package heptapodtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// load is how much the tests below ask of a forge. HEPTAPODTEST_LOAD=full is
// what a busy site would; without it two cores do it in seconds, even when each
// memory access is checked for races.
type load struct {
	waiting  int // runners that are held
	pushes   int // at once, half of them hg, half git
	requests int // for a job, answered at once
	rate     int // of them in a second of one core's time, at the least, asking included
}

func loadOf() load {
	if os.Getenv("HEPTAPODTEST_LOAD") == "full" {
		return load{waiting: 1000, pushes: 200, requests: 20000, rate: 2000}
	}
	return load{waiting: 1000, pushes: 8, requests: 3000}
}

// crowd is many runners on one pool of connections.
type crowd struct {
	url  string
	http *http.Client

	mu    sync.Mutex
	given map[int64]int // how often each job was
	ended atomic.Int64
}

func newCrowd(t *testing.T, url string) *crowd {
	transport := &http.Transport{MaxIdleConnsPerHost: 2000}
	t.Cleanup(transport.CloseIdleConnections)
	return &crowd{url: url, http: &http.Client{Transport: transport}, given: map[int64]int{}}
}

func (c *crowd) send(ctx context.Context, method, path, contentRange, token string, body any) (int, []byte, error) {
	data, ok := body.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+"/api/v4"+path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if contentRange != "" {
		req.Header.Set("Content-Range", contentRange)
		req.Header.Set("Content-Type", "text/plain")
	}
	if token != "" {
		req.Header.Set("JOB-TOKEN", token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// request asks once; a job of id 0 is none.
func (c *crowd) request(ctx context.Context, token string) (id int64, secret string, err error) {
	status, data, err := c.send(ctx, "POST", "/jobs/request", "", "", map[string]any{"token": token, "system_id": "s_1"})
	switch {
	case err != nil || status == http.StatusNoContent:
		return 0, "", err
	case status != http.StatusCreated:
		return 0, "", fmt.Errorf("jobs/request: %d %s", status, data)
	}
	var job struct {
		ID    int64
		Token string
	}
	if err := json.Unmarshal(data, &job); err != nil {
		return 0, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given[job.ID]++
	return job.ID, job.Token, nil
}

// traceOf is what every runner says of a job.
func traceOf(id int64) string {
	return strings.Repeat(fmt.Sprintf("job %d\n", id), 3)
}

// run does a job: it is acknowledged, sends its trace in pieces and ends.
func (c *crowd) run(ctx context.Context, id int64, secret string) error {
	path := fmt.Sprintf("/jobs/%d", id)
	want := func(code int, status int, data []byte, err error) error {
		if err == nil && status != code {
			err = fmt.Errorf("job %d: %d %s, want %d", id, status, data, code)
		}
		return err
	}
	put := func(state string) error {
		status, data, err := c.send(ctx, "PUT", path, "", "", map[string]any{"token": secret, "state": state})
		return want(http.StatusOK, status, data, err)
	}
	if err := put("running"); err != nil {
		return err
	}
	sent := 0
	for line := range strings.Lines(traceOf(id)) {
		status, data, err := c.send(ctx, "PATCH", path+"/trace", fmt.Sprintf("%d-%d", sent, sent+len(line)-1), secret, []byte(line))
		if err := want(http.StatusAccepted, status, data, err); err != nil {
			return err
		}
		sent += len(line)
	}
	err := put("success")
	c.ended.Add(1)
	return err
}

// check wants every job of the pipelines once, successful and with its trace.
func (c *crowd) check(t *testing.T, pipelines []*heptapodtest.Pipeline) {
	t.Helper()
	jobs := 0
	for _, pl := range pipelines {
		if pl.Status != "success" {
			t.Errorf("pipeline %d of %s: %s", pl.ID, pl.Ref, pl.Status)
		}
		for _, j := range pl.Jobs {
			jobs++
			if c.given[j.ID] != 1 {
				t.Errorf("job %d was given %d times", j.ID, c.given[j.ID])
			}
			if raw, err := j.RawTrace(); err != nil || string(raw) != traceOf(j.ID) {
				t.Errorf("trace of job %d: %q, %v", j.ID, raw, err)
			}
		}
	}
	if len(c.given) != jobs {
		t.Errorf("%d jobs were given, the pipelines have %d", len(c.given), jobs)
	}
}

const threeJobs = "stages: [a, b]\none: {stage: a, script: [x]}\ntwo: {stage: a, script: [x]}\nlast: {stage: b, script: [x]}\n"

// Runners wait by the thousand while many push: every push that returned has its
// pipeline, every job goes to one runner, and what runners said is kept.
func TestManyRunnersAndPushes(t *testing.T) {
	size := loadOf()
	s := heptapodtest.New(t, heptapodtest.WithLongPoll(10*time.Minute))
	c := newCrowd(t, s.URL)
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	runners, ctx := errgroup.WithContext(ctx)
	for range size.waiting {
		token, err := s.NewRunnerToken()
		if err != nil {
			t.Fatal(err)
		}
		runners.Go(func() error {
			for {
				id, secret, err := c.request(ctx, token)
				if err == nil && id != 0 {
					err = c.run(ctx, id, secret)
				}
				if ctx.Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
	}
	clones := makeClones(t, s, size.pushes)
	admin := client{t: t, url: s.URL, token: s.Token}
	for total := ""; total != fmt.Sprint(size.waiting); total = admin.header.Get("X-Total") {
		if admin.list("/runners/all?status=online"); ctx.Err() != nil {
			t.Fatal(runners.Wait())
		}
	}

	limit := time.AfterFunc(20*time.Minute, enough)
	defer limit.Stop()
	began := time.Now()
	var pushes errgroup.Group
	for _, k := range clones {
		pushes.Go(func() error { return k.push(t) })
	}
	if err := pushes.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pushes at once: %v", len(clones), time.Since(began).Round(time.Millisecond))
	var pipelines []*heptapodtest.Pipeline
	for _, k := range clones {
		// The push has returned: its pipeline is there, whoever else pushes.
		if _, err := s.Await(canceled(), k.project.Path, k.ref, func(*heptapodtest.Pipeline) bool { return true }); err != nil {
			t.Error(err)
		}
		pl, err := s.WaitPipeline(ctx, k.project.Path, k.ref)
		if err != nil {
			t.Fatal(err, runners.Wait())
		}
		if pl.SHA != k.id || len(pl.Jobs) != 3 {
			t.Errorf("%s in %s: pipeline of %s with %d jobs, pushed %s", k.ref, k.project.Path, pl.SHA, len(pl.Jobs), k.id)
		}
		pipelines = append(pipelines, pl)
	}
	enough()
	if err := runners.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d jobs for %d runners: %v", c.ended.Load(), size.waiting, time.Since(began).Round(time.Millisecond))
	c.check(t, pipelines)
}

// canceled is for looking once.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// clone is a working copy with one commit to be pushed, on a branch of its own.
type clone struct {
	project *heptapodtest.Project
	dir     string
	url     string
	ref     string
	id      string
}

// makeClones makes n of them, four to a project, of hg and git in turn.
func makeClones(t *testing.T, s *heptapodtest.Server, n int) []*clone {
	t.Helper()
	clones := make([]*clone, n)
	var made errgroup.Group
	made.SetLimit(8)
	for i := range clones {
		kind := []string{"hg", "git"}[i/4%2]
		k := &clone{dir: filepath.Join(t.TempDir(), "w")}
		if clones[i] = k; i%4 == 0 {
			k.project = s.CreateProject(t, fmt.Sprintf("load/p%d", i/4), kind)
		} else {
			k.project = clones[i-1].project
		}
		k.url = cloneURL(t, k.project, "root")
		made.Go(func() error {
			branch := fmt.Sprintf("b%d", i)
			var steps [][]string
			if kind == "hg" {
				k.ref = "branch/" + branch
				steps = [][]string{{"hg", "init"}, {"hg", "branch", "-q", branch}, {"hg", "commit", "-qAm", "x"}, {"hg", "log", "-r", ".", "-T", "{node}"}}
			} else {
				k.ref = branch
				steps = [][]string{{"git", "init", "-q", "-b", branch}, {"git", "add", "."}, {"git", "commit", "-qm", "x"}, {"git", "rev-parse", "HEAD"}}
			}
			write(t, filepath.Join(k.dir, ".gitlab-ci.yml"), threeJobs+"# "+branch+"\n")
			for _, args := range steps {
				out, err := try(t, k.dir, args...)
				if err != nil {
					return fmt.Errorf("%s: %w\n%s", args, err, out)
				}
				k.id = out
			}
			return nil
		})
	}
	if err := made.Wait(); err != nil {
		t.Fatal(err)
	}
	return clones
}

// push pushes until hg is not told any more that somebody else was quicker.
func (k *clone) push(t *testing.T) error {
	args := []string{"git", "push", "-q", k.url, "HEAD"}
	if k.project.VCS == "hg" {
		args = []string{"hg", "push", "-q", "-f", "--new-branch", k.url}
	}
	for {
		out, err := try(t, k.dir, args...)
		if err == nil {
			return nil
		}
		if !strings.Contains(out, "try again") && !strings.Contains(out, "repository changed") {
			return fmt.Errorf("push to %s: %w\n%s", k.project.Path, err, out)
		}
	}
}

// Requests for a job come as fast as they can from many runners, while others
// end jobs: all are answered, no job is given twice.
func TestManyJobRequests(t *testing.T) {
	size := loadOf()
	const runners, parallel, batches = 50, 40, 4
	s, p, _ := forgeWith(t, "git", fmt.Sprintf("many: {script: [x], parallel: %d}\n", parallel))
	for range batches - 1 {
		again(t, s, p)
	}
	c := newCrowd(t, s.URL)
	var left, answered atomic.Int64
	left.Store(int64(size.requests))
	var group errgroup.Group
	began, used := time.Now(), coreTime(t)
	for range runners {
		token, err := s.NewRunnerToken()
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() error {
			for left.Add(-1) >= 0 || c.ended.Load() < parallel*batches {
				id, secret, err := c.request(t.Context(), token)
				if err == nil && id != 0 {
					err = c.run(t.Context(), id, secret)
				}
				if err != nil {
					return err
				}
				answered.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	// What others do on the machine shows in the first figure only.
	n, rate := float64(answered.Load()), float64(answered.Load())/(coreTime(t)-used).Seconds()
	t.Logf("%.0f requests a second, %.0f in a second of one core, %d jobs between them", n/time.Since(began).Seconds(), rate, c.ended.Load())
	if rate < float64(size.rate) {
		t.Errorf("%.0f requests in a second of one core, want %d", rate, size.rate)
	}
	var pipelines []*heptapodtest.Pipeline
	for i := range batches {
		pl, err := s.Pipeline(t.Context(), p.Path, i+1)
		if err != nil {
			t.Fatal(err)
		}
		pipelines = append(pipelines, pl)
	}
	c.check(t, pipelines)
}

// coreTime is how long this process kept a core busy so far.
func coreTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
