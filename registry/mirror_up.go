package registry

import (
	"context"
	"log/slog"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/lifecycle"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/wiring"
)

type (
	// Option wires a Mirror to what it works with.
	Option = wiring.Option
	// Plan is what Up would do, in order, each call with its cause.
	Plan = converge.Plan
	// Operation is one call of a Plan.
	Operation = converge.Operation
	// OperationKind says which call an Operation is.
	OperationKind = converge.Kind
	// OperationEffect says what an Operation does to the number of things.
	OperationEffect = converge.Effect
	// Event is one thing that happened while a Mirror was at work.
	Event = progress.Event
	// EventState says where the work is that an Event is about.
	EventState = progress.State
	// Resources are the mirror as a part of a stack: see hepta.Combine.
	Resources = opaque.Value[lifecycle.Part]
)

// WithDocker uses a client instead of making one; the caller closes it.
func WithDocker(c client.APIClient) Option { return wiring.WithDocker(c) }

// WithHost names the Engine as docker does: unix://, tcp://, ssh://, or
// context://NAME.
func WithHost(host string) Option { return wiring.WithHost(host) }

// WithLogger logs to l instead of discarding.
func WithLogger(l *slog.Logger) Option { return wiring.WithLogger(l) }

// WithProgress tells f what happens while it happens. It may be called from
// several goroutines at once.
func WithProgress(f func(Event)) Option { return wiring.WithProgress(f) }

// Resources are the mirror as a part of a larger stack.
func (m Mirror) Resources() (Resources, error) {
	s, err := m.resources()
	return opaque.Hide(lifecycle.Part{Stack: s}), err
}

// Plan looks at the Docker host and says what Up would do.
func (m Mirror) Plan(ctx context.Context, opts ...Option) (*Plan, error) {
	u, err := m.unit(opts)
	if err != nil {
		return nil, err
	}
	return u.Plan(ctx)
}

// Up runs the mirror on a Docker host and waits until it serves. It works on
// the mirror and nothing else: where a stack has other services, it refuses.
// It returns what it did, also when that came not to its end.
func (m Mirror) Up(ctx context.Context, opts ...Option) (*Plan, error) {
	u, err := m.unit(opts)
	if err != nil {
		return nil, err
	}
	return u.Up(ctx)
}

// Down removes the mirror's container, and its network when nobody else is on
// it. The images that it has kept stay in the data directory.
func (m Mirror) Down(ctx context.Context, opts ...Option) (*Plan, error) {
	u, err := m.unit(opts)
	if err != nil {
		return nil, err
	}
	return u.Down(ctx)
}

func (m Mirror) unit(opts []Option) (lifecycle.Unit, error) {
	s, err := m.resources()
	return lifecycle.Unit{What: "mirror of stack " + s.Name, Part: lifecycle.Part{Stack: s}, Opts: wiring.Apply(opts)}, err
}
