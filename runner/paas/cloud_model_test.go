package paas

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/heptaup/hepta/internal/secret"
)

// cloudModel is coordinators, a provider and the hosts' doings in virtual time. It
// goes on whatever happens to the manager.
type cloudModel struct {
	now    time.Duration
	rand   *rand.Rand
	queue  agenda
	turn   int
	jobs   []*fakeJob
	queued map[int][]*fakeJob // by runner
	hosts  map[string]*fakeHost
	order  []*fakeHost // as they were made
	made   int         // hosts ever
	faults float64
	broken []string // what must not happen
}

type fakeJob struct {
	runner   int
	record   int64 // its ID
	status   string
	finals   int // how often it came to an end
	runs     int // how often a host began with it
	twoPhase bool
	beat     time.Duration
}

type fakeHost struct {
	id, name string
	listed   time.Duration // from then on the provider lists it
	pushed   bool
	alive    bool
}

type happening struct {
	at   time.Duration
	turn int
	do   func()
}

type agenda []happening

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, k int) bool {
	return a[i].at < a[k].at || a[i].at == a[k].at && a[i].turn < a[k].turn
}
func (a agenda) Swap(i, k int) { a[i], a[k] = a[k], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func newCloudModel(seed uint64, runners, jobs int, faults float64) *cloudModel {
	w := &cloudModel{rand: rand.New(rand.NewPCG(seed, 1)), hosts: map[string]*fakeHost{}, faults: faults}
	w.queued = map[int][]*fakeJob{}
	for i := range jobs {
		j := &fakeJob{runner: i % runners, record: int64(i + 1), status: "queued", twoPhase: i%runners%2 == 0}
		w.jobs = append(w.jobs, j)
		w.queued[j.runner] = append(w.queued[j.runner], j)
	}
	return w
}

func (w *cloudModel) after(d time.Duration, do func()) {
	w.turn++
	heap.Push(&w.queue, happening{w.now + d, w.turn, do})
}

func (w *cloudModel) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rand.Int64N(int64(high-low)+1))
}

func (w *cloudModel) unlucky(share float64) bool { return w.rand.Float64() < share*w.faults }

func (w *cloudModel) wrong(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("%v: ", w.now)+fmt.Sprintf(format, args...))
}

func (w *cloudModel) job(id int64) *fakeJob { return w.jobs[id-1] }

func (j *fakeJob) over() bool {
	switch j.status {
	case "success", "failed", "canceled":
		return true
	}
	return false
}

func (j *fakeJob) end(status string) {
	if !j.over() {
		j.status = status
		j.finals++
	}
}

// give hands out a job of the runner. One that waits to be accepted fails when
// nobody cares for it; one that runs, when nothing is heard of it.
func (w *cloudModel) give(runner int) *fakeJob {
	if len(w.queued[runner]) == 0 {
		return nil
	}
	j := w.queued[runner][0]
	w.queued[runner] = w.queued[runner][1:]
	j.status, j.beat = "running", w.now
	if j.twoPhase {
		j.status = "waiting"
	}
	w.watch(j)
	if w.unlucky(0.05) {
		w.after(w.between(0, 2*time.Minute), func() { j.end("canceled") })
	}
	return j
}

func (w *cloudModel) watch(j *fakeJob) {
	limit := time.Hour
	if j.status == "waiting" {
		limit = 2 * time.Minute
	}
	w.after(limit-(w.now-j.beat)+time.Second, func() {
		switch {
		case j.over():
		case w.now-j.beat >= limit:
			j.end("failed")
		default:
			w.watch(j)
		}
	})
}

// make asks for a host; nobody promises that names are unique.
func (w *cloudModel) make(name string) *fakeHost {
	w.made++
	h := &fakeHost{id: fmt.Sprint("app_", w.made), name: name, alive: true, listed: w.now}
	if w.unlucky(0.1) {
		h.listed += w.between(0, 30*time.Second)
	}
	w.hosts[h.id] = h
	w.order = append(w.order, h)
	return h
}

// push starts the job on the host, once.
func (w *cloudModel) push(h *fakeHost, id int64) {
	if h.pushed || !h.alive {
		return
	}
	h.pushed = true
	if w.unlucky(0.02) {
		return // it never boots
	}
	j := w.job(id)
	w.after(w.between(20*time.Second, time.Minute), func() {
		if !h.alive || j.over() {
			return
		}
		if j.status == "waiting" {
			w.wrong("job %d starts and was not accepted", id)
		}
		j.runs++
		j.beat = w.now
		w.after(w.between(10*time.Second, 3*time.Minute), func() {
			if !h.alive && !j.over() {
				w.wrong("the host of job %d was removed under it", id)
			}
			if h.alive {
				j.end("success")
			}
		})
	})
}

func (w *cloudModel) named(name string) []Host {
	var out []Host
	for _, h := range w.order {
		if h.listed <= w.now && (name == "" || h.name == name) {
			out = append(out, Host{ID: h.id, Name: h.name})
		}
	}
	return out
}

func (w *cloudModel) remove(id string) {
	if h := w.hosts[id]; h != nil {
		h.alive = false
		delete(w.hosts, id)
		w.order = slices.DeleteFunc(w.order, func(o *fakeHost) bool { return o == h })
	}
}

func (j *fakeJob) key(short string) Record {
	return Record{Key: Key{short, j.record}, Token: secret.New("t"), Payload: secret.New("{}"), Phase: Acquired}
}
