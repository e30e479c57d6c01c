package engine

import (
	"context"
	"log/slog"
	"os"
	"os/user"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/progress"
)

// Engine works on one Docker Engine. It is safe for concurrent use and keeps
// no state of its own: what has to be remembered lies on the Engine's host.
type Engine struct {
	api  API
	log  *slog.Logger
	sink progress.Sink
	cli  []string // options with which the docker program reaches the same Engine
}

// New wraps a client. A nil logger is silent, a nil sink drops all progress.
func New(api API, log *slog.Logger, sink progress.Sink) *Engine {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{api: api, log: log, sink: sink}
}

// UpOptions is for Up.
type UpOptions struct {
	// Command is what those who wait are told; "up" when empty.
	Command string
	// Check, when set, may refuse: it is asked once, before anything is done
	// and only when there is something to do.
	Check func(context.Context) error
}

// DownOptions is for Down.
type DownOptions struct {
	Volumes bool // also remove the stack's named volumes
}

// Up makes the Engine look like s and returns the plan that it executed,
// together with the error when that ended early. When there is nothing to do
// it has only looked. Of several at once one works and the others wait.
func (e *Engine) Up(ctx context.Context, s *converge.Stack, opts UpOptions) (*converge.Plan, error) {
	if opts.Command == "" {
		opts.Command = "up"
	}
	return e.change(ctx, s, change{
		lock: LockOptions{Command: opts.Command}, check: opts.Check,
		decide:  func(o *converge.Observed) (*converge.Plan, error) { return converge.Up(s, o) },
		prepare: func(ctx context.Context, l *Lock, o *converge.Observed) error { return l.claim(ctx, o.Identity) },
	})
}

// Down ends what the stack runs. Files on the host stay, and volumes unless
// they are asked for.
func (e *Engine) Down(ctx context.Context, s *converge.Stack, opts DownOptions) (*converge.Plan, error) {
	return e.change(ctx, s, change{
		lock: LockOptions{Command: "down", data: dataIfThere},
		decide: func(o *converge.Observed) (*converge.Plan, error) {
			return converge.Down(s, o, converge.DownOptions{Volumes: opts.Volumes})
		},
	})
}

// Plan looks and decides, and changes nothing.
func (e *Engine) Plan(ctx context.Context, s *converge.Stack) (*converge.Plan, error) {
	o, err := e.Observe(ctx, s)
	if err != nil {
		return nil, err
	}
	return converge.Up(s, o)
}

// change is what Up and Down differ in.
type change struct {
	lock    LockOptions
	check   func(context.Context) error // may refuse before the lock is taken; nil: nothing is checked
	decide  func(*converge.Observed) (*converge.Plan, error)
	prepare func(context.Context, *Lock, *converge.Observed) error // under the lock, before the plan is executed; may be nil
}

// change plans, and when there is something to do plans again under the lock
// and executes that. What a killed run has abandoned is something to do: who
// has the lock takes it away.
func (e *Engine) change(ctx context.Context, s *converge.Stack, c change) (*converge.Plan, error) {
	look := func(lock string) (*converge.Observed, *converge.Plan, error) {
		o, err := e.observeFrom(ctx, s, lock)
		if err != nil {
			return nil, nil, err
		}
		plan, err := c.decide(o)
		return o, plan, err
	}
	o, plan, err := look("")
	if err != nil || plan.Empty() && len(abandoned(s, o)) == 0 {
		return plan, err
	}
	if c.check != nil && !plan.Empty() {
		if err := c.check(ctx); err != nil {
			return plan, err
		}
	}
	described := s
	if resolved, err := s.Resolved(o); err == nil {
		described = resolved
	}
	local := func(_ context.Context, ref string) (bool, error) {
		_, is := o.ImageID(ref)
		return is, nil
	}
	if c.lock.data == dataThere && !madeWith(s, o) {
		c.lock.data = dataMade
	}
	err = e.withImage(ctx, described, local, func(image string) error {
		l, err := e.take(ctx, s, c.lock, image)
		if err != nil {
			return err
		}
		defer l.Release()
		now, again, err := look(l.id)
		if now != nil {
			l.proof = now.Identity.ID
		}
		if again != nil {
			plan = again
		}
		if err == nil {
			err = l.sweep(ctx, now)
		}
		if err == nil && !plan.Empty() && c.prepare != nil {
			err = c.prepare(ctx, l, now)
		}
		if err != nil || plan.Empty() {
			return err
		}
		return l.execute(ctx, now, plan)
	})
	if err != nil {
		e.log.Debug("work under the lock ended", "error", err)
	}
	return plan, cutOff(s, err)
}

// whoami is what others read while they wait: user@host.
func whoami() string {
	name := "someone"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
