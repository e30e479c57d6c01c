package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// ErrOffline: a runner has not come online yet.
var ErrOffline = errors.New("not online yet")

// ready reports whether jobs reach what they need, and whether the forge has
// heard of the runners.
func (r *Runners) ready(ctx context.Context, host converge.Host) error {
	if err := r.reaches(ctx, host); err != nil {
		return err
	}
	return r.online(ctx, host)
}

// reaches is reach for every runner that takes jobs. It looks anew only after
// a while.
func (r *Runners) reaches(ctx context.Context, host converge.Host) error {
	r.mu.Lock()
	reached, err, at := r.reached, r.unreached, r.lookedAt
	r.mu.Unlock()
	if reached && time.Since(at) < reachFresh || err != nil && time.Since(at) < r.pause() {
		return err
	}
	before := err
	err = r.reach(ctx, host, func(x Runner) bool { return !x.Paused })
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil && errors.Is(before, ErrUnreached) {
		return before // a look that was cut short says less than the one before it
	}
	r.reached, r.unreached, r.lookedAt = err == nil, err, time.Now()
	return err
}

// online asks the forge whether it has heard of every runner that takes jobs.
func (r *Runners) online(ctx context.Context, host converge.Host) error {
	if !r.connected() {
		return nil
	}
	known, err := noted(ctx, host)
	if err != nil {
		return err
	}
	var api API
	for _, x := range r.cfg.Runners {
		id := known[x.Name].ID
		if id == 0 || x.Paused || x.given() {
			continue
		}
		if api == nil {
			if api, err = r.connect(ctx, host); err != nil {
				return fmt.Errorf("reach the forge: %w", err)
			}
			if !r.connected() {
				return nil
			}
		}
		if err := r.seenBy(ctx, api, x.Name, id); err != nil {
			return err
		}
	}
	return nil
}

// seenBy is nil once the forge counts the runner as online.
func (r *Runners) seenBy(ctx context.Context, api API, name string, id int64) error {
	s, err := api.RunnerStatus(ctx, id)
	switch {
	case err != nil:
		return r.explain("ask for runner", name, err)
	case s.Online:
		return nil
	}
	return &fault.Error{Op: "wait for runner", What: name, Err: ErrOffline,
		Remedy: "See `docker logs " + r.ContainerName() + "`: the runner has to reach " + r.cfg.Forge.URL + " from inside its container."}
}

// onlineTask waits for a runner that comes or is replaced while the container
// runs on, and with look sees what its jobs reach.
func (r *Runners) onlineTask(x Runner, cause string, look bool) converge.Task {
	return converge.Task{
		Name: "runner " + x.Name + " online", Verb: "see", Cause: cause, Ref: converge.Ref("task:runner-" + x.Name + "-online"),
		After: r.beforeProbes(),
		Run: func(ctx context.Context, host converge.Host) error {
			if look {
				if err := r.reachesNow(ctx, host, x.Name); err != nil {
					return err
				}
			}
			if x.given() {
				return nil
			}
			return r.comesOnline(ctx, host, x.Name)
		},
	}
}

// comesOnline waits until the forge has heard of a runner that a task of this
// run has brought in order.
func (r *Runners) comesOnline(ctx context.Context, host converge.Host, name string) error {
	api, err := r.connect(ctx, host)
	if err != nil {
		return fmt.Errorf("reach the forge for runner %s: %w", name, err)
	}
	if !r.connected() {
		return nil
	}
	r.mu.Lock()
	id := r.settled[name].id
	r.mu.Unlock()
	late := time.NewTimer(r.patience)
	defer late.Stop()
	tick := time.NewTicker(min(time.Second, r.patience/10))
	defer tick.Stop()
	for {
		err := r.seenBy(ctx, api, name, id)
		if err == nil || !errors.Is(err, ErrOffline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return err
		case <-tick.C:
		}
	}
}
