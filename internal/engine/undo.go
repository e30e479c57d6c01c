package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

// undoTime bounds each call that brings an old container back; the wait for it
// has a limit of its own.
const undoTime = 3 * time.Minute

// undo brings back what served before, for every service that the plan has begun
// to replace and has not got through with, once each.
func (x *execution) undo(ctx context.Context) {
	list := x.toUndo()
	if len(list) == 0 && x.looked {
		return
	}
	x.looked = true
	// Without the lock somebody else may be at work already.
	if err := x.l.stays(ctx); err != nil {
		x.fail(err)
		return
	}
	var all sync.WaitGroup
	for _, u := range list {
		all.Go(func() { x.bringBack(context.WithoutCancel(ctx), u) })
	}
	all.Wait()
}

// toUndo lists what there is to undo now, each once. What is still waited for
// is left to its own end.
func (x *execution) toUndo() []converge.Undo {
	x.mu.Lock()
	defer x.mu.Unlock()
	is := func(set map[int]bool) func(int) bool { return func(id int) bool { return set[id] } }
	list := converge.Undone(x.plan, is(x.begun), is(x.done))
	list = slices.DeleteFunc(list, func(u converge.Undo) bool {
		return x.undone[u.Service] || slices.ContainsFunc(x.plan.Operations, func(op converge.Operation) bool {
			return op.Replaces == u.Service && x.waiting[op.ID]
		})
	})
	for _, u := range list {
		x.undone[u.Service] = true
	}
	return list
}

// bringBack undoes one replacement, unless that would cost data.
func (x *execution) bringBack(ctx context.Context, u converge.Undo) {
	if u.Stays != "" && x.hasRun(ctx, x.id(u.Target)) {
		x.leave(u)
		return
	}
	for _, op := range u.Operations {
		x.l.e.sink.Send(event(op, progress.Running, op.Cause))
		if err := x.undoOne(ctx, op); err != nil {
			err = fmt.Errorf("undo: %s: %w", op.Text(), err)
			x.l.e.sink.Send(event(op, progress.Failed, err.Error()))
			x.fail(err)
			continue
		}
		text := op.Cause
		if op.Kind == converge.WaitContainer {
			text = "serves again"
		}
		x.l.e.sink.Send(event(op, progress.Done, text))
	}
}

func (x *execution) undoOne(ctx context.Context, op converge.Operation) error {
	if op.Kind != converge.WaitContainer {
		limited, cancel := context.WithTimeout(ctx, undoTime)
		defer cancel()
		ctx = limited
	}
	return x.perform(ctx, op)
}

// hasRun reports whether a container's process was ever started. One that cannot
// be looked at counts as such.
func (x *execution) hasRun(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, cleanup)
	defer cancel()
	seen, err := x.l.e.api.ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return false
	}
	if err != nil || seen.State == nil {
		return true
	}
	began, err := time.Parse(time.RFC3339Nano, seen.State.StartedAt)
	return err != nil || !began.IsZero() || seen.State.Running
}

// errLeft is told of a new container that is left as it is.
var errLeft = errors.New("the new container stays")

// leave tells of a replacement that is not undone.
func (x *execution) leave(u converge.Undo) {
	name := u.Service
	for _, op := range x.plan.Operations {
		if op.Replaces == u.Service && op.Kind == converge.WaitContainer {
			name = op.Name()
		}
	}
	x.fail(&fault.Error{Op: "leave", What: "container " + name, Why: u.Stays, Err: errLeft,
		Remedy: fmt.Sprintf("Container %s was not undone: %s. Run hepta up again: it goes on from here.", name, u.Stays)})
	x.l.e.sink.Send(progress.Event{State: progress.Info, Resource: "container " + name, Text: "stays: " + u.Stays})
}
