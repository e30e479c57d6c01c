package paas

import (
	"context"
	"slices"
	"sync"
)

// gate bounds how many jobs there are, what their hosts weigh together and how
// many of them are in the making. A job counts from before its coordinator is
// asked for it until nothing is left of its host.
type gate struct {
	mu      sync.Mutex
	jobs    int     // at once
	making  int     // at once; soft, as polls are under way when it is reached
	weight  float64 // of all hosts together; 0: whatever they weigh; below: not known yet
	held    map[Key]share
	asking  map[*ticket]bool // polls under way
	waiting []*ticket        // in the order in which they came
}

// share is what one job takes of the limits.
type share struct {
	weight float64
	phase  Phase
}

// ticket is the right to ask for one job of up to a weight.
type ticket struct {
	weight float64
	in     chan struct{} // closed when it is its turn
	hold   bool          // there is room for others while this poll is held
}

func newGate() *gate { return &gate{held: map[Key]share{}, asking: map[*ticket]bool{}} }

// bound sets the limits.
func (g *gate) bound(jobs, making int, weight float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.jobs, g.making, g.weight = jobs, making, weight
	g.admit()
}

// enter waits for room for one more job of a weight. Whoever came first goes
// first, so that a heavy one is not passed by light ones for ever. The ticket
// is given back by leave, or becomes a job by take.
func (g *gate) enter(ctx context.Context, weight float64) (*ticket, error) {
	t := &ticket{weight: weight, in: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, t)
	g.admit()
	g.mu.Unlock()
	select {
	case <-t.in:
		return t, nil
	case <-ctx.Done():
		g.leave(t)
		return nil, context.Cause(ctx)
	}
}

// admit lets in whoever fits. A poll may be held by its coordinator only while
// an eighth of the room stays free for runners that have jobs to take.
func (g *gate) admit() {
	for len(g.waiting) > 0 {
		t := g.waiting[0]
		used, making := g.used()
		free := g.jobs - len(g.held) - len(g.asking)
		if free < 1 || making >= g.making || !g.fits(used, t.weight) {
			return
		}
		t.hold = free > max(1, g.jobs/8) && g.fits(used, 2*t.weight)
		g.waiting = g.waiting[1:]
		g.asking[t] = true
		close(t.in)
	}
}

// fits reports whether more weight is within the quota. It is computed, as the
// quota is: a last bit must not decide. What weighs nothing always fits.
func (g *gate) fits(used, more float64) bool {
	return g.weight == 0 || more == 0 || used+more <= g.weight*(1+1e-9)
}

func (g *gate) used() (weight float64, making int) {
	for _, l := range g.held {
		weight += l.weight
		if l.phase.Provisioning() {
			making++
		}
	}
	for t := range g.asking {
		weight += t.weight
	}
	return weight, making
}

// leave gives a ticket back.
func (g *gate) leave(t *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.asking, t)
	g.waiting = slices.DeleteFunc(g.waiting, func(o *ticket) bool { return o == t })
	g.admit()
}

// take makes a job of a ticket; without one, of a record that was there before.
func (g *gate) take(t *ticket, r Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.asking, t)
	g.held[r.Key] = share{r.Weight, r.Phase}
	g.admit()
}

// follow keeps up with a job.
func (g *gate) follow(r Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Phase == Gone {
		delete(g.held, r.Key)
	} else {
		g.held[r.Key] = share{r.Weight, r.Phase}
	}
	g.admit()
}

// Statistics is what takes up the limits at one moment.
type Statistics struct {
	WeightQuota   float64 `json:"weight_quota"` // 0: none
	Weight        float64 `json:"current_weight"`
	Headroom      float64 `json:"weight_headroom"` // 0 without a quota
	CanTake       bool    `json:"can_take_job"`
	MaxInMaking   int     `json:"max_jobs_in_provisioning"`
	InMaking      int     `json:"jobs_in_provisioning"`
	Jobs          int     `json:"current_concurrent_jobs"`
	MaxConcurrent int     `json:"max_concurrent_jobs"`
}

func (g *gate) statistics() Statistics {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Statistics{WeightQuota: g.weight, MaxInMaking: g.making, Jobs: len(g.held), MaxConcurrent: g.jobs}
	for _, l := range g.held {
		s.Weight += l.weight
		if l.phase.Provisioning() {
			s.InMaking++
		}
	}
	if g.weight > 0 {
		s.Headroom = g.weight - s.Weight
	}
	s.CanTake = s.Jobs < s.MaxConcurrent && s.InMaking < s.MaxInMaking && (g.weight == 0 || s.Headroom > 0)
	return s
}

// phases counts the jobs of each runner by phase.
func (g *gate) phases() map[string]map[Phase]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string]map[Phase]int{}
	for k, l := range g.held {
		if out[k.Runner] == nil {
			out[k.Runner] = map[Phase]int{}
		}
		out[k.Runner][l.phase]++
	}
	return out
}
