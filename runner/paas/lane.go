package paas

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/heptaup/hepta/internal/fault"
)

// lane is one runner at work, with its settings of one configuration.
type lane struct {
	*run
	Runner
	short       string
	coordinator *Coordinator
	log         *slog.Logger

	polling context.Context // its end ends polls and sweeps, not jobs
	end     context.CancelFunc

	mu      sync.Mutex
	hosts   Provider // nil until it could be reached
	flavors Flavors
	asked   time.Time // when the flavors were
	said    string    // the trouble that people were told of
}

func (r *run) open(section Runner) *lane {
	l := &lane{
		run: r, Runner: section, short: section.Short(), coordinator: &Coordinator{URL: section.URL, SystemID: r.system, HTTP: r.HTTP},
		log: r.Log.With("runner", section.Name),
	}
	l.polling, l.end = context.WithCancel(r.ctx)
	return l
}

// provider is where the runner's hosts are made.
func (l *lane) provider(ctx context.Context) (Provider, error) {
	l.mu.Lock()
	hosts := l.hosts
	l.mu.Unlock()
	if hosts != nil {
		return hosts, nil
	}
	hosts, err := l.Hosts(ctx, l.Runner, l.coordinator)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts == nil {
		if c, ok := hosts.(*CleverCloud); ok {
			c.Scratch = l.scratch
		}
		l.hosts = hosts
	}
	return l.hosts, nil
}

// flavorsKept is how long the list of flavors is believed.
const flavorsKept = time.Hour

// sizes are the flavors that the runner's hosts can have. An old list is better
// than none.
func (l *lane) sizes(ctx context.Context) (Flavors, error) {
	p, err := l.provider(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	list, asked := l.flavors, l.asked
	l.mu.Unlock()
	if !asked.IsZero() && time.Since(asked) < flavorsKept {
		return list, nil
	}
	fresh, err := p.Flavors(ctx)
	if err != nil && asked.IsZero() {
		return nil, err
	}
	if err == nil {
		list = fresh
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flavors, l.asked = list, time.Now()
	return list, nil
}

// heaviest is the weight that has to be free before a job is asked for.
func (l *lane) heaviest(ctx context.Context) (float64, error) {
	flavors, err := l.sizes(ctx)
	if err != nil || l.Clever == nil {
		return 0, err
	}
	f, err := flavors.Heaviest(l.Clever.MaxFlavor)
	if err != nil {
		return 0, err
	}
	cfg := l.cfg.Load()
	if cfg.Quota == nil {
		return f.Weight(), nil
	}
	limit, err := l.quota(ctx, cfg)
	if err == nil {
		err = cfg.Quota.Fits(limit, l.Runner, flavors)
	}
	if err == nil {
		l.gate.bound(cfg.Concurrent, cfg.MaxProvisioning, limit)
	}
	return f.Weight(), err
}

// quota is the sum of weights that the configuration allows.
func (l *lane) quota(ctx context.Context, cfg *Config) (float64, error) {
	flavors, err := l.lane(cfg.reference().Short()).sizes(ctx)
	if err != nil {
		return 0, fmt.Errorf("compute quota: %w", err)
	}
	return cfg.Quota.Limit(flavors)
}

// poll asks for jobs as long as the lane is open. Whatever goes wrong concerns
// this runner alone, and is tried again later.
func (l *lane) poll() {
	queue := &Poll{Coordinator: l.coordinator, Token: l.Token}
	failures := 0
	for cycle := 1; l.polling.Err() == nil; cycle++ {
		if l.Cycles > 0 && cycle > l.Cycles {
			l.stop()
			return
		}
		job, err := l.next(queue)
		switch {
		case err != nil && l.polling.Err() != nil:
			return
		case err != nil:
			failures++
			l.trouble(err)
			l.counts.add(l.Name, "poll_errors")
			sleep(l.polling, l.Pace.backoff(failures, err))
		case job == nil:
			failures = 0
			l.well()
			sleep(l.polling, l.cfg.Load().CheckInterval)
		default:
			failures = 0
			l.well()
		}
	}
}

// next asks for one job when there is room, and takes it.
func (l *lane) next(queue *Poll) (*Job, error) {
	if err := l.writable(); err != nil {
		return nil, err
	}
	weight, err := l.heaviest(l.polling)
	if err != nil {
		return nil, err
	}
	t, err := l.gate.enter(l.polling, weight)
	if err != nil {
		return nil, err
	}
	queue.Hurry = !t.hold
	// An answer that is under way when the end comes is waited for: the job in
	// it would be lost.
	job, err := queue.Next(l.calls)
	if err != nil || job == nil {
		l.gate.leave(t)
		return nil, err
	}
	l.take(t, *job)
	return job, nil
}

// writable holds that a job could be written down.
func (l *lane) writable() error {
	if !l.unwell.Load() {
		return nil
	}
	err := l.Journal.Introduce(l.polling, l.Runner)
	if err == nil {
		l.unwell.Store(false)
	}
	return err
}

// take makes a job ours. It is written down before anything else, the next
// request for a job included.
func (l *lane) take(t *ticket, j Job) {
	r := Record{Key: Key{l.short, j.ID}, Token: j.Token, Payload: j.Payload, Phase: Acquired}
	if l.Clever != nil {
		if f, err := l.flavor(l.polling, j); err == nil {
			r.Flavor, r.Weight = f.Name, f.Weight()
		}
	}
	l.counts.add(l.Name, "jobs")
	l.log.Info("job is taken", "job", j.ID, "project", j.Project)
	l.gate.take(t, r)
	l.run.mu.Lock()
	again := l.lives[r.Key] != nil
	l.run.mu.Unlock()
	saved := false
	if !again { // else the record of the first time is still needed
		r, _ = Step(r, Event{Kind: Resumed})
		saved = l.put(r)
	}
	l.run.mu.Lock()
	defer l.run.mu.Unlock()
	l.live(&life{record: r, unsaved: !saved})
}

// flavor is that of a job's host. The error is for the job's author.
func (l *lane) flavor(ctx context.Context, j Job) (Flavor, error) {
	flavors, err := l.sizes(ctx)
	if err != nil || l.Clever == nil {
		return Flavor{}, err
	}
	f, err := flavors.Pick(j.Flavor, l.Clever.Flavor, l.Clever.MaxFlavor)
	if err != nil {
		return f, &wishError{err}
	}
	return f, nil
}

// tenant is whose organisation pays for a job's host; empty with a single one.
func (l *lane) tenant(ctx context.Context, j Job) (string, error) {
	if l.Clever == nil || !l.Clever.Tenants {
		return "", nil
	}
	return l.coordinator.Tenant(ctx, l.Clever.AttributeToken, j)
}

// trouble tells people, once for each kind.
func (l *lane) trouble(err error) {
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusForbidden {
		err = &fault.Error{
			Op: "ask for jobs as runner", What: l.Name, Err: err,
			Remedy: "The forge does not take this runner's token, or has paused it. Resume it there, or register it anew; other runners are not disturbed.",
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := err.Error(); text != l.said {
		l.said = text
		level := slog.LevelError
		if Temporary(err) {
			level = slog.LevelWarn
		}
		attrs := []any{"error", text}
		if remedy := fault.Remedy(err); remedy != "" {
			attrs = append(attrs, "remedy", remedy)
		}
		l.log.Log(l.ctx, level, "no job can be asked for", attrs...)
	}
}

// well tells people that trouble is over.
func (l *lane) well() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.said != "" {
		l.said = ""
		l.log.Info("jobs can be asked for again")
	}
}
