package hepta

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/yamlconfig"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// How ssh reaches the forge.
const (
	viaHost    = "host"
	viaTraefik = "traefik"
	viaNone    = "none"
)

// The functions below say a normal configuration in the words of each room.

func (c *Config) traefik() traefik.Config {
	t := traefik.Config{
		Stack: c.Stack, Data: c.Data, Network: c.Network,
		Image: c.Traefik.Image, SocketProxyImage: c.Traefik.SocketProxyImage, Socket: c.Socket, HTTPPort: c.Traefik.HTTPPort.Number(), HTTPSPort: c.Traefik.HTTPSPort.Number(),
		HTTPAddress: c.Traefik.HTTPPort.Address(), HTTPSAddress: c.Traefik.HTTPSPort.Address(),
		TrustedProxies: c.Heptapod.TrustedProxies,
		LogLevel:       c.Traefik.LogLevel, Flags: c.Traefik.Flags, Environment: c.Traefik.Environment, Labels: c.Traefik.Labels,
		Hosts: c.hosts(),
		TLS: traefik.TLS{
			Mode: c.tlsMode(), Email: c.TLS.Email, Challenge: c.TLS.Challenge,
			Provider: c.TLS.Provider, Credentials: c.TLS.Credentials, Resolvers: c.TLS.Resolvers,
			CAServer: c.TLS.Server, CACertificates: c.TLS.CA,
			Certificate: c.TLS.Certificate, Key: c.TLS.Key,
		},
	}
	if d := c.Traefik.Dashboard; d != nil {
		t.Dashboard = traefik.Dashboard{Host: d.Host, Users: d.Users}
	}
	if c.Heptapod.SSH.Via == viaTraefik {
		t.SSHPort, t.SSHAddress = c.Heptapod.SSH.Port.Number(), c.Heptapod.SSH.Port.Address()
	}
	if t.TLS.Mode != traefik.TLSOff {
		t.PublicPort = c.front().port
	}
	return t
}

func (c *Config) forge() heptapod.Config {
	if c.isExternal() {
		u, err := url.Parse(c.Forge.URL)
		if err != nil {
			u = &url.URL{}
		}
		return heptapod.Config{Stack: c.Stack, Data: c.Data, Network: c.Network, Host: u.Hostname(), ExternalURL: c.Forge.URL, Plain: u.Scheme == "http"}
	}
	h := c.Heptapod
	f := heptapod.Config{
		Stack: c.Stack, Data: c.Data, Network: c.Network,
		Image: h.Image, Host: h.Host, ExternalURL: h.ExternalURL,
		Plain:    c.tlsMode() == traefik.TLSOff,
		Services: h.Services, TrustedProxies: h.TrustedProxies, RackAttackAllow: h.RackAttackAllow,
		RackAttackMaxRetry: h.RackAttackMaxRetry, RackAttackFindTime: h.RackAttackFindTime, RackAttackBanTime: h.RackAttackBanTime,
		Ruby: h.GitlabRB, RootPassword: h.RootPassword, RootEmail: h.RootEmail,
		Env: h.Env, Labels: h.Labels, Volumes: h.Volumes,
		ShmSize: h.ShmSize, Memory: h.Memory, BootMinutes: h.BootMinutes,
	}
	for _, p := range h.Ports {
		f.Ports = append(f.Ports, heptapod.Port{Address: p.Address(), Number: p.Number()})
	}
	switch h.SSH.Via {
	case viaNone:
		f.SSH = heptapod.SSH{Off: true}
	default:
		f.SSH = heptapod.SSH{Port: h.SSH.Port.Number(), Address: h.SSH.Port.Address(), ViaProxy: h.SSH.Via == viaTraefik}
	}
	if m := h.SMTP; m != nil {
		f.SMTP = &heptapod.SMTP{
			Address: m.Address, Port: m.Port, User: m.User, Password: m.Password, Domain: m.Domain,
			Authentication: m.Authentication, StartTLS: m.StartTLS, TLS: m.TLS, CA: m.CA,
			From: m.From, ReplyTo: m.ReplyTo, DisplayName: m.DisplayName,
		}
	}
	if r := c.forgeRegistry(); r != nil {
		f.Registry = &heptapod.Registry{ExternalURL: c.registryAddress(), Port: r.Port.Number(), Address: r.Port.Address(),
			Certificate: r.Certificate, Key: r.Key, Issued: c.registryIssued(), Path: r.Path, TokenMinutes: r.TokenMinutes, NginxPort: r.NginxPort}
	}
	return f
}

func (c *Config) runners() runner.Config {
	r := runner.Config{
		Stack: c.Stack, Data: c.Data, Network: c.Network,
		Image: c.Runner.Image, HelperImage: c.Runner.HelperImage,
		Concurrent: c.Runner.Concurrent, CheckInterval: c.Runner.CheckInterval, DrainSeconds: c.Runner.DrainSeconds, JobNetworks: c.Runner.JobNetworks,
		Socket: c.Socket, Labels: c.Runner.Labels, CA: c.Runner.CA, ExtraHosts: c.Runner.ExtraHosts, Environment: c.Runner.Environment,
		Forge:   runner.Forge{URL: c.Heptapod.ExternalURL, RegistrationToken: c.Runner.RegistrationToken},
		After:   []string{"container:" + heptapod.Service, string(heptapod.RefToken)},
		Through: []string{"container:" + traefik.Service},
	}
	if c.isExternal() {
		r.Forge.URL, r.Forge.Token, r.After, r.Through = c.Forge.URL, c.Forge.Token, nil, nil
	}
	if host := c.registryHost(); host != "" {
		r.RegistryHosts, r.Registries = []string{host}, []string{c.registryAddress()}
	}
	if !c.isExternal() && c.tlsMode() == traefik.TLSInternal {
		r.CA, r.CAFile = nil, runnerCAFile // which trust writes
	}
	c.pin(&r)
	if m := c.mirror(); m != nil {
		r.Mirror = m.address()
	}
	if s := c.sessionServer(); s != nil {
		r.SessionServer = &runner.SessionServer{Host: s.Host, Port: s.Port.Number(), HostIP: s.Port.Address(), Timeout: s.Timeout}
	}
	for _, x := range c.Runners {
		r.Runners = append(r.Runners, x.room())
	}
	return r
}

func (x Runner) room() runner.Runner {
	r := runner.Runner{
		Name: x.Name, Mode: runner.Mode(x.Mode), Tags: slices.Clone(x.Tags), RunUntagged: x.RunUntagged,
		Locked: x.Locked, Paused: x.Paused, AccessLevel: x.AccessLevel, MaximumTimeout: x.MaximumTimeout,
		Concurrent: x.Concurrent, Image: x.Image, DindImage: x.DindImage,
		BuildCache: x.BuildCache, TLS: x.TLS, AllowedImages: x.AllowedImages, AllowedServices: x.AllowedServices,
		Group: int64(x.Group), Project: int64(x.Project),
		Environment: x.Environment, Settings: x.Settings, Docker: x.Docker,
	}
	if x.Forge != nil {
		r.Token, r.URL = x.Forge.Token, x.Forge.URL
	}
	return r
}

// roomProblems is what the rooms have to say about a configuration.
func (c *Config) roomProblems() []yamlconfig.Problem {
	n := c.normal()
	if n.Heptapod.Host == "" && !n.isExternal() {
		return nil // without a name nothing else about the stack can be told
	}
	var problems []yamlconfig.Problem
	if !n.isExternal() {
		problems = problemsOf("traefik", n.traefik().Validate())
		problems = append(problems, problemsOf("heptapod", n.forge().Validate())...)
	}
	if len(n.Runners) > 0 {
		for _, p := range problemsOf("runners", n.runners().Validate()) {
			p.Path = n.byNumber(p.Path)
			problems = append(problems, p)
		}
	}
	return problems
}

// byNumber is the place in the file of what a room says by a runner's name.
func (c *Config) byNumber(path string) string {
	found, longest := path, -1 // a name may begin like another one
	for i, x := range c.Runners {
		if rest, ok := strings.CutPrefix(path, "runners["+x.Name+"]"); ok && len(x.Name) > longest {
			found, longest = fmt.Sprintf("runners[%d]%s", i, rest), len(x.Name)
		}
	}
	return found
}
