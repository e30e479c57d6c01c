package heptapodtest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// rootToken stays from one life of a daemon to the next.
const rootToken = "glpat-kill-kill-kill-kill"

// The test binary is also the daemon that the tests below kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HEPTAPODTEST_DAEMON"); dir != "" {
		if err := serve(dir, os.Getenv("HEPTAPODTEST_LISTEN")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func serve(dir, listen string) error {
	s, err := heptapodtest.Start(context.Background(), heptapodtest.Config{
		Dir: dir, Listen: listen, LongPoll: 200 * time.Millisecond, AckWithin: 5 * time.Second,
	})
	if err != nil {
		return err
	}
	// From the second start on there is one of that text.
	_, _ = s.MintToken(heptapodtest.TokenRequest{User: "root", Name: "kill", Scopes: []string{"api"}, Value: rootToken})
	fmt.Println(s.URL)
	select {}
}

// daemon is a forge in a process of its own, always at the same address.
type daemon struct {
	t      *testing.T
	dir    string
	listen string
	cmd    *exec.Cmd
}

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir(), listen: "127.0.0.1:0"}
	t.Cleanup(func() { d.kill(true) })
	d.start()
	return d
}

func (d *daemon) url() string { return "http://" + d.listen }

func (d *daemon) start() {
	d.t.Helper()
	d.cmd = exec.Command(os.Args[0])
	d.cmd.Env = append(os.Environ(), "HEPTAPODTEST_DAEMON="+d.dir, "HEPTAPODTEST_LISTEN="+d.listen)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var failed bytes.Buffer
	d.cmd.Stderr = &failed
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		d.kill(true)
		d.t.Fatalf("the daemon did not start: %v\n%s", err, failed.String())
	}
	d.listen = strings.TrimPrefix(strings.TrimSpace(url), "http://")
}

// kill ends the daemon with SIGKILL; with everything also the hg and git that
// it started, as the end of a container does.
func (d *daemon) kill(everything bool) {
	if everything {
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // there may be nothing any more
	}
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait() // killed
}

// What was acknowledged survives SIGKILL at once after the answer.
func TestKillLosesNothing(t *testing.T) {
	d := startDaemon(t)
	c := &client{t: t, url: d.url(), token: rootToken}
	again := func() { d.kill(true); d.start() }
	c.call("POST", "/projects", map[string]any{"name": "p", "vcs_type": "git"}, http.StatusCreated)
	made := c.call("POST", "/user/runners", map[string]any{"runner_type": "instance_type"}, http.StatusCreated)
	again()
	work := t.TempDir()
	run(t, work, "git", "init", "-q", "-b", "main")
	write(t, filepath.Join(work, ".gitlab-ci.yml"), simpleCI)
	run(t, work, "git", "add", "-A")
	run(t, work, "git", "commit", "-qm", "x")
	origin := strings.Replace(d.url(), "://", "://root:"+rootToken+"@", 1) + "/root/p.git"
	run(t, work, "git", "push", "-q", origin, "main")
	d.kill(true)
	// As of a git and an upload that were killed in the middle.
	lock, orphan := filepath.Join(d.dir, "repositories/root/p.git/refs/heads/main.lock"), filepath.Join(d.dir, "artifacts/upload-1")
	write(t, lock, "")
	write(t, orphan, "half")
	d.start()
	if _, err := os.Stat(orphan); err == nil {
		t.Error("an upload that was never acknowledged is left")
	}
	r := &runner{dialect: newest(), client: client{t: t, url: d.url()}, token: made["token"].(string)}
	j := r.take()
	j.patch("before the kill\n")
	again()
	if got := j.patch("after the kill\n"); got != http.StatusAccepted {
		t.Fatalf("PATCH after the kill: %d", got)
	}
	if got := j.upload("archive", "zip", "a.zip", zipBytes); got != http.StatusCreated {
		t.Fatalf("upload: %d", got)
	}
	if got := j.put("success", nil); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	again()
	out := c.get("/projects/root%2Fp/pipelines/1", http.StatusOK)
	if out["status"] != "success" {
		t.Errorf("pipeline after the kills: %v", out["status"])
	}
	if status, data := c.do("GET", fmt.Sprintf("/projects/root%%2Fp/jobs/%d/artifacts", j.ID), nil, nil); status != http.StatusOK || len(data) != len(zipBytes) {
		t.Errorf("artifact after the kills: %d, %d bytes", status, len(data))
	}
	if _, data := c.do("GET", fmt.Sprintf("/projects/root%%2Fp/jobs/%d/trace", j.ID), nil, nil); string(data) != string(j.sent) {
		t.Errorf("trace after the kills: %q", data)
	}
	run(t, work, "git", "commit", "-q", "--allow-empty", "-m", "y")
	run(t, work, "git", "push", "-q", origin, "main")
	d.kill(true)
	// As of a kill between the push and what follows from it.
	run(t, work, "git", "commit", "-q", "--allow-empty", "-m", "z")
	run(t, work, "git", "push", "-q", filepath.Join(d.dir, "repositories/root/p.git"), "main")
	d.start()
	id := run(t, work, "git", "rev-parse", "HEAD")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := within(t); len(c.list("/projects/root%2Fp/pipelines?sha="+id)) == 0; <-tick.C {
		if end.Err() != nil {
			t.Fatal("what was pushed before the kill has no pipeline")
		}
	}
}

// The daemon is killed again and again while clients push, run jobs, send
// traces and artifacts. What was acknowledged is there afterwards, nothing is
// there twice or half, and every repository goes on to take pushes.
func TestKilledUnderFire(t *testing.T) {
	kills, pushers, runners := 4, 2, 4
	if os.Getenv("HEPTAPODTEST_LOAD") == "full" {
		kills, pushers, runners = 40, 8, 16
	}
	d := startDaemon(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	f := &fire{crowd: newCrowd(t, d.url()), ran: map[int64]map[string]bool{}}
	admin := &client{t: t, url: d.url(), token: rootToken}

	var pushing errgroup.Group
	var pushed []*pusher
	for i := range pushers {
		kind := []string{"hg", "git"}[i%2]
		name := fmt.Sprintf("p%d", i)
		admin.call("POST", "/projects", map[string]any{"name": name, "vcs_type": kind}, http.StatusCreated)
		p := newPusher(t, kind, name, strings.Replace(d.url(), "://", "://root:"+rootToken+"@", 1)+"/root/"+name)
		pushed = append(pushed, p)
		pushing.Go(func() error { return p.pushUntil(ctx, f) })
	}
	jobs, stop := context.WithCancel(ctx)
	defer stop()
	var running errgroup.Group
	for range runners {
		token := admin.call("POST", "/user/runners", map[string]any{"runner_type": "instance_type"}, http.StatusCreated)["token"].(string)
		running.Go(func() error { return f.work(jobs, token) })
	}

	for n := range kills {
		// Some way into what the clients do, and anywhere in it.
		f.await(ctx, f.acks.Load()+2+rand.Int64N(8))
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(60 * time.Millisecond))))
		<-pause.C
		d.kill(n%2 == 0)
		d.start()
	}
	f.enough.Store(true)
	if err := pushing.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, p := range pushed {
		p.check(ctx, admin)
	}
	stop()
	if err := running.Wait(); err != nil {
		t.Fatal(err)
	}
	f.check(t, admin)
	t.Logf("%d acknowledgements, %d jobs, %d kills", f.acks.Load(), len(f.ran), kills)
}

// fire is what the clients were told, by a forge that dies now and then.
type fire struct {
	*crowd
	acks   atomic.Int64
	enough atomic.Bool

	mu  sync.Mutex
	ran map[int64]map[string]bool // by job the tokens with which it was begun
}

// await waits until the clients got n answers in all.
func (f *fire) await(ctx context.Context, n int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for f.acks.Load() < n && ctx.Err() == nil {
		<-tick.C
	}
}

// insist sends until there is an answer.
func (f *fire) insist(ctx context.Context, method, path, contentRange, token string, body any) (int, []byte, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, data, err := f.send(ctx, method, path, contentRange, token, body)
		if err == nil || ctx.Err() != nil {
			return status, data, err
		}
		<-tick.C
	}
}

// work takes jobs and does them until ctx ends.
func (f *fire) work(ctx context.Context, token string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		id, secret, err := f.request(ctx, token)
		if err == nil && id != 0 {
			if err := f.do(ctx, id, secret); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// do runs one job as a runner does: it goes on after an error where the forge
// says that the trace ends, and says its last word until it is heard.
func (f *fire) do(ctx context.Context, id int64, secret string) error {
	path := fmt.Sprintf("/jobs/%d", id)
	put := func(state string) (int, error) {
		status, _, err := f.insist(ctx, "PUT", path, "", "", map[string]any{"token": secret, "state": state})
		return status, err
	}
	status, err := put("running")
	if err != nil || status == http.StatusForbidden {
		return err // the forge did not hear of this runner in time: somebody else has the job
	}
	f.mu.Lock()
	if f.ran[id] == nil {
		f.ran[id] = map[string]bool{}
	}
	f.ran[id][secret] = true
	f.mu.Unlock()
	f.acks.Add(1)
	want, sent := longTrace(id), 0
	for sent < len(want) {
		piece := want[sent:min(sent+4000, len(want))]
		status, data, err := f.insist(ctx, "PATCH", path+"/trace", fmt.Sprintf("%d-%d", sent, sent+len(piece)-1), secret, []byte(piece))
		switch {
		case err != nil:
			return err
		case status == http.StatusAccepted:
			sent += len(piece)
			f.acks.Add(1)
		case status == http.StatusRequestedRangeNotSatisfiable:
			// The answer to this piece was lost, or it was cut off: no more and
			// no less than it may be there.
			size, err := f.traceSize(ctx, path, secret)
			if err != nil {
				return err
			}
			if size <= sent || size > sent+len(piece) {
				return fmt.Errorf("trace of job %d has %d bytes, %d were acknowledged", id, size, sent)
			}
			sent = size
		default:
			return fmt.Errorf("trace of job %d: %d %s", id, status, data)
		}
	}
	for status = 0; status != http.StatusCreated; {
		if status, err = f.upload(ctx, path, secret, want); ctx.Err() != nil {
			return err
		}
		if err == nil && status != http.StatusCreated {
			return fmt.Errorf("artifact of job %d: %d", id, status)
		}
	}
	f.acks.Add(1)
	if status, err = put("success"); err == nil && status != http.StatusOK {
		err = fmt.Errorf("job %d: PUT success: %d", id, status)
	}
	f.acks.Add(1)
	return err
}

func longTrace(id int64) string { return strings.Repeat(fmt.Sprintf("line of job %d\n", id), 1000) }

// traceSize is where a trace ends, as the forge says when a piece begins
// beyond that.
func (f *fire) traceSize(ctx context.Context, path, secret string) (int, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, "PATCH", f.url+"/api/v4"+path+"/trace", strings.NewReader("x"))
		if err != nil {
			return 0, err
		}
		req.Header.Set("JOB-TOKEN", secret)
		req.Header.Set("Content-Range", "999999999-999999999")
		resp, err := f.http.Do(req)
		if err == nil {
			resp.Body.Close()
			var size int
			_, err := fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &size)
			return size, err
		}
		if ctx.Err() != nil {
			return 0, err
		}
		<-tick.C
	}
}

func (f *fire) upload(ctx context.Context, path, secret, text string) (int, error) {
	body := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n" + text + "\r\n--x--\r\n"
	req, err := http.NewRequestWithContext(ctx, "POST", f.url+"/api/v4"+path+"/artifacts", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("JOB-TOKEN", secret)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	resp, err := f.http.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// check wants of every job that was begun: one runner, its end, its whole trace
// and its artifact.
func (f *fire) check(t *testing.T, admin *client) {
	t.Helper()
	for id, tokens := range f.ran {
		if len(tokens) != 1 {
			t.Errorf("job %d was begun %d times", id, len(tokens))
		}
	}
	seen := 0
	for _, p := range admin.list("/projects?per_page=100") {
		base := fmt.Sprintf("/projects/%v/jobs", p["id"])
		for number := 1; number > 0; {
			for _, j := range admin.list(fmt.Sprintf("%s?per_page=100&page=%d", base, number)) {
				seen++
				id := int64(j["id"].(float64))
				if j["status"] != "success" || f.ran[id] == nil {
					t.Errorf("job %d: %v, begun by %d", id, j["status"], len(f.ran[id]))
				}
				for _, what := range []string{"trace", "artifacts"} {
					if status, data := admin.do("GET", fmt.Sprintf("%s/%d/%s", base, id, what), nil, nil); status != http.StatusOK || string(data) != longTrace(id) {
						t.Errorf("%s of job %d: %d, %d bytes", what, id, status, len(data))
					}
				}
			}
			if _, err := fmt.Sscan(admin.header.Get("X-Next-Page"), &number); err != nil {
				number = 0
			}
		}
	}
	if seen != len(f.ran) {
		t.Errorf("the forge knows %d jobs, %d were begun", seen, len(f.ran))
	}
}

// pusher pushes commit after commit to a project of its own, each on a new branch.
type pusher struct {
	t               *testing.T
	kind, name, url string
	dir             string
	ids             map[string]string // by ref, what was acknowledged
}

func newPusher(t *testing.T, kind, name, url string) *pusher {
	t.Helper()
	p := &pusher{t: t, kind: kind, name: name, url: url, dir: filepath.Join(t.TempDir(), "w"), ids: map[string]string{}}
	write(t, filepath.Join(p.dir, ".gitlab-ci.yml"), "one: {script: [x], artifacts: {paths: [a]}}\n")
	run(t, p.dir, kind, "init", "-q")
	return p
}

// pushUntil goes on until it is enough, and repeats what did not succeed.
func (p *pusher) pushUntil(ctx context.Context, f *fire) error {
	for n := 0; !f.enough.Load(); n++ {
		branch := fmt.Sprintf("%s-%d", p.name, n)
		write(p.t, filepath.Join(p.dir, "file"), branch)
		ref := branch
		steps := [][]string{{"git", "add", "."}, {"git", "commit", "-qm", branch}, {"git", "rev-parse", "HEAD"}}
		push := []string{"git", "push", "-q", p.url + ".git", "HEAD:refs/heads/" + branch}
		if p.kind == "hg" {
			ref = "branch/" + branch
			steps = [][]string{{"hg", "branch", "-q", branch}, {"hg", "commit", "-qAm", branch}, {"hg", "log", "-r", ".", "-T", "{node}"}}
			push = []string{"hg", "push", "--new-branch", p.url}
		}
		id := ""
		for _, args := range steps {
			out, err := try(p.t, p.dir, args...)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", args, err, out)
			}
			id = out
		}
		var said []string
		for {
			out, err := try(p.t, p.dir, push...)
			if err == nil || strings.Contains(out, "no changes found") {
				break // what hg says of a push whose answer was lost
			}
			if said = append(said, out); ctx.Err() != nil {
				return errors.New("a push does not get through any more:\n" + strings.Join(said[max(0, len(said)-3):], "\n"))
			}
		}
		p.ids[ref] = id
		f.acks.Add(1)
	}
	return nil
}

// check wants one pipeline, and its end, for everything that was pushed.
func (p *pusher) check(ctx context.Context, admin *client) {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ref, id := range p.ids {
		var all []map[string]any
		over := func() bool {
			all = admin.list("/projects/root%2F" + p.name + "/pipelines?ref=" + ref)
			return slices.ContainsFunc(all, func(pl map[string]any) bool { return pl["status"] == "success" })
		}
		for !over() && ctx.Err() == nil {
			<-tick.C
		}
		if len(all) != 1 || all[0]["sha"] != id || all[0]["status"] != "success" {
			p.t.Errorf("%s of %s: want one pipeline, of %s, there are %v", ref, p.name, id, all)
		}
	}
}
