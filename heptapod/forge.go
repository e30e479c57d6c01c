package heptapod

import (
	"context"
	"crypto/rand"
	"net/url"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/lifecycle"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/wiring"
)

type (
	// Option wires a Forge to its surroundings.
	Option = wiring.Option
	// Plan is what Up would do, in order, each call with its cause.
	Plan = converge.Plan
	// Operation is one call of a Plan.
	Operation = converge.Operation
	// OperationKind says which call an Operation is.
	OperationKind = converge.Kind
	// OperationEffect says what an Operation does to the number of things.
	OperationEffect = converge.Effect
	// Event is one thing that happened while a Forge was at work.
	Event = progress.Event
	// EventState says where the work is that an Event is about.
	EventState = progress.State
	// Ref names a step of a plan for what has to come after it.
	Ref = converge.Ref
	// Resources are the forge as a part of a stack: see hepta.Combine.
	Resources = opaque.Value[lifecycle.Part]
	// Host is a Docker host whose stack is locked, as runner.WithAPI passes it on.
	Host = opaque.Value[converge.Host]
)

// Forge is one Heptapod on one Docker host. It is safe for concurrent use.
type Forge struct {
	cfg     Config // defaults filled in
	named   bool   // the image was named, rather than being the default
	base    *url.URL
	version Version
	opts    wiring.Options
	now     func() time.Time
	// password is the password of root for a first boot: the configured one,
	// or one made once for this Forge.
	password func() string
	// connect is machine, save in tests.
	connect func(ctx context.Context, change bool) (converge.Host, func(), error)

	renewing sync.Mutex // held while an API token is made
	mu       sync.Mutex
	own      client.APIClient // made here, closed here; nil until needed
}

// New checks cfg and returns the forge that it describes. Nothing is
// contacted.
func New(cfg Config, opts ...Option) (*Forge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	named := cfg.Image != ""
	cfg = cfg.withDefaults()
	version, err := ParseVersion(cfg.Image)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.ExternalURL)
	if err != nil {
		return nil, err
	}
	f := &Forge{cfg: cfg, named: named, base: base, version: version, opts: wiring.Apply(opts), now: time.Now}
	f.connect = f.machine
	f.password = sync.OnceValue(func() string {
		if text := cfg.RootPassword.Reveal(); text != "" {
			return text
		}
		return rand.Text() + "-" + rand.Text()[:6]
	})
	return f, nil
}

// URL is the address under which people reach the forge, without a final slash.
func (f *Forge) URL() string { return f.cfg.ExternalURL }

// ContainerName is the name of the forge's container on the host.
func (f *Forge) ContainerName() string { return f.cfg.Stack + "-" + Service }
