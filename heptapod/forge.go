package heptapod

import (
	"context"
	"crypto/rand"
	"net/url"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/wiring"
)

// Option wires a Forge to its surroundings.
type Option = wiring.Option

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
	docker   client.APIClient // nil until needed
	dialled  bool             // docker is ours to close
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

// Image is the image that is described, and the version that its tag names.
// Where none is described it is the default, and a forge that is there keeps its own.
func (f *Forge) Image() (reference string, version Version) { return f.cfg.Image, f.version }

// ContainerName is the name of the forge's container on the host.
func (f *Forge) ContainerName() string { return f.cfg.Stack + "-" + Service }
