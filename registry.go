package hepta

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/dockerauth"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/registry"
	"github.com/heptaup/hepta/traefik"
)

// RegistryHost is the container registry as images name it, host[:port]; ""
// when the stack has none.
func (s *Stack) RegistryHost() string { return s.cfg.registryHost() }

// registryURL is where the registry is, or an error that says how to get one.
func (s *Stack) registryURL() (string, error) {
	host := s.RegistryHost()
	if host == "" {
		return "", &fault.Error{Op: "find registry of", What: "stack " + s.cfg.Stack, Why: "it has none",
			Remedy: "Give it one in hepta.yaml, such as `registry: registry.example.org`, then run `hepta up`."}
	}
	return s.cfg.registryAddress(), nil
}

// registryRoute reaches registry and forge from here: names that do not
// resolve lead to the Engine's machine, and the stack's own authority is
// trusted where the mode internal made one.
func (s *Stack) registryRoute(ctx context.Context) (*registry.Route, error) {
	host := s.opts.Host
	if s.opts.Docker != nil {
		host = s.opts.Docker.DaemonHost()
	}
	machine, err := engine.Hostname(host)
	if err != nil {
		return nil, err
	}
	r := &registry.Route{Names: s.cfg.jobNames(), Machine: machine, Ports: map[string]string{
		"80": strconv.Itoa(s.cfg.Traefik.HTTPPort.Number()), "443": strconv.Itoa(s.cfg.Traefik.HTTPSPort.Number()),
	}}
	if front := s.cfg.front(); front.scheme == s.cfg.ownFront().scheme {
		r.Ports[strconv.Itoa(front.port)] = strconv.Itoa(s.cfg.proxyPort().Number())
	}
	if p := s.cfg.proxyPort(); !p.anywhere() && !p.loopback() {
		r.Machine = p.Address()
	}
	var own []byte
	if s.cfg.tlsMode() == traefik.TLSInternal && !s.cfg.isExternal() {
		if own, err = s.CACertificate(ctx); err != nil {
			return nil, err
		}
	}
	r.Authority = s.cfg.authorities(own)
	return r, nil
}

// RegistryCheck is for CheckRegistry.
type RegistryCheck struct {
	// Credentials and Repository, a project's path, make an image go through
	// the registry. Without them only what needs none is looked at.
	Credentials registry.Credentials
	Repository  string
}

// CheckRegistry looks at the registry as a Docker client does, through its
// public address, and with credentials pushes, pulls and removes an image.
// What is wrong is in the report.
func (s *Stack) CheckRegistry(ctx context.Context, o RegistryCheck) (*registry.Report, error) {
	address, err := s.registryURL()
	if err != nil {
		return nil, err
	}
	route, client, err := s.registryClient(ctx)
	if err != nil {
		return nil, err
	}
	forge := registry.ForForge(s.forge.URL())
	var report *registry.Report
	if o.Repository == "" {
		report, err = registry.Probe(ctx, client, address, forge)
	} else {
		report, err = registry.Check(ctx, client, address, o.Repository, o.Credentials, forge)
	}
	if report != nil {
		report.Findings = append(slices.Concat(s.wayThere(route), report.Findings), s.engineReaches(ctx))
	}
	return report, err
}

func (s *Stack) registryClient(ctx context.Context) (*registry.Route, *http.Client, error) {
	route, err := s.registryRoute(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := route.Client()
	return route, client, err
}

// wayThere tells what was needed to reach the registry from here and is not
// given to other machines.
func (s *Stack) wayThere(route *registry.Route) []registry.Finding {
	var list []registry.Finding
	for _, name := range route.Names {
		if to := route.Led(name); to != "" {
			list = append(list, registry.Finding{Check: "name resolves", OK: true, Note: true,
				Saw: "not here: " + name + " was asked at " + to + "; people and Docker daemons need the name in DNS"})
		}
	}
	if len(route.Authority) > 0 {
		list = append(list, registry.Finding{Check: "authority is known", OK: true, Note: true,
			Saw: "not to every machine: it is " + s.whose() + "; other Docker daemons need it as " + dockerauth.AuthorityFile(s.RegistryHost())})
	}
	return list
}

// whose says which authority the registry's certificate may be of.
func (s *Stack) whose() string {
	own := s.cfg.tlsMode() == traefik.TLSInternal && !s.cfg.isExternal()
	switch given := len(s.cfg.Runner.CA) > 0; {
	case own && given:
		return "the stack's own, or one of runner.ca"
	case given:
		return "that of runner.ca"
	}
	return "the stack's own"
}

// LoginRegistry proves credentials to the registry. With registry.SaveTo they
// are kept where Docker clients find them.
func (s *Stack) LoginRegistry(ctx context.Context, creds registry.Credentials, opts ...registry.LoginOption) error {
	address, err := s.registryURL()
	if err != nil {
		return err
	}
	_, client, err := s.registryClient(ctx)
	if err != nil {
		return err
	}
	return registry.Login(ctx, client, address, creds, opts...)
}

// ListRegistry asks the forge, as an administrator, what its registry holds.
func (s *Stack) ListRegistry(ctx context.Context, o registry.ListOptions) ([]registry.Repository, error) {
	if _, err := s.registryURL(); err != nil {
		return nil, err
	}
	client, err := s.forge.Client(ctx)
	if err != nil {
		return nil, err
	}
	return registry.List(ctx, client, o)
}

// RegistryMetadata says where the registry keeps what its images consist of,
// and with that who collects its garbage.
func (s *Stack) RegistryMetadata(ctx context.Context) (registry.Metadata, error) {
	if _, err := s.registryURL(); err != nil {
		return "", err
	}
	return registry.FindMetadata(ctx, s.inForge)
}

// CollectRegistry removes what no image needs. The registry stands still
// meanwhile, and so does every other change of the stack; a dry run changes
// nothing and stops nothing. What is printed goes to out as it comes. The error
// of a registry that does this by itself is registry.ErrOnline.
func (s *Stack) CollectRegistry(ctx context.Context, out io.Writer, o registry.CollectOptions) error {
	if _, err := s.registryURL(); err != nil {
		return err
	}
	if o.DryRun {
		return registry.Collect(ctx, s.inForge, out, o)
	}
	e, err := s.engine(ctx)
	if err != nil {
		return err
	}
	lock, err := e.Lock(ctx, &s.want, engine.LockOptions{Command: "registry gc"})
	if err != nil {
		return err
	}
	defer lock.Release()
	return registry.Collect(ctx, s.inForge, out, o)
}

// inForge is a registry.RunFunc.
func (s *Stack) inForge(ctx context.Context, out io.Writer, cmd ...string) (int, error) {
	return s.Exec(ctx, ExecOptions{Service: heptapod.Service, Cmd: cmd, Stdout: out, Stderr: out})
}

// PullSecret is what Kubernetes needs to pull from the stack's registry; name,
// namespaces, credentials and Flux are p's.
func (s *Stack) PullSecret(p registry.PullSecret) ([]byte, error) {
	if _, err := s.registryURL(); err != nil {
		return nil, err
	}
	p.Host, p.Insecure = s.RegistryHost(), s.cfg.registryPlain()
	p.UnknownAuthority = s.cfg.ownAuthority()
	if p.Flux != nil {
		f := *p.Flux
		f.Insecure = s.cfg.registryPlain()
		p.Flux = &f
	}
	return p.YAML()
}

// CreateDeployToken makes a token with which images of a project can be pulled,
// as registry.CreateDeployToken does.
func (s *Stack) CreateDeployToken(ctx context.Context, project, name string, ends time.Time) (registry.DeployToken, error) {
	if _, err := s.registryURL(); err != nil {
		return registry.DeployToken{}, err
	}
	client, err := s.forge.Client(ctx)
	if err != nil {
		return registry.DeployToken{}, err
	}
	return registry.CreateDeployToken(ctx, client, project, name, ends)
}
