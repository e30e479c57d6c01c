package runner

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/jobmode"
	"github.com/heptaup/hepta/internal/pki"
)

// The images that are used when none is named, each by its exact version:
// nothing of a stack changes because a tag has moved.
const (
	// DefaultImage is the runner that knows Mercurial besides Git.
	DefaultImage = "registry.heptapod.net/heptapod/heptapod-runner/runner:0.7.0"
	// DefaultJobImage holds the docker command.
	DefaultJobImage = jobmode.Image
	// DefaultDindImage fits DefaultJobImage.
	DefaultDindImage = jobmode.DindImage
	// DefaultRootlessImage holds buildah.
	DefaultRootlessImage = jobmode.RootlessImage
	// BuildKitImage is the other one for jobs of mode rootless, which name it
	// with an entrypoint of their own: as it is, it starts a daemon.
	BuildKitImage = jobmode.BuildKitImage
)

// withDefaults returns a copy in which every default is filled in.
func (cfg Config) withDefaults() Config {
	cfg.Stack = cmp.Or(cfg.Stack, "hepta")
	cfg.Data = cmp.Or(cfg.Data, converge.DefaultData(cfg.Stack))
	cfg.Network = cmp.Or(cfg.Network, "web")
	cfg.Image = cmp.Or(cfg.Image, DefaultImage)
	cfg.Socket = cmp.Or(cfg.Socket, "/var/run/docker.sock")
	cfg.CheckInterval = cmp.Or(cfg.CheckInterval, 3)
	cfg.DrainSeconds = cmp.Or(cfg.DrainSeconds, 600)
	cfg.Forge.URL = strings.TrimRight(cfg.Forge.URL, "/")
	if len(cfg.CA) > 0 {
		cfg.CA = pki.AuthoritiesOr(cfg.CA)
		cfg.CAFile = cmp.Or(cfg.CAFile, FileCA)
	}
	if cfg.SessionServer != nil {
		s := *cfg.SessionServer
		s.Host, s.Timeout = cmp.Or(s.Host, cfg.Stack+"-"+Service), cmp.Or(s.Timeout, 1800)
		cfg.SessionServer = &s
	}
	cfg.Runners = slices.Clone(cfg.Runners)
	sum := 0
	for i := range cfg.Runners {
		r := &cfg.Runners[i]
		*r, _ = r.withKeys()
		r.Mode = cmp.Or(r.Mode, Plain)
		r.Concurrent = cmp.Or(r.Concurrent, 1)
		if r.Mode == Rootless {
			r.Image = cmp.Or(r.Image, DefaultRootlessImage)
		}
		r.Image = cmp.Or(r.Image, DefaultJobImage)
		r.AccessLevel = cmp.Or(r.AccessLevel, "not_protected")
		r.URL = cmp.Or(strings.TrimRight(r.URL, "/"), cfg.Forge.URL)
		sum += r.Concurrent
	}
	// A runner that waits for jobs holds one of these: with no more than there
	// are runners, they starve each other.
	cfg.Concurrent = cmp.Or(cfg.Concurrent, max(sum, len(cfg.Runners)+1))
	return cfg
}

func (cfg Config) drain() time.Duration { return time.Duration(cfg.DrainSeconds) * time.Second }

// caInside is the authority's certificate inside the runner container.
func (cfg Config) caInside() string { return path.Join(caDir, path.Base(cfg.CAFile)) }

// runUntagged is the default that the forge would otherwise have to guess.
func (r Runner) runUntagged() bool {
	if r.RunUntagged != nil {
		return *r.RunUntagged
	}
	return len(r.Tags) == 0
}

// plainDind reports whether a job speaks to its daemon without TLS.
func (r Runner) plainDind() bool { return r.Mode == Dind && r.TLS != nil && !*r.TLS }

// given reports whether the runner's token was created by hand.
func (r Runner) given() bool { return !r.Token.Empty() }
