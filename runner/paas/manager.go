package paas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heptaup/hepta/internal/redirect"
)

// Manager runs the jobs of all runners of a configuration. It can be killed at
// any moment: what it does next is in the Journal, and hosts run their jobs
// without it.
type Manager struct {
	Journal *Journal
	// Hosts is how a runner has hosts made; default Cloud, which knows CleverDocker
	// alone. An error concerns that runner alone and is tried again.
	Hosts func(ctx context.Context, r Runner, c *Coordinator) (Provider, error)
	HTTP  *http.Client // to coordinators; default one that keeps a connection for each runner
	Log   *slog.Logger // default: silent
	Pace  Pace
	// Cycles ends Run after so many requests of each runner for a job; 0: never.
	Cycles int

	cfg     atomic.Pointer[Config]
	system  string
	scratch string // for what must not outlive the process
	gate    *gate
	counts  *counts
	unwell  atomic.Bool // the state file cannot be written
	launch  spacing
	mu      sync.Mutex
	lanes   map[string]*lane      // by short name; those without a section stay for their jobs
	lives   map[Key]chan struct{} // closed at their end
	work    sync.WaitGroup
}

// Pace is how often things are done about which the configuration says nothing.
// The zero value of each field is its default.
type Pace struct {
	Heartbeat time.Duration // between two signs of life of a job whose host is made, 30 s; three times that once it is live
	Sweep     time.Duration // between two looks for hosts that nobody claims, 3 min
	Grace     time.Duration // how long such a host is left alone, 3 min
	PerSweep  int           // how many go at once, 10
	Retry     time.Duration // the unit of Backoff, 1 s
	Stop      time.Duration // how long calls under way may take after the end was asked for, 3 s
}

func (p Pace) withDefaults() Pace {
	return Pace{
		Heartbeat: cmp.Or(p.Heartbeat, 30*time.Second), Sweep: cmp.Or(p.Sweep, 3*time.Minute), Grace: cmp.Or(p.Grace, 3*time.Minute),
		PerSweep: cmp.Or(p.PerSweep, 10), Retry: cmp.Or(p.Retry, time.Second), Stop: cmp.Or(p.Stop, 3*time.Second),
	}
}

// backoff is Backoff in this pace.
func (p Pace) backoff(failures int, err error) time.Duration {
	return time.Duration(float64(Backoff(failures, err)) * float64(p.Retry) / float64(time.Second))
}

// Run goes on until ctx ends, and then ends within seconds: no job and no host
// depends on it. What comes from reload replaces the configuration; running
// jobs stay with the section that has their runner's token. The error is one of
// the state file, without which nothing may be done.
func (m *Manager) Run(ctx context.Context, cfg Config, reload <-chan Config) error {
	m.Pace = m.Pace.withDefaults()
	if m.Log == nil {
		m.Log = slog.New(slog.DiscardHandler)
	}
	if m.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 256
		m.HTTP = redirect.SameServer(&http.Client{Transport: t})
	}
	if m.Hosts == nil {
		m.Hosts = Cloud
	}
	m.mu.Lock()
	m.gate, m.counts, m.lanes, m.lives = newGate(), newCounts(), map[string]*lane{}, map[Key]chan struct{}{}
	m.mu.Unlock()
	var err error
	if m.system, err = m.Journal.SystemID(ctx); err != nil {
		return err
	}
	if m.scratch, err = m.Journal.Scratch(); err != nil {
		return err
	}
	if err := m.Journal.Introduce(ctx, cfg.Runners...); err != nil {
		return err
	}
	if mode := m.Journal.exposed; mode != "" {
		m.Log.Warn("everybody on this machine could read the state file with the secrets of jobs; it has mode 0600 now", "file", m.Journal.path, "mode", mode)
	}
	// Waits end with ctx, calls under way a moment later.
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(m.Pace.Stop, cancel) })()
	r := &run{Manager: m, ctx: ctx, calls: calls, stop: stop}
	r.configure(cfg)
	m.work.Go(func() { r.tell() })
	for {
		select {
		case cfg := <-reload:
			if err := m.Journal.Introduce(ctx, cfg.Runners...); err != nil {
				m.Log.Error("the new configuration is not used", "error", err)
				continue
			}
			r.configure(cfg)
			m.Log.Info("configuration is read again", "runners", len(cfg.Runners))
		case <-ctx.Done():
			m.work.Wait()
			return nil
		}
	}
}

// Check holds that a configuration can work with what its providers have. One
// that cannot be asked now is no reason to refuse it.
func (m *Manager) Check(ctx context.Context, cfg Config) error {
	if cfg.Quota == nil {
		return nil
	}
	hosts := m.Hosts
	if hosts == nil {
		hosts = Cloud
	}
	sizes := map[string]Flavors{}
	for _, r := range cfg.Runners {
		if r.Clever == nil {
			continue
		}
		if p, err := hosts(ctx, r, &Coordinator{URL: r.URL}); err == nil {
			if list, err := p.Flavors(ctx); err == nil {
				sizes[r.Short()] = list
			}
		}
	}
	reference := sizes[cfg.reference().Short()]
	if reference == nil {
		return nil
	}
	limit, err := cfg.Quota.Limit(reference)
	if err != nil {
		return err
	}
	for _, r := range cfg.Runners {
		if list, known := sizes[r.Short()]; known {
			if err := cfg.Quota.Fits(limit, r, list); err != nil {
				return err
			}
		}
	}
	return nil
}

// LogState logs how all jobs stand.
func (m *Manager) LogState() {
	for _, r := range m.Journal.Records() {
		attrs := []any{"runner", r.Runner, "job", r.Job, "phase", r.Phase, "weight", r.Weight}
		if r.Host != nil {
			attrs = append(attrs, "host", r.Host.ID)
		}
		m.Log.Info("state of job", attrs...)
	}
}

// run is one Run of a Manager.
type run struct {
	*Manager
	ctx   context.Context // its end ends all waiting
	calls context.Context // its end ends also calls under way
	stop  context.CancelFunc
}

// configure makes the lanes be those of a configuration, and lives for records
// that have none yet.
func (r *run) configure(cfg Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.Store(&cfg)
	weight := 0.0
	if cfg.Quota != nil {
		weight = -1 // not known yet: no room at all
	}
	r.gate.bound(cfg.Concurrent, cfg.MaxProvisioning, weight)
	gone := map[string]*lane{}
	for short, l := range r.lanes {
		if l.polling.Err() == nil {
			gone[short] = l
		}
		l.end()
	}
	for _, section := range cfg.Runners {
		l := r.open(section)
		r.lanes[l.short] = l
		delete(gone, l.short)
		r.work.Go(l.poll)
		r.work.Go(l.sweep)
	}
	for _, l := range gone {
		r.Log.Info("runner takes no more jobs: it has left the configuration", "runner", l.Runner.Name)
	}
	strangers := map[string]int{}
	for _, rec := range r.Journal.Records() {
		if r.lives[rec.Key] != nil {
			continue
		}
		r.gate.take(nil, rec)
		if r.lanes[rec.Runner] == nil {
			strangers[rec.Runner]++
			continue
		}
		r.live(&life{record: rec, resumed: true, doubt: true})
	}
	for short, n := range strangers {
		r.Log.Error("jobs in the state file belong to a runner that is not in the configuration: nothing is done for them",
			"runner", short, "coordinator", r.Journal.Coordinator(short), "jobs", n, "remedy", "put its [[runners]] section back, then reload")
	}
}

// live begins to care for a job; the caller holds the lock. A job that is given
// a second time, because nobody was heard of for long, waits until nothing is
// left of the first: their hosts have the same name.
func (r *run) live(l *life) {
	l.run, l.news = r, make(chan Event, 1)
	rec := l.record
	before, done := r.lives[rec.Key], make(chan struct{})
	r.lives[rec.Key] = done
	r.work.Go(func() {
		defer close(done)
		if before != nil {
			select {
			case <-before:
			case <-r.ctx.Done():
				return
			}
		}
		l.lead()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.lives[rec.Key] == done {
			delete(r.lives, rec.Key)
		}
	})
}

// lane is where the runner with a short name has its settings now.
func (r *run) lane(short string) *lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lanes[short]
}

// write puts a record on disk, however long that takes; false when ctx has
// ended first.
func (r *run) write(rec Record) bool {
	for failures := 1; !r.put(rec); failures++ {
		if !r.wait(r.Pace.backoff(failures, nil)) {
			return false
		}
	}
	return true
}

// put tries to put a record on disk. People are told once.
func (r *run) put(rec Record) bool {
	err := r.Journal.Put(r.calls, rec)
	if err == nil {
		r.unwell.Store(false)
		r.gate.follow(rec)
		return true
	}
	if r.ctx.Err() == nil && !r.unwell.Swap(true) {
		r.Log.Error("the state file cannot be written: nothing is begun and no job is taken until it can", "error", err,
			"remedy", "make room on its disk; running jobs are not disturbed")
	}
	return false
}

// wait reports whether the time passed; false when ctx ended.
func (r *run) wait(d time.Duration) bool { return sleep(r.ctx, d) }

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// tell logs how much room there is, whenever that has changed.
func (r *run) tell() {
	var last Statistics
	for r.wait(r.cfg.Load().CheckInterval) {
		if s := r.gate.statistics(); r.cfg.Load().LogStatistics && s != last {
			last = s
			if line, err := json.Marshal(s); err == nil {
				r.Log.Info("statistics " + string(line))
			}
		}
	}
}

// spacing keeps launches apart.
type spacing struct {
	mu   sync.Mutex
	next time.Time
}

// turn says how long to wait for one's turn.
func (s *spacing) turn(apart time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	at := now
	if s.next.After(now) {
		at = s.next
	}
	s.next = at.Add(apart)
	return at.Sub(now)
}

// Cloud has hosts made at Clever Cloud.
func Cloud(_ context.Context, r Runner, c *Coordinator) (Provider, error) {
	if r.Clever == nil {
		return nil, errors.New("this program cannot make hosts for executor " + string(r.Executor))
	}
	clever := *r.Clever
	known := &directory{find: func(ctx context.Context, tenant string) (Organisation, error) {
		return c.Organisation(ctx, clever, tenant)
	}}
	return &CleverCloud{Clever: clever, HTTP: c.HTTP, Organisation: known.of}, nil
}
