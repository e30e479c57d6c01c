package traefik

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/lifecycle"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/wiring"
)

type (
	// Option wires a Proxy to what it works with.
	Option = wiring.Option
	// Plan is what Up would do, in order, each call with its cause.
	Plan = converge.Plan
	// Operation is one call of a Plan.
	Operation = converge.Operation
	// OperationKind says which call an Operation is.
	OperationKind = converge.Kind
	// OperationEffect says what an Operation does to the number of things.
	OperationEffect = converge.Effect
	// Event is one thing that happened while a Proxy was at work.
	Event = progress.Event
	// EventState says where the work is that an Event is about.
	EventState = progress.State
	// Ref names a step of a plan for what has to come after it.
	Ref = converge.Ref
	// Resources are the proxy as a part of a stack: see hepta.Combine.
	Resources = opaque.Value[lifecycle.Part]
	// Snapshot is what package hepta has seen of a Docker host.
	Snapshot = opaque.Value[*converge.Observed]
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

// Proxy is a Traefik on a Docker host.
type Proxy struct {
	cfg     Config
	opts    wiring.Options
	dynamic []byte // content of dynamicFile
	now     func() time.Time
}

// New takes a configuration over; it reaches nothing. A configuration that
// cannot work is refused with everything that is wrong with it.
func New(cfg Config, opts ...Option) (*Proxy, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	dynamic, err := renderDynamic(cfg)
	if err != nil {
		return nil, err
	}
	return &Proxy{cfg: cfg, opts: wiring.Apply(opts), dynamic: dynamic, now: time.Now}, nil
}

// Resources are the proxy as a part of a larger stack.
func (p *Proxy) Resources() (Resources, error) { return opaque.Hide(p.part()), nil }

func (p *Proxy) part() lifecycle.Part { return lifecycle.Part{Stack: p.resources(), Check: p.fits} }

func (p *Proxy) unit() lifecycle.Unit {
	return lifecycle.Unit{What: "proxy of stack " + p.cfg.Stack, Part: p.part(), Opts: p.opts}
}

// Plan looks at the host and says what Up would do.
func (p *Proxy) Plan(ctx context.Context) (*Plan, error) { return p.unit().Plan(ctx) }

// Up makes the proxy run as described and waits until it is healthy. It
// returns what it did, also when that came not to its end. An image that the
// Engine cannot work with is refused before anything is touched.
func (p *Proxy) Up(ctx context.Context) (*Plan, error) { return p.unit().Up(ctx) }

// Down removes the proxy's container, and its network when nobody else is on
// it. Certificates and logs stay in the data directory.
func (p *Proxy) Down(ctx context.Context) (*Plan, error) { return p.unit().Down(ctx) }

// Labels are what a container of somebody else has to carry so that the proxy
// publishes the routes: see hepta.Stack.Labels. The proxy has to be there.
func (p *Proxy) Labels(ctx context.Context, routes ...Route) (map[string]string, error) {
	for _, r := range routes {
		if err := r.Validate(); err != nil {
			return nil, err
		}
	}
	labels, u := Labels(p.cfg, routes...), p.unit()
	_, err := u.On(ctx, "publish through", func(e *engine.Engine, _ client.APIClient) (*Plan, error) {
		proof, err := e.Proof(ctx, &u.Part.Stack)
		labels[converge.LabelProof] = proof
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return labels, nil
}

// fits asks the Engine whether the image can work with it.
func (p *Proxy) fits(ctx context.Context, docker client.APIClient) error {
	server, err := docker.ServerVersion(ctx)
	if err != nil {
		return fmt.Errorf("ask engine for its version: %w", err)
	}
	return CheckVersion(p.cfg.Image, server.MinAPIVersion)
}
