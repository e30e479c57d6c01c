package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/progress"
)

const (
	// parallel bounds the calls under way at once; waits and tasks are not
	// counted.
	parallel = 8
	// grace is what calls under way get to finish once the rest has ended.
	grace = 2 * time.Minute
)

// execution is one walk through one plan.
type execution struct {
	l    *Lock
	plan *converge.Plan

	slots chan struct{}

	mu       sync.Mutex
	o        *converge.Observed // never changed, but replaced: see sees
	ids      map[string]string  // container id by the name or id that the plan calls it
	services map[string]string  // id of the container that serves, by service
	begun    map[int]bool
	done     map[int]bool
	waiting  map[int]bool    // waits under way that are not broken off by the failure of others
	undone   map[string]bool // services
	looked   bool            // whether the lock is there still, after a failure
	errs     []error
}

// observed is the snapshot that the plan was made from, with the networks that
// have been made since.
func (x *execution) observed() *converge.Observed {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.o
}

// sees adds a network that was made to the snapshot, for the files that tell
// what it is like.
func (x *execution) sees(made converge.ObservedNetwork) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := *x.o
	o.Networks = append(slices.DeleteFunc(slices.Clone(o.Networks), func(n converge.ObservedNetwork) bool { return n.Name == made.Name }), made)
	x.o = &o
}

// execute tells the plan's notes, does what it says and decides nothing.
func (l *Lock) execute(ctx context.Context, o *converge.Observed, plan *converge.Plan) error {
	x := &execution{
		l: l, o: o, plan: plan, slots: make(chan struct{}, parallel),
		ids: make(map[string]string), services: make(map[string]string), begun: make(map[int]bool), done: make(map[int]bool),
		waiting: make(map[int]bool), undone: make(map[string]bool),
	}
	for _, n := range plan.Notes {
		l.e.sink.Send(progress.Event{State: progress.Info, Kind: progress.Note, Resource: "stack " + plan.Stack, Text: n})
	}
	ctx, free := l.guard(ctx)
	defer free()
	waits := x.walk(ctx)
	if x.failed(ctx) {
		x.undo(ctx)
	}
	// Waits that go on come to their own end, and what they waited for with them.
	waits.Wait()
	if x.failed(ctx) {
		x.undo(ctx)
	}
	return errors.Join(x.errs...)
}

// failed reports whether the plan has not got through, and sees to it that
// there is a reason.
func (x *execution) failed(ctx context.Context) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.errs) == 0 && len(x.done)+len(x.waiting) < len(x.plan.Operations) {
		x.errs = append(x.errs, fmt.Errorf("execute plan: %w", context.Cause(ctx)))
	}
	return len(x.errs) > 0
}

// walk runs every operation once those that it waits for are done, until one
// fails or ctx ends. It returns when all have ended but the waits for what takes
// over a service: whatever happens to others, breaking them off would undo it.
func (x *execution) walk(outer context.Context) (waits *sync.WaitGroup) {
	ctx, stop := context.WithCancel(outer)
	finished := make(map[int]chan struct{}, len(x.plan.Operations))
	for _, op := range x.plan.Operations {
		finished[op.ID] = make(chan struct{})
	}
	var calls sync.WaitGroup
	waits = new(sync.WaitGroup)
	end := func(op converge.Operation, done bool) {
		if done {
			close(finished[op.ID])
		} else {
			stop()
		}
	}
	for _, op := range x.plan.Operations {
		calls.Go(func() {
			for _, id := range op.After {
				select {
				case <-finished[id]:
				case <-ctx.Done():
					return
				}
			}
			if op.Kind != converge.WaitContainer || op.Replaces == "" || ctx.Err() != nil {
				end(op, x.run(ctx, op))
				return
			}
			x.set(x.waiting, op.ID, true)
			waits.Go(func() {
				done := x.run(outer, op)
				x.set(x.waiting, op.ID, false)
				end(op, done)
			})
		})
	}
	calls.Wait()
	return waits
}

// run performs one operation and reports whether it was done.
func (x *execution) run(ctx context.Context, op converge.Operation) bool {
	if op.Kind != converge.WaitContainer && op.Kind != converge.RunTask {
		select {
		case x.slots <- struct{}{}:
			defer func() { <-x.slots }()
		case <-ctx.Done():
			return false
		}
	}
	if ctx.Err() != nil {
		return false
	}
	if err := x.l.held(ctx); err != nil {
		x.fail(err)
		return false
	}
	x.mark(x.begun, op.ID)
	e := x.l.e
	e.sink.Send(event(op, progress.Running, op.Cause))
	e.log.Debug("run", "operation", op.Text(), "id", op.ID, "cause", op.Cause)
	call, free := ctx, func() {}
	if !patient(op.Kind) {
		call, free = seeThrough(ctx)
	}
	defer free()
	if err := x.perform(call, op); err != nil {
		if ctx.Err() != nil { // what failed first is the reason, not this
			e.sink.Send(event(op, progress.Failed, "interrupted"))
			return false
		}
		if !strings.HasPrefix(err.Error(), op.Text()) {
			err = fmt.Errorf("%s: %w", op.Text(), err)
		}
		e.sink.Send(event(op, progress.Failed, err.Error()))
		x.fail(err)
		return false
	}
	x.mark(x.done, op.ID)
	e.sink.Send(event(op, progress.Done, ""))
	return true
}

// patient reports whether an operation is work of its own that can be broken
// off, rather than a call that the Engine completes in any case.
func patient(k converge.Kind) bool {
	switch k {
	case converge.WaitContainer, converge.RunTask, converge.PullImage, converge.RunInContainer:
		return true
	}
	return false
}

// seeThrough gives a context for a call that an Engine completes whether or
// not anybody listens: it is waited for, so that what comes next (an undo,
// another run) finds it done.
func seeThrough(ctx context.Context) (context.Context, func()) {
	call, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-call.Done():
		case <-time.After(grace):
			cancel(context.Cause(ctx))
		}
	})
	return call, func() {
		stop()
		cancel(nil)
	}
}

// fail notes an error, once.
func (x *execution) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.ContainsFunc(x.errs, func(e error) bool { return errors.Is(e, err) }) {
		x.errs = append(x.errs, err)
	}
}

func (x *execution) mark(set map[int]bool, id int) { x.set(set, id, true) }

func (x *execution) set(set map[int]bool, id int, is bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if is {
		set[id] = true
	} else {
		delete(set, id)
	}
}

// id is the container that the plan calls target.
func (x *execution) id(target string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if id := x.ids[target]; id != "" {
		return id
	}
	return target
}

// find is the container of a service: the one that this plan began, or the
// one that has the service's name.
func (x *execution) find(service string) (string, error) {
	x.mu.Lock()
	id := x.services[service]
	x.mu.Unlock()
	if id != "" {
		return id, nil
	}
	for _, c := range x.l.s.Containers {
		if c.Service != service {
			continue
		}
		for _, seen := range x.observed().Containers {
			if seen.Name == c.Name && seen.Service == service {
				return seen.ID, nil
			}
		}
	}
	return x.l.container(service)
}
