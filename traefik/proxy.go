package traefik

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/wiring"
)

// Option wires a Proxy to what it works with.
type Option = wiring.Option

// WithDocker uses a client instead of making one; the caller closes it.
func WithDocker(c client.APIClient) Option { return wiring.WithDocker(c) }

// WithHost names the Engine as docker does: unix://, tcp://, ssh://, or
// context://NAME.
func WithHost(host string) Option { return wiring.WithHost(host) }

// WithLogger logs to l instead of discarding.
func WithLogger(l *slog.Logger) Option { return wiring.WithLogger(l) }

// WithProgress tells f what happens while it happens. It may be called from
// several goroutines at once.
func WithProgress(f func(progress.Event)) Option { return wiring.WithProgress(f) }

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

// Plan looks at the host and says what Up would do.
func (p *Proxy) Plan(ctx context.Context) (*converge.Plan, error) {
	return p.on(ctx, "plan", func(docker client.APIClient, s *converge.Stack) (*converge.Plan, error) {
		if err := p.fits(ctx, docker); err != nil {
			return nil, err
		}
		return p.engine(docker).Plan(ctx, s)
	})
}

// Up makes the proxy run as described and waits until it is healthy. It
// returns what it did, also when that came not to its end. An image that the
// Engine cannot work with is refused before anything is touched.
func (p *Proxy) Up(ctx context.Context) (*converge.Plan, error) {
	return p.on(ctx, "bring up", func(docker client.APIClient, s *converge.Stack) (*converge.Plan, error) {
		if err := p.fits(ctx, docker); err != nil {
			return nil, err
		}
		return p.engine(docker).Up(ctx, s, engine.UpOptions{})
	})
}

// Down removes the proxy's container, and its network when nobody else is on
// it. Certificates and logs stay in the data directory.
func (p *Proxy) Down(ctx context.Context) (*converge.Plan, error) {
	return p.on(ctx, "take down", func(docker client.APIClient, s *converge.Stack) (*converge.Plan, error) {
		return p.engine(docker).Down(ctx, s, engine.DownOptions{})
	})
}

// Labels are what a container of somebody else has to carry so that the proxy
// publishes the routes: see hepta.Stack.Labels. The proxy has to be there.
func (p *Proxy) Labels(ctx context.Context, routes ...Route) (map[string]string, error) {
	for _, r := range routes {
		if err := r.Validate(); err != nil {
			return nil, err
		}
	}
	labels := Labels(p.cfg, routes...)
	_, err := p.on(ctx, "publish through", func(docker client.APIClient, s *converge.Stack) (*converge.Plan, error) {
		proof, err := p.engine(docker).Proof(ctx, s)
		labels[converge.LabelProof] = proof
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return labels, nil
}

// on runs f with a client and the proxy's resources.
func (p *Proxy) on(ctx context.Context, verb string, f func(client.APIClient, *converge.Stack) (*converge.Plan, error)) (*converge.Plan, error) {
	docker := p.opts.Docker
	if docker == nil {
		made, err := engine.Dial(ctx, p.opts.Host)
		if err != nil {
			return nil, err
		}
		defer made.Close()
		docker = made
	}
	s := p.Resources()
	plan, err := f(docker, &s)
	if err != nil {
		return plan, fmt.Errorf("%s proxy of stack %s: %w", verb, p.cfg.Stack, err)
	}
	return plan, nil
}

func (p *Proxy) engine(docker client.APIClient) *engine.Engine {
	return engine.New(docker, p.opts.Log, p.opts.Progress).Reached(p.opts.Host)
}

// fits asks the Engine whether the image can work with it.
func (p *Proxy) fits(ctx context.Context, docker client.APIClient) error {
	info, err := docker.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask engine for its settings: %w", err)
	}
	if err := engine.CheckSecurity(info.SecurityOptions); err != nil {
		return err
	}
	server, err := docker.ServerVersion(ctx)
	if err != nil {
		return fmt.Errorf("ask engine for its version: %w", err)
	}
	return CheckVersion(p.cfg.Image, server.MinAPIVersion)
}
