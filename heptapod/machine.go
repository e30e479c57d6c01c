package heptapod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/wiring"
)

// WithDocker uses c instead of making a client; the caller closes it.
func WithDocker(c client.APIClient) Option { return wiring.WithDocker(c) }

// WithHost names the Engine: unix://, tcp://, ssh://, or a docker context as
// context://NAME.
func WithHost(host string) Option { return wiring.WithHost(host) }

// WithLogger logs to l instead of discarding.
func WithLogger(l *slog.Logger) Option { return wiring.WithLogger(l) }

// WithProgress tells f what happens while it happens. It may be called from
// several goroutines at once.
func WithProgress(f func(Event)) Option { return wiring.WithProgress(f) }

// engine gives the Engine, dialled at the first call and kept until Close.
func (f *Forge) engine(ctx context.Context) (*engine.Engine, error) {
	docker, err := f.connection(ctx)
	if err != nil {
		return nil, err
	}
	return engine.New(docker, f.opts.Log, f.opts.Progress).Reached(f.opts.Host), nil
}

func (f *Forge) connection(ctx context.Context) (client.APIClient, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.opts.Docker != nil:
		return f.opts.Docker, nil
	case f.opts.Dial != nil:
		return f.opts.Dial(ctx)
	case f.own != nil:
		return f.own, nil
	}
	made, err := engine.Dial(ctx, f.opts.Host)
	if err != nil {
		return nil, err
	}
	f.own = made
	return made, nil
}

// Close ends the connection to the Engine, where the Forge made it itself.
// The Forge can be used again; it then connects anew.
func (f *Forge) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own == nil {
		return nil
	}
	err := f.own.Close()
	f.own = nil
	return err
}

// view is a machine that is looked at and worked in, but whose files are not
// changed. It needs no lock.
type view struct {
	f *Forge
	e *engine.Engine
}

// machine gives the machine that the forge runs on. With change it comes with
// the stack's lock; the function ends the use of it.
func (f *Forge) machine(ctx context.Context, change bool) (converge.Host, func(), error) {
	e, err := f.engine(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !change {
		return view{f, e}, func() {}, nil
	}
	s, err := f.resources()
	if err != nil {
		return nil, nil, err
	}
	lock, err := e.Lock(ctx, &s, engine.LockOptions{Command: "token renew"})
	if err != nil {
		return nil, nil, err
	}
	return lock.Host(), lock.Release, nil
}

func (v view) ReadFile(ctx context.Context, path string) ([]byte, error) {
	o, err := v.e.Observe(ctx, &converge.Stack{Name: v.f.cfg.Stack, Data: v.f.cfg.Data, Files: []converge.File{{Path: path}}})
	if err != nil {
		return nil, err
	}
	if file := o.Files[path]; file.Exists {
		return file.Content, nil
	}
	return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
}

func (view) Run(context.Context, converge.OneOff) ([]byte, error) {
	return nil, errors.New("run a container: the stack's lock is not held")
}

func (v view) WriteFile(context.Context, string, []byte, fs.FileMode, int, int) error {
	return errors.New("write file: the stack's lock is not held")
}

func (v view) Exec(ctx context.Context, _ string, cmd []string, stdin []byte) (converge.ExecResult, error) {
	opts := engine.ExecOptions{Cmd: cmd}
	if stdin != nil {
		opts.Stdin = bytes.NewReader(stdin)
	}
	return v.e.Exec(ctx, v.f.ContainerName(), opts)
}

func (v view) Progress(text string) {
	v.Sink().Send(progress.Event{Resource: "container " + v.f.ContainerName(), State: progress.Info, Text: text})
}

func (v view) Sink() progress.Sink { return v.f.opts.Progress }
