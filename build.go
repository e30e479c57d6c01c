package hepta

import (
	"context"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// Build builds an image on the stack's Docker host without a pipeline, with
// what the jobs of the stack's runner of that mode have, and knows the way to
// the stack's registry. What o says itself counts more.
func (s *Stack) Build(ctx context.Context, o runner.BuildOptions) (*runner.BuildResult, error) {
	if o.Socket == "" {
		o.Socket = s.cfg.Socket
	}
	if o.Image == "" {
		o.Image = s.buildImage(o.Mode)
	}
	o.Site = func(ctx context.Context, known runner.BuildRegistry) (client.APIClient, runner.BuildRegistry, error) {
		docker, err := s.docker(ctx)
		if err == nil && known.Host == "" {
			known, err = s.buildRegistry(ctx)
		}
		return docker, known, err
	}
	return runner.Build(ctx, o, runner.WithLogger(s.opts.Log), runner.WithProgress(s.opts.Progress))
}

// buildImage is what the first runner of a mode builds with; "" leaves it to
// the mode.
func (s *Stack) buildImage(mode runner.Mode) string {
	if mode == "" {
		mode = runner.Socket
	}
	for _, r := range s.cfg.runners().Runners {
		switch {
		case r.Mode != mode:
		case mode == runner.Dind:
			return r.DindImage
		default:
			return r.Image
		}
	}
	return ""
}

func (s *Stack) buildRegistry(ctx context.Context) (runner.BuildRegistry, error) {
	r := runner.BuildRegistry{Host: s.cfg.registryHost()}
	switch {
	case r.Host == "":
		return r, nil
	case s.cfg.isExternal():
		r.CA = s.cfg.authorities(nil)
		return r, nil
	}
	r.CA = s.cfg.authorities(nil)
	r.Plain = s.cfg.registryPlain()
	r.Names, r.Address = s.cfg.pinned()
	if s.cfg.tlsMode() == traefik.TLSInternal {
		ca, err := s.CACertificate(ctx)
		if err != nil {
			return r, &fault.Error{Op: "build for", What: r.Host, Why: "the stack's authority cannot be had", Remedy: "Bring the stack up first: hepta up", Err: err}
		}
		r.CA = s.cfg.authorities(ca)
	}
	return r, nil
}
