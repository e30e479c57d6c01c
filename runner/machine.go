package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/lifecycle"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
)

// Resources are the runners as a part of a larger stack.
func (r *Runners) Resources() (Resources, error) {
	return opaque.Hide(lifecycle.Part{Stack: r.resources()}), nil
}

// Plan looks at the Docker host and says what Up would do. The forge is not
// asked.
func (r *Runners) Plan(ctx context.Context) (*Plan, error) { return r.unit().Plan(ctx) }

// Up makes the runners in the forge, writes their config.toml, runs their
// container and waits until they are online. Runners of an earlier
// configuration that are no longer described are removed from both sides:
// Up with an empty list takes them all out of the forge and their container
// away.
//
// It works on the runners and nothing else: where a stack has other services
// too, it refuses. What was done is returned even when it ends with an error.
func (r *Runners) Up(ctx context.Context) (*Plan, error) { return r.unit().Up(ctx) }

// Down ends the runner container once its jobs are done, or the time for that
// is over. The runners stay in the forge, offline, and Up brings them back.
func (r *Runners) Down(ctx context.Context) (*Plan, error) { return r.unit().Down(ctx) }

// Look passes f the roster of the runners without taking the stack's lock: f
// may look and pause, and nothing that writes on the host.
func (r *Runners) Look(ctx context.Context, f func(*Roster) error) error {
	u := r.unit()
	_, err := u.On(ctx, "look at", func(e *engine.Engine, _ client.APIClient) (*Plan, error) {
		look := u.Part.Stack
		if r.cfg.CAFile != "" {
			look.Files = append(slices.Clone(look.Files), converge.File{Path: r.cfg.CAFile})
		}
		o, err := e.Observe(ctx, &look)
		if err != nil {
			return nil, err
		}
		return nil, f(r.roster(view{o, r.opts.Progress}))
	})
	return err
}

// Change passes f the roster of the runners under the stack's lock. Others
// that wait for it read command.
func (r *Runners) Change(ctx context.Context, command string, f func(*Roster) error) error {
	u := r.unit()
	_, err := u.On(ctx, "change", func(e *engine.Engine, _ client.APIClient) (*Plan, error) {
		lock, err := e.Lock(ctx, &u.Part.Stack, engine.LockOptions{Command: command})
		if err != nil {
			return nil, err
		}
		defer lock.Release()
		return nil, f(r.roster(lock.Host()))
	})
	return err
}

// unit is the stack that holds the runners only. Without any runner their
// container is meant to go; one of another service never is.
func (r *Runners) unit() lifecycle.Unit {
	s := r.resources()
	s.Drops = []string{Service}
	return lifecycle.Unit{What: "runners of stack " + r.cfg.Stack, Part: lifecycle.Part{Stack: s}, Opts: r.opts.Options}
}

// view is a machine that is only looked at, as it was when it was observed.
type view struct {
	o    *converge.Observed
	sink progress.Sink
}

func (v view) ReadFile(_ context.Context, path string) ([]byte, error) {
	if f := v.o.Files[path]; f.Exists {
		return f.Content, nil
	}
	return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
}

func (view) Run(context.Context, converge.OneOff) ([]byte, error) {
	return nil, errors.New("run a container: the stack's lock is not held")
}

func (view) WriteFile(context.Context, string, []byte, fs.FileMode, int, int) error {
	return errors.New("write file: the stack's lock is not held")
}

func (view) Exec(context.Context, string, []string, []byte) (converge.ExecResult, error) {
	return converge.ExecResult{}, errors.New("run in container: the stack's lock is not held")
}

func (v view) Progress(text string) { v.sink.Send(progress.Event{State: progress.Info, Text: text}) }
func (v view) Sink() progress.Sink  { return v.sink }
