package paas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// realm is a forge, a provider and the hosts' doings, all inside the bubble of
// a test: hours pass at once.
type realm struct {
	t    *testing.T
	boot time.Duration // from a push to the start of its job
	last time.Duration // of a job

	mu     sync.Mutex
	jobs   map[int64]*realJob
	queues map[string][]int64  // by runner token
	refuse map[string]int      // runner tokens: the answer
	faults map[string][]mishap // by call: the next ones
	calls  map[string]int
	ledger []*realHost
	flat   Flavors // what can be had; with none, the provider has no sizes
	lag    time.Duration
	state  Deployment // of all pushes
	busy   sync.WaitGroup
}

type realJob struct {
	id       int64
	token    string
	tenant   string // the top-level group of its project
	claim    string // what its variables say of that; default the truth
	twoPhase bool
	hidden   bool // the token that reads does not see its project
	status   string
	trace    string
	finals   []string
	runs     int
	beats    int
}

type realHost struct {
	Host
	alive  bool
	pushes int
	made   time.Time
}

// mishap spoils one call: the kinds are 500, 400, hang (nothing happens), lost
// (it happens, and no answer comes).
type mishap string

func newRealm(t *testing.T) *realm {
	w := &realm{
		t: t, boot: 40 * time.Second, last: 2 * time.Minute, jobs: map[int64]*realJob{}, queues: map[string][]int64{}, refuse: map[string]int{},
		faults: map[string][]mishap{}, calls: map[string]int{}, state: Deployed,
	}
	t.Cleanup(w.busy.Wait)
	return w
}

// add queues a job for the runner with a token.
func (w *realm) add(runner string, id int64, change func(*realJob)) *realJob {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := &realJob{id: id, token: fmt.Sprint("job-token-", id), tenant: "group", status: "queued"}
	if change != nil {
		change(j)
	}
	w.jobs[id] = j
	w.queues[runner] = append(w.queues[runner], id)
	return j
}

func (j *realJob) done() bool {
	return slices.Contains([]string{"success", "failed", "canceled"}, j.status)
}

func (j *realJob) end(status string) {
	j.status = status
	j.finals = append(j.finals, status)
}

// spoil makes the next n calls of a kind go wrong.
func (w *realm) spoil(call string, f mishap, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.faults[call] = append(w.faults[call], f)
	}
}

// meet counts a call and gives what goes wrong.
func (w *realm) meet(call string) mishap {
	w.calls[call]++
	list := w.faults[call]
	if len(list) == 0 {
		return ""
	}
	w.faults[call] = list[1:]
	return list[0]
}

// RoundTrip is the forge.
func (w *realm) RoundTrip(req *http.Request) (*http.Response, error) {
	var in struct{ Token, State string }
	if req.Body != nil {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		_ = json.Unmarshal(data, &in)
		if req.Method == http.MethodPatch {
			in.State = string(data)
		}
	}
	w.mu.Lock()
	call, answer := w.forge(req, in.Token, in.State)
	f := w.meet(call)
	status, body := 0, ""
	switch f {
	case "", "lost":
		status, body = answer()
	case "500":
		status = 500
	case "400":
		status = 400
	}
	w.mu.Unlock()
	if f == "hang" || f == "lost" {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}, nil
}

// forge is the name of a call and what it does.
func (w *realm) forge(req *http.Request, token, state string) (string, func() (int, string)) {
	path := strings.TrimPrefix(req.URL.Path, "/api/v4")
	if req.Header.Get("Job-Token") != "" {
		token = req.Header.Get("Job-Token")
	}
	var j *realJob
	for _, each := range w.jobs {
		if each.token == token {
			j = each
		}
	}
	refusal := func(status int) func() (int, string) {
		return func() (int, string) {
			return status, fmt.Sprintf(`{"message":"%d %s"}`, status, http.StatusText(status))
		}
	}
	switch {
	case path == "/jobs/request":
		return "request", func() (int, string) {
			if status := w.refuse[token]; status != 0 {
				return refusal(status)()
			}
			if len(w.queues[token]) == 0 {
				return 204, ""
			}
			j := w.jobs[w.queues[token][0]]
			w.queues[token] = w.queues[token][1:]
			if j.status = "running"; j.twoPhase {
				j.status = "pending"
			}
			return 201, fmt.Sprintf(`{"id":%d,"token":%q,"job_info":{"project_id":%d},"variables":[{"key":"CI_PROJECT_ROOT_NAMESPACE","value":%q},{"key":"CI_PROJECT_ROOT_NAMESPACE","value":%q}]}`,
				j.id, j.token, j.id, j.tenant, cmp.Or(j.claim, j.tenant))
		}
	case strings.HasPrefix(path, "/projects/") && req.Method == http.MethodGet && !strings.HasSuffix(path, "/trace"):
		return "project", func() (int, string) {
			for _, j := range w.jobs {
				if path == fmt.Sprint("/projects/", j.id) {
					return 200, fmt.Sprintf(`{"id":%d,"namespace":{"kind":"group","full_path":"%s/team"}}`, j.id, j.tenant)
				}
			}
			return 404, "{}"
		}
	case path == "/groups":
		return "groups", func() (int, string) {
			var list []string
			for _, j := range w.jobs {
				list = append(list, fmt.Sprintf(`{"full_path":%q,"custom_attributes":[{"key":"cc_orga_id","value":"o"}]}`, j.tenant))
			}
			return 200, "[" + strings.Join(append(list, `{"full_path":"poor","custom_attributes":[]}`), ",") + "]"
		}
	case path == "/runners/verify":
		return "verify", func() (int, string) { return 200, `{"id":5}` }
	case path == "/runners/5/jobs":
		return "runner jobs", func() (int, string) {
			var list []string
			for _, id := range slices.Backward(slices.Sorted(maps.Keys(w.jobs))) {
				if j := w.jobs[id]; !j.hidden {
					list = append(list, fmt.Sprintf(`{"id":%d,"status":%q}`, j.id, j.status))
				}
			}
			return 200, "[" + strings.Join(list, ",") + "]"
		}
	case strings.HasSuffix(path, "/trace") && req.Method == http.MethodGet:
		return "watch", func() (int, string) {
			for _, j := range w.jobs {
				if strings.HasSuffix(path, fmt.Sprintf("/jobs/%d/trace", j.id)) {
					return 200, j.trace
				}
			}
			return 404, ""
		}
	case j == nil:
		return "stranger", refusal(403)
	case path == "/job":
		return "look", func() (int, string) {
			if j.done() {
				return refusal(401)()
			}
			return 200, fmt.Sprintf(`{"status":%q}`, j.status)
		}
	case req.Method == http.MethodPatch:
		return "trace", func() (int, string) {
			if j.done() {
				return refusal(403)()
			}
			j.trace += state
			return 202, ""
		}
	case j.done():
		return state, refusal(403)
	case state == "pending" && j.status == "pending":
		return "beat", func() (int, string) { j.beats++; return 200, "" }
	case state == "pending":
		return "beat", refusal(403)
	case state == "running":
		return "accept", func() (int, string) {
			if j.status == "pending" {
				j.status = "running"
			}
			return 200, ""
		}
	case state == "failed":
		return "fail", func() (int, string) {
			if j.status == "pending" {
				return 400, ""
			}
			j.end("failed")
			return 200, ""
		}
	}
	return path, refusal(404)
}

// provide makes a call to the provider.
func (w *realm) provide(ctx context.Context, call string, do func() error) error {
	w.mu.Lock()
	f := w.meet(call)
	if f == "slow" {
		w.mu.Unlock()
		time.Sleep(time.Minute)
		w.mu.Lock()
	}
	var err error
	switch f {
	case "", "lost", "slow":
		err = do()
	case "500":
		err = &StatusError{Call: call, Status: 500}
	case "400":
		err = &StatusError{Call: call, Status: 400, Message: "the provider says no"}
	}
	w.mu.Unlock()
	if f == "hang" || f == "lost" {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		<-ctx.Done()
		return fmt.Errorf("%s: %w", call, ctx.Err())
	}
	return err
}

func (w *realm) Flavors(ctx context.Context) (list Flavors, err error) {
	err = w.provide(ctx, "flavors", func() error { list = w.flat; return nil })
	return list, err
}

func (w *realm) Create(ctx context.Context, tenant, name string, f Flavor) (h Host, err error) {
	err = w.provide(ctx, "create", func() error {
		if tenant == "broken" {
			return errors.New("find organisation of group broken: it has none")
		}
		h = Host{ID: fmt.Sprint("app_", len(w.ledger)+1), Name: name, Tenant: tenant, Weight: f.Weight()}
		w.ledger = append(w.ledger, &realHost{Host: h, alive: true, made: time.Now()})
		return nil
	})
	return h, err
}

func (w *realm) Prepare(ctx context.Context, h Host) (Host, error) {
	err := w.provide(ctx, "prepare", func() error { return nil })
	return h, err
}

func (w *realm) Push(ctx context.Context, h Host, f Files) error {
	return w.provide(ctx, "push", func() error {
		host := w.find(h.ID)
		if host == nil {
			return errors.New("no such repository")
		}
		if host.pushes > 0 {
			return nil
		}
		host.pushes++
		job, err := ParseJob(f["job.json"])
		if err != nil {
			return err
		}
		mine := w.jobs[job.ID]
		w.busy.Go(func() { w.work(host, mine) })
		return nil
	})
}

// work is what the host does.
func (w *realm) work(h *realHost, j *realJob) {
	time.Sleep(w.boot)
	w.mu.Lock()
	if h.alive && !j.done() && w.state == Deployed {
		j.runs++
		j.trace += "hello\n"
		if j.status != "running" {
			w.t.Errorf("job %d starts while it is %s", j.id, j.status)
		}
	}
	mine := h.alive && !j.done() && w.state == Deployed
	w.mu.Unlock()
	if !mine {
		return
	}
	time.Sleep(w.last)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case j.done():
	case !h.alive:
		w.t.Errorf("the host of job %d was removed under it", j.id)
	default:
		j.end("success")
	}
}

func (w *realm) find(id string) *realHost {
	for _, h := range w.ledger {
		if h.ID == id && h.alive {
			return h
		}
	}
	return nil
}

func (w *realm) Delete(ctx context.Context, h Host) error {
	return w.provide(ctx, "delete", func() error {
		if host := w.find(h.ID); host != nil {
			host.alive = false
		}
		return nil
	})
}

func (w *realm) List(ctx context.Context, tenant, prefix string) (out []Host, err error) {
	err = w.provide(ctx, "list", func() error {
		for _, h := range w.ledger {
			if h.alive && h.Tenant == tenant && strings.HasPrefix(h.Name, prefix) && time.Since(h.made) >= w.lag {
				out = append(out, h.Host)
			}
		}
		return nil
	})
	return out, err
}

func (w *realm) Deployment(ctx context.Context, _ Host) (d Deployment, err error) {
	err = w.provide(ctx, "deployment", func() error { d = w.state; return nil })
	return d, err
}

// is reports whether a job has a status.
func (w *realm) is(id int64, status string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.jobs[id].status == status
}

// met says how often a call was made.
func (w *realm) met(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[call]
}

func (w *realm) alive() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.ledger {
		if h.alive {
			n++
		}
	}
	return n
}
