package hepta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/runner"
)

// ListRunners says how every runner stands: those of the configuration, and
// whatever else config.toml and our records on the host hold.
func (s *Stack) ListRunners(ctx context.Context) (list []runner.State, err error) {
	err = s.lookAtRunners(ctx, func(r *runner.Roster) error {
		list, err = r.List(ctx)
		return err
	})
	return list, err
}

// VerifyRunners asks the forges whether they take the tokens of config.toml,
// and looks whether jobs reach forge and registry. With repair those tokens that
// are refused are put in order: runners of the configuration get a new one or
// are created again, other sections are dropped.
func (s *Stack) VerifyRunners(ctx context.Context, repair bool) (list []runner.Verdict, err error) {
	locked := s.changeRunners("runner verify")
	if repair {
		err = locked(ctx, func(r *runner.Roster) error {
			if list, err = r.Repair(ctx); err != nil {
				return err
			}
			return s.reachOf(ctx, r, list)
		})
		return list, err
	}
	looks := false
	err = s.lookAtRunners(ctx, func(r *runner.Roster) error {
		list, err = r.Verify(ctx)
		looks = r.Looks(list)
		return err
	})
	s.tellRefusedToken(ctx)
	if err == nil && looks {
		err = locked(ctx, func(r *runner.Roster) error { return s.reachOf(ctx, r, list) })
	}
	return list, err
}

// reachOf completes verdicts by what jobs reach.
func (s *Stack) reachOf(ctx context.Context, r *runner.Roster, list []runner.Verdict) error {
	if !r.Looks(list) {
		return nil
	}
	s.opts.Progress.Send(progress.Event{State: progress.Info, Resource: "stack " + s.cfg.Stack, Text: "looking whether jobs reach forge and registry"})
	return r.Reach(ctx, list)
}

// PauseRunner makes a runner take no more jobs, or with false take them again.
func (s *Stack) PauseRunner(ctx context.Context, name string, paused bool) error {
	return s.lookAtRunners(ctx, func(r *runner.Roster) error { return r.Pause(ctx, name, paused) })
}

// RotateRunner gives a runner a new token; nothing is restarted.
func (s *Stack) RotateRunner(ctx context.Context, name string) error {
	return s.changeRunners("runner rotate")(ctx, func(r *runner.Roster) error { return r.Rotate(ctx, name) })
}

// RemoveRunner takes a runner that the configuration does not describe out of
// its forge and off the host.
func (s *Stack) RemoveRunner(ctx context.Context, name string) error {
	return s.changeRunners("runner remove")(ctx, func(r *runner.Roster) error { return r.Remove(ctx, name) })
}

// PruneRunners finds what jobs have left on the Engine, and with Force removes
// it: see runner.Prune. Which runners are the stack's own it knows itself, and
// with a Limit what these pull and which images the stack needs.
func (s *Stack) PruneRunners(ctx context.Context, o runner.PruneOptions) (*runner.Pruned, error) {
	docker, err := s.docker(ctx)
	if err != nil {
		return nil, err
	}
	if o.Limit != nil {
		limit := *o.Limit
		r, err := s.runners(s.unlockedAPI)
		if err != nil {
			return nil, err
		}
		limit.Pulled = append(slices.Clone(limit.Pulled), r.JobImages()...)
		for _, c := range s.want.Containers {
			limit.Spare = append(limit.Spare, c.Image)
		}
		o.Limit = &limit
	}
	o.Manager = func(ctx context.Context) runner.Manager { return s.runnerManager(ctx, true) }
	return runner.Prune(ctx, docker, o)
}

// RunnerLogs is Logs of the runner container; with a name, only the lines
// about that runner.
func (s *Stack) RunnerLogs(ctx context.Context, name string, o LogOptions, emit func(LogLine)) error {
	o.Services = []string{runner.Service}
	about := func(string) bool { return true }
	if name != "" {
		err := s.lookAtRunners(ctx, func(r *runner.Roster) (err error) {
			about, err = r.LogFilter(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.Logs(ctx, o, func(l LogLine) {
		if about(l.Text) {
			emit(l)
		}
	})
}

// warnings are who may not trust what about the runners, and until when the
// proxy's certificates last.
func (s *Stack) warnings(o *converge.Observed) []string {
	return slices.Concat(s.cfg.addressNotes(), s.cfg.strangers(), s.certificateNotes(o))
}

// roster are the stack's runners on a machine, with the forge's API.
func (s *Stack) roster(host converge.Host, api runner.Connect) (*runner.Roster, error) {
	r, err := s.runners(api)
	if err != nil {
		return nil, err
	}
	return r.Roster(opaque.Hide(host)), nil
}

func (s *Stack) lookAtRunners(ctx context.Context, f func(*runner.Roster) error) error {
	e, err := s.engine(ctx)
	if err != nil {
		return err
	}
	r, err := s.roster(glance{s, e}, s.unlockedAPI)
	if err != nil {
		return err
	}
	return f(r)
}

// changeRunners works under the stack's lock; others who wait read command.
func (s *Stack) changeRunners(command string) func(context.Context, func(*runner.Roster) error) error {
	return func(ctx context.Context, f func(*runner.Roster) error) error {
		e, err := s.engine(ctx)
		if err != nil {
			return err
		}
		lock, err := e.Lock(ctx, &s.want, engine.LockOptions{Command: command})
		if err != nil {
			return err
		}
		defer lock.Release()
		r, err := s.roster(lock.Host(), s.api)
		if err != nil {
			return err
		}
		return f(r)
	}
}

// glance is the stack's machine as it is looked at without the lock: files are
// read through containers that show them, and commands run in services.
type glance struct {
	s *Stack
	e *engine.Engine
}

func (g glance) ReadFile(ctx context.Context, path string) ([]byte, error) {
	o, err := g.e.Observe(ctx, &converge.Stack{Name: g.s.cfg.Stack, Data: g.s.cfg.Data, Files: []converge.File{{Path: path}}})
	if err != nil {
		return nil, err
	}
	file, looked := o.Files[path]
	if !looked {
		return nil, &fault.Error{Op: "read", What: path, Why: "no container of stack " + g.s.cfg.Stack + " shows it", Remedy: "Start the stack: hepta up"}
	}
	if !file.Exists {
		return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	return file.Content, nil
}

func (glance) Run(context.Context, converge.OneOff) ([]byte, error) {
	return nil, errors.New("run a container: the stack's lock is not held")
}

func (glance) WriteFile(context.Context, string, []byte, fs.FileMode, int, int) error {
	return errors.New("write file: the stack's lock is not held")
}

func (g glance) Exec(ctx context.Context, service string, cmd []string, stdin []byte) (converge.ExecResult, error) {
	name, err := g.s.container(service)
	if err != nil {
		return converge.ExecResult{}, err
	}
	o := engine.ExecOptions{Cmd: cmd}
	if stdin != nil {
		o.Stdin = bytes.NewReader(stdin)
	}
	return g.e.Exec(ctx, name, o)
}

func (g glance) Progress(text string) {
	g.Sink().Send(progress.Event{Resource: "stack " + g.s.cfg.Stack, State: progress.Info, Text: text})
}

func (g glance) Sink() progress.Sink { return g.s.opts.Progress }
