package engine

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/progress"
)

// host is what tasks and readiness checks may use, under a lock.
type host struct {
	l    *Lock
	op   converge.Operation                   // whose progress is reported; the zero one outside a plan
	find func(service string) (string, error) // container of a service
}

// Host gives what tasks may use, for work outside a plan. It is good until
// the lock is released.
func (l *Lock) Host() converge.Host { return host{l: l, find: l.container} }

// container is the container of a service by the name that it has when
// nothing is under way.
func (l *Lock) container(service string) (string, error) {
	for _, c := range l.s.Containers {
		if c.Service == service {
			return c.Name, nil
		}
	}
	return "", fmt.Errorf("stack %s has no service %s", l.s.Name, service)
}

func (h host) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return h.l.ReadFile(ctx, path)
}

func (h host) WriteFile(ctx context.Context, path string, content []byte, mode fs.FileMode, uid, gid int) error {
	return h.l.WriteFile(ctx, path, content, mode, uid, gid)
}

func (h host) Exec(ctx context.Context, service string, cmd []string, stdin []byte) (converge.ExecResult, error) {
	name, err := h.find(service)
	if err == nil {
		err = h.l.held(ctx)
	}
	if err != nil {
		return converge.ExecResult{}, err
	}
	return h.l.e.Exec(ctx, name, ExecOptions{Cmd: cmd, Stdin: input(stdin)})
}

func (h host) Run(ctx context.Context, o converge.OneOff) ([]byte, error) {
	if err := h.l.held(ctx); err != nil {
		return nil, err
	}
	return h.l.runOnce(ctx, o)
}

func (h host) Progress(text string) { h.Sink().Send(event(h.op, progress.Waiting, text)) }

func (h host) Sink() progress.Sink { return h.l.e.sink }

// event is what an operation has to say.
func event(op converge.Operation, state progress.State, text string) progress.Event {
	return progress.Event{Op: op.ID, Kind: string(op.Kind), Resource: op.Resource, State: state, Text: text}
}
