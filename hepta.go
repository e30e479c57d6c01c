// Package hepta turns a Docker host into a forge: Traefik, Heptapod (GitLab
// with Mercurial), its container registry and its runners, as one
// configuration describes them.
//
// A Stack is made from a Config and compared with what the Docker Engine has.
// Plan says what would be done, Up does it, and doing it again does nothing.
package hepta

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/wiring"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// Option wires a Stack to its surroundings.
type Option = wiring.Option

// The options of New.
var (
	WithDocker   = wiring.WithDocker
	WithHost     = wiring.WithHost
	WithLogger   = wiring.WithLogger
	WithProgress = wiring.WithProgress
)

type (
	// Event is one thing that happened while a Stack was at work.
	Event = progress.Event
	// Plan is what would be done, in order, each call with its cause.
	Plan = converge.Plan
	// Operation is one call of a Plan.
	Operation = converge.Operation
	// OperationKind says which call an Operation is.
	OperationKind = converge.Kind
	// OperationEffect says what an Operation does to the number of things.
	OperationEffect = converge.Effect
	// EventState says where the work is that an Event is about.
	EventState = progress.State
)

// Stack is a forge on a Docker host. It is safe for concurrent use.
type Stack struct {
	cfg   *Config // normal
	opts  wiring.Options
	want  converge.Stack
	forge *heptapod.Forge
	proxy *traefik.Proxy // nil where the forge is external

	dial sync.Mutex
	own  client.APIClient // made here, closed here
}

// New checks cfg and says what it describes in the words of the Engine.
// Nothing is contacted. What is wrong with cfg is a *ConfigError.
func New(cfg *Config, opts ...Option) (*Stack, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Stack{cfg: cfg.normal(), opts: wiring.Apply(opts)}
	if s.opts.Host == "" {
		s.opts.Host = s.cfg.Docker.Host
		if s.cfg.Docker.Certs != "" {
			s.opts.Host = engine.WithCerts(s.cfg.Docker.Host, s.cfg.Docker.Certs)
		}
	}
	if err := s.compose(opts); err != nil {
		return nil, fmt.Errorf("describe stack %s: %w", s.cfg.Stack, err)
	}
	return s, nil
}

// Forge is the stack's forge: its REST client, gitlab-ctl, its root password.
// Of an external forge it knows the address alone.
func (s *Stack) Forge() *heptapod.Forge { return s.forge }

// Config is what the stack was made from, with every default filled in.
func (s *Stack) Config() Config { return *s.cfg }

// Close ends the connection that the stack has made. One that WithDocker
// handed over stays open.
func (s *Stack) Close() error {
	s.dial.Lock()
	defer s.dial.Unlock()
	if s.own == nil {
		return nil
	}
	err := s.own.Close()
	s.own = nil
	return err
}

// docker connects at the first call.
func (s *Stack) docker(ctx context.Context) (client.APIClient, error) {
	if s.opts.Docker != nil {
		return s.opts.Docker, nil
	}
	s.dial.Lock()
	defer s.dial.Unlock()
	if s.own == nil {
		made, err := engine.Dial(ctx, s.opts.Host)
		if err != nil {
			return nil, err
		}
		s.own = made
	}
	return s.own, nil
}

func (s *Stack) engine(ctx context.Context) (*engine.Engine, error) {
	docker, err := s.docker(ctx)
	if err != nil {
		return nil, err
	}
	return engine.New(docker, s.opts.Log, s.opts.Progress).Reached(s.opts.Host), nil
}

// fits asks the Engine whether containers can work with files of its host, and
// the proxy's image with the Engine.
func (s *Stack) fits(ctx context.Context) error {
	docker, err := s.docker(ctx)
	if err != nil {
		return err
	}
	info, err := docker.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask engine for its settings: %w", err)
	}
	if err := engine.CheckSecurity(info.SecurityOptions); err != nil || s.cfg.isExternal() {
		return err
	}
	server, err := docker.ServerVersion(ctx)
	if err != nil {
		return fmt.Errorf("ask engine for its version: %w", err)
	}
	return traefik.CheckVersion(cmp.Or(s.cfg.Traefik.Image, traefik.DefaultImage), server.MinAPIVersion)
}

// Plan looks at the host and says what Up would do. It changes nothing. A
// proxy that the Engine cannot work with is an error, told with the plan.
func (s *Stack) Plan(ctx context.Context) (*Plan, error) { return s.PlanUp(ctx, UpOptions{}) }

// PlanUp is Plan for what Up would do with options. Services that nothing
// describes are removed in the plan, with a note, also where Up refuses that.
func (s *Stack) PlanUp(ctx context.Context, o UpOptions) (*Plan, error) {
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	agreed := o.RemoveOrphans
	o.RemoveOrphans = true
	seen, plan, err := s.look(ctx, e, o)
	if err != nil {
		return nil, fmt.Errorf("plan stack %s: %w", s.cfg.Stack, err)
	}
	if len(plan.Orphans) > 0 && !agreed {
		plan.Notes = append(plan.Notes, strings.Join(plan.Orphans, ", ")+" would be removed because nothing describes it: up asks before, and wants --remove-orphans where nobody can be asked")
	}
	plan.Notes = append(plan.Notes, s.tokenNotes(ctx, seen, plan)...)
	if plan.Empty() {
		plan.Notes = append(plan.Notes, s.certificateNotes(seen)...)
	}
	if !plan.Empty() {
		if err := s.fits(ctx); err != nil {
			return plan, fmt.Errorf("plan stack %s: %w", s.cfg.Stack, err)
		}
	}
	return plan, nil
}

// look is a snapshot of the host, and what Up would do by it.
func (s *Stack) look(ctx context.Context, e *engine.Engine, o UpOptions) (*converge.Observed, *Plan, error) {
	want := s.wanted(o.allow())
	seen, err := e.Observe(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	plan, err := converge.Up(want, seen)
	return seen, plan, err
}

// UpOptions is for Up.
type UpOptions struct {
	// Command is what others read who wait for this one; default "up".
	Command string
	// Pull gets newer images of names that float first: see Stack.Pull.
	Pull bool
	// RemoveOrphans removes the containers of services that the configuration
	// does not describe. Without it such a stack is refused with ErrOrphans: it
	// may be another one of the same name.
	RemoveOrphans bool
	// Renamed goes on with the data directory and the containers of a stack
	// that had another name, or another forge's name.
	Renamed bool
	// NewData begins anew in an empty data directory, though the stack's forge
	// has run on another one.
	NewData bool
}

func (o UpOptions) allow() converge.Allow {
	return converge.Allow{RemoveOrphans: o.RemoveOrphans, Renamed: o.Renamed, NewData: o.NewData}
}

// wanted is the stack as it is described, with what somebody has agreed to.
func (s *Stack) wanted(allow converge.Allow) *converge.Stack {
	want := s.want
	want.Allow = allow
	return &want
}

// The reasons for which Plan, Up and Down refuse to touch what is on the host.
var (
	ErrOrphans    = converge.ErrOrphans    // services that are not described would be removed
	ErrOtherStack = converge.ErrOtherStack // the data directory is another stack's
	ErrOtherForge = converge.ErrOtherForge // the data directory or the containers are another forge's
	ErrDataInUse  = converge.ErrDataInUse  // another container writes to the data directory
	ErrNewData    = converge.ErrNewData    // the forge would begin anew in an empty data directory
	ErrRenamed    = converge.ErrRenamed    // the forge is there under the name of another stack
)

// Up makes the host look like the configuration, waits until everything
// serves, and returns what it did, also when it came not to its end. When
// nothing is to be done it only looks. Of several at once one works and the
// others wait for it. A host that the proxy has no certificate for, though an
// ACME server was to give one, is an error after all the work.
func (s *Stack) Up(ctx context.Context, o UpOptions) (*Plan, error) {
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	if o.Pull {
		if _, err := s.Pull(ctx); err != nil {
			return nil, err
		}
	}
	plan, err := e.Up(ctx, s.wanted(o.allow()), engine.UpOptions{Command: o.Command, Check: s.fits})
	if s.stopsRunner(plan) {
		s.tellLeftJobs(ctx, func() runner.Manager { return s.runnerManager(ctx, false) })
	}
	if err != nil {
		return plan, fmt.Errorf("bring up stack %s: %w", s.cfg.Stack, err)
	}
	if err := s.certified(ctx, e, !plan.Empty()); err != nil {
		return plan, fmt.Errorf("bring up stack %s: %w", s.cfg.Stack, err)
	}
	return plan, nil
}

// DownOptions is for Down.
type DownOptions struct {
	Volumes bool // also remove the stack's named volumes; the data directory stays in any case
	// RemoveOrphans is as in UpOptions.
	RemoveOrphans bool
}

// Down removes the stack's containers and its network. Data stays.
func (s *Stack) Down(ctx context.Context, o DownOptions) (*Plan, error) {
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	manager := s.runnerManager(ctx, false) // while a container shows its files
	plan, err := e.Down(ctx, s.wanted(converge.Allow{RemoveOrphans: o.RemoveOrphans}), engine.DownOptions{Volumes: o.Volumes})
	if s.stopsRunner(plan) {
		s.tellLeftJobs(ctx, func() runner.Manager { return manager })
	}
	if err != nil {
		return plan, fmt.Errorf("take down stack %s: %w", s.cfg.Stack, err)
	}
	return plan, nil
}
