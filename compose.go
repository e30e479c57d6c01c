package hepta

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/internal/wiring"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// compose puts the rooms together: who publishes what, who waits for whom,
// who trusts which authority.
func (s *Stack) compose(opts []Option) error {
	if s.cfg.isExternal() {
		return s.composeAlone(opts)
	}
	described, front := s.cfg.forge(), s.cfg.traefik()
	proxy, err := traefik.New(front, opts...)
	if err != nil {
		return err
	}
	s.proxy = proxy
	if described.Labels, err = s.publish(front, described); err != nil {
		return err
	}
	if s.forge, err = heptapod.New(described, append(slices.Clone(opts), WithHost(s.opts.Host), wiring.WithDial(s.docker))...); err != nil {
		return err
	}
	forge, err := resources(s.forge)
	if err != nil {
		return err
	}
	gate, err := resources(proxy)
	if err != nil {
		return err
	}
	s.want = s.bare()
	s.routed(&gate.Containers[0], &forge.Containers[0])
	s.add(gate)
	s.add(forge)
	// Without any there may be some of before that have to leave the forge.
	runners, err := s.runners(s.api)
	if err != nil {
		return err
	}
	if err := s.addPart(runners); err != nil {
		return err
	}
	s.trust()
	s.addCleanup()
	return s.addMirror()
}

// composeAlone is a stack of runners for an external forge.
func (s *Stack) composeAlone(opts []Option) (err error) {
	if s.forge, err = heptapod.New(s.cfg.forge(), append(slices.Clone(opts), WithHost(s.opts.Host), wiring.WithDial(s.docker))...); err != nil {
		return err
	}
	runners, err := s.runners(s.api)
	if err != nil {
		return err
	}
	s.want = s.bare()
	if err := s.addPart(runners); err != nil {
		return err
	}
	return s.addMirror()
}

// bare is the stack before any room has added its part.
func (s *Stack) bare() converge.Stack {
	return converge.Stack{Name: s.cfg.Stack, Data: s.cfg.Data, SharedWith: s.cfg.ShareDataWith, Warn: []func(*converge.Observed) []string{s.warnings}}
}

// runners are the stack's runners. The forge of the stack is asked through its
// container, by api; one elsewhere by its address.
func (s *Stack) runners(api runner.Connect) (*runner.Runners, error) {
	opts := []runner.Option{runner.WithLogger(s.opts.Log), runner.WithProgress(s.opts.Progress)}
	if !s.cfg.isExternal() {
		opts = append(opts, runner.WithAPI(api))
	}
	return runner.New(s.cfg.runners(), opts...)
}

// resources are what a part contributes to a stack.
func resources(p Part) (converge.Stack, error) {
	r, err := p.Resources()
	return opaque.Show(r).Stack, err
}

func (s *Stack) addPart(p Part) error {
	part, err := resources(p)
	s.add(part)
	return err
}

// add takes a room's part over.
func (s *Stack) add(part converge.Stack) { addTo(&s.want, part) }

// addTo takes a part over; the network is everybody's.
func addTo(s *converge.Stack, part converge.Stack) {
	part.Networks = slices.DeleteFunc(slices.Clone(part.Networks), func(n converge.Network) bool {
		return slices.ContainsFunc(s.Networks, func(m converge.Network) bool { return m.Name == n.Name })
	})
	s.Add(part)
}

// publish are the labels under which the proxy finds the forge and its registry.
func (s *Stack) publish(front traefik.Config, forge heptapod.Config) (map[string]string, error) {
	routes := s.cfg.routes(forge)
	for _, r := range routes {
		if err := r.Validate(); err != nil {
			return nil, err
		}
	}
	labels := traefik.Labels(front, routes...)
	if s.cfg.Heptapod.SSH.Via == viaTraefik {
		maps.Copy(labels, traefik.SSHLabels(front, s.cfg.Stack+"-ssh", 22))
	}
	maps.Copy(labels, forge.Labels)
	return labels, nil
}

// api is the forge's API as its runners need it, through its container: it
// is there before any name of it is known to a DNS server. The stack's lock is
// held.
func (s *Stack) api(ctx context.Context, host runner.Host) (runner.API, error) {
	client, err := s.forge.ClientOn(ctx, host)
	if err != nil {
		return nil, err
	}
	return runner.NewAPI(client), nil
}

// unlockedAPI is api for who does not hold the stack's lock.
func (s *Stack) unlockedAPI(ctx context.Context, _ runner.Host) (runner.API, error) {
	client, err := s.forge.Client(ctx)
	if err != nil {
		return nil, err
	}
	return runner.NewAPI(client), nil
}

// leaf is the file that waits for the certificate, nil where none is issued.
func (s *Stack) leaf() *converge.File {
	for i := range s.want.Files {
		if f := &s.want.Files[i]; f.Merge != nil && slices.Contains(f.After, traefik.CertificateRef) {
			return f
		}
	}
	return nil
}

// CACertificate is the certificate, in PEM, of the authority that the TLS mode
// internal has made: what a client has to trust.
func (s *Stack) CACertificate(ctx context.Context) ([]byte, error) {
	if s.cfg.isExternal() {
		return nil, fmt.Errorf("read authority: the forge is external, at %s", s.cfg.Forge.URL)
	}
	leaf := s.leaf()
	if leaf == nil {
		return nil, fmt.Errorf("read authority: stack %s has none in tls mode %s", s.cfg.Stack, s.cfg.TLS.Mode)
	}
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	o, err := e.Observe(ctx, &s.want)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	root := pki.RootOf(o.Files[leaf.Path].Content)
	if len(root) == 0 {
		return nil, &fault.Error{Op: "read authority of", What: s.cfg.Stack, Why: "no certificate has been issued yet", Remedy: "Start the stack: hepta up"}
	}
	return root, nil
}
