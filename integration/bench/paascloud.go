package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// paasCloud is a forge and a Clever Cloud in one, whose hosts run jobs by the
// clock: 30 to 60 s until one runs, 30 s to 2 min for the job, all divided by
// scale. It counts what it is asked.
type paasCloud struct {
	scale float64
	hold  time.Duration // how long a request for a job is held

	mu      sync.Mutex
	queued  map[string]int // jobs, by runner
	more    chan struct{}  // closed when some were added
	left    int            // jobs that are not over
	next    int64
	jobs    map[int64]*paasJob
	tokens  map[string]*paasJob
	apps    map[string]*paasJob
	done    chan struct{} // closed when no job is left and no host
	calls   int           // all requests, but those that found no job
	asked   map[string]int
	empty   int      // those
	trouble []string // what must not happen
}

type paasJob struct {
	id    int64
	token string
	name  string // of the host
	looks int
	state string // of the deployment
	over  bool
	runs  int
}

func newPaasCloud(scale float64, hold time.Duration) *paasCloud {
	return &paasCloud{
		scale: scale, hold: hold, queued: map[string]int{}, more: make(chan struct{}), jobs: map[int64]*paasJob{}, tokens: map[string]*paasJob{}, apps: map[string]*paasJob{},
		asked: map[string]int{},
	}
}

// add gives jobs to runners, to each the same number.
func (c *paasCloud) add(jobs int, runners []string) (done <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range jobs {
		c.queued[runners[i%len(runners)]]++
	}
	c.left, c.done = jobs, make(chan struct{})
	close(c.more)
	c.more = make(chan struct{})
	return c.done
}

// counted are the requests so far.
func (c *paasCloud) counted() (calls, empty int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls, c.empty
}

func (c *paasCloud) between(low, high time.Duration) time.Duration {
	return time.Duration(float64(low+rand.N(high-low)) / c.scale)
}

// paasID is what differs between the calls for two jobs.
var paasID = regexp.MustCompile(`/(app_[0-9]+_)?[0-9]+`)

// kinds says how often each call was made for one job.
func (c *paasCloud) kinds(jobs int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c.asked)) {
		list = append(list, fmt.Sprintf("%s %.2f", name, float64(c.asked[name])/float64(jobs)))
	}
	return strings.Join(list, ", ")
}

// filler makes a job about as big as a real one.
var filler = strings.Repeat("x", 4000)

func (c *paasCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.URL.Path == "/api/v4/jobs/request" {
		c.request(w, r, data)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	c.asked[r.Method+" "+paasID.ReplaceAllString(r.URL.Path, "/N")]++
	status, answer := c.answer(r, data)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may be gone
}

// request gives a job, or none after a while.
func (c *paasCloud) request(w http.ResponseWriter, r *http.Request, data []byte) {
	var in struct {
		Token      string
		LastUpdate string `json:"last_update"`
	}
	_ = json.Unmarshal(data, &in) // what is no request comes from nobody, and gets no job
	w.Header().Set("X-GitLab-Last-Update", "mark")
	wait := time.After(c.hold)
	for {
		c.mu.Lock()
		if c.queued[in.Token] > 0 {
			c.queued[in.Token]--
			c.calls++
			c.next++
			j := &paasJob{id: c.next, token: fmt.Sprint("job-", c.next)}
			c.jobs[j.id], c.tokens[j.token] = j, j
			c.mu.Unlock()
			w.WriteHeader(http.StatusCreated)
			// A manager that is gone takes no job, and the measurement does not end well.
			_ = json.NewEncoder(w).Encode(map[string]any{
				"id": j.id, "token": j.token, "job_info": map[string]any{"project_id": 1}, "variables": []any{map[string]any{"key": "FILLER", "value": filler}},
			})
			return
		}
		more := c.more
		c.mu.Unlock()
		// As with GitLab only who knows where the queue stood is held.
		if in.LastUpdate != "" {
			select {
			case <-more:
				continue
			case <-wait:
			case <-r.Context().Done():
			}
		}
		c.mu.Lock()
		c.empty++
		c.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return
	}
}

func (c *paasCloud) answer(r *http.Request, data []byte) (int, any) {
	path := strings.Trim(r.URL.Path, "/")
	parts := strings.Split(path, "/")
	id := parts[len(parts)-1]
	j := c.tokens[r.Header.Get("Job-Token")]
	switch {
	case path == "v2/products/instances":
		return 200, []any{map[string]any{"name": "Docker", "version": "1"}}
	case path == "v2/products/flavors":
		return 200, []any{map[string]any{"name": "heptapod-runner-M", "mem": 8192, "cpus": 4, "available": true}}
	case strings.HasPrefix(path, "push/"):
		c.push(c.apps[id])
		return 200, nil
	case path == "api/v4/job" && (j == nil || j.over):
		return 401, nil
	case path == "api/v4/job":
		return 200, map[string]any{"status": "running"}
	case strings.HasPrefix(path, "api/v4/jobs/") && (j == nil || j.over):
		return 403, map[string]any{"message": "403 Forbidden"}
	case strings.HasPrefix(path, "api/v4/jobs/"):
		return 200, nil
	case id == "applications" && r.Method == http.MethodPost:
		return 200, c.create(r.Host, data)
	case id == "applications":
		list := []any{}
		for app, j := range c.apps {
			list = append(list, map[string]any{"id": app, "name": j.name})
		}
		return 200, list
	case id == "env":
		return 200, nil
	case id == "deployments":
		if j := c.apps[parts[len(parts)-2]]; j != nil && j.state != "" {
			return 200, []any{map[string]any{"state": j.state}}
		}
		return 200, []any{}
	case c.apps[id] == nil:
		return 404, map[string]any{"id": 4004}
	case r.Method == http.MethodDelete:
		c.remove(id)
		return 200, map[string]any{"id": 302}
	}
	return 200, c.shown(r.Host, id)
}

func (c *paasCloud) create(host string, data []byte) any {
	var in struct{ Name string }
	_ = json.Unmarshal(data, &in) // without a name it is trouble below
	job, _ := strconv.ParseInt(in.Name[strings.LastIndex(in.Name, "-")+1:], 10, 64)
	app := fmt.Sprint("app_", len(c.jobs), "_", job)
	j := c.jobs[job]
	if j == nil || j.name != "" {
		c.trouble = append(c.trouble, "a host that nobody needs: "+in.Name)
		return nil
	}
	j.name = in.Name
	c.apps[app] = j
	return c.shown(host, app)
}

// shown is an application; its repository is there at the second look.
func (c *paasCloud) shown(host, app string) any {
	j, state := c.apps[app], "CREATING"
	if j.looks++; j.looks > 2 {
		state = "CREATED"
	}
	return map[string]any{"id": app, "name": j.name, "deployment": map[string]any{"httpUrl": "http://" + host + "/push/" + app, "repoState": state}}
}

func (c *paasCloud) push(j *paasJob) {
	if j == nil || j.state != "" {
		return
	}
	j.state = "WIP"
	time.AfterFunc(c.between(30*time.Second, time.Minute), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		j.state = "OK"
		j.runs++
		time.AfterFunc(c.between(30*time.Second, 2*time.Minute), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			j.over = true
			delete(c.tokens, j.token)
		})
	})
}

func (c *paasCloud) remove(app string) {
	j := c.apps[app]
	delete(c.apps, app)
	delete(c.jobs, j.id)
	if !j.over || j.runs != 1 {
		c.trouble = append(c.trouble, fmt.Sprintf("job %d ran %d times, and over is %v", j.id, j.runs, j.over))
	}
	if c.left--; c.left == 0 {
		close(c.done)
	}
}
