package hepta

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/internal/yamlconfig"
	"github.com/heptaup/hepta/traefik"
)

// Validate says everything that is wrong with the configuration at once, as a
// *ConfigError. It looks at nothing but c.
func (c *Config) Validate() error {
	problems := yamlconfig.Check(c, nil)
	return yamlconfig.NewError("", nil, c.more(problems, nil, true))
}

// more adds to problems what is wrong between values, and with complete what
// the rooms have to say, who need the content of the files that keys name.
func (c *Config) more(problems []yamlconfig.Problem, at yamlconfig.Positions, complete bool) []yamlconfig.Problem {
	found := c.contradictions()
	if complete {
		found = append(found, c.roomProblems()...)
	}
	alone := problems
	if c.isExternal() && yamlconfig.Follows("forge", nil, alone) {
		found = nil // what may stand beside an external forge goes by what is said of it
	}
	for _, p := range found {
		p.Path = origin(p.Path, at)
		if !yamlconfig.Covered(p.Path, problems) && !yamlconfig.Follows(p.Path, at, alone) {
			problems = append(problems, p)
		}
	}
	return problems
}

// origin is where a value was written that has a short form.
func origin(path string, at yamlconfig.Positions) string {
	for long, short := range map[string]string{
		"traefik.socket": "socket", "traefik.dashboard.users": "traefik.dashboard.users_file", "traefik.ssh_port": "heptapod.ssh.port",
		"forge.url": "heptapod.external_url", "forge.token": "forge.token_file",
		"heptapod.host": "forge", "tls.email": "acme.email", "tls.provider": "acme.provider", "tls.credentials": "acme.credentials", "tls.resolvers": "acme.resolvers", "tls.challenge": "acme.challenge", "tls.server": "acme.server",
	} {
		index, below := strings.CutPrefix(path, long)
		if !below || index != "" && index[0] != '[' && index[0] != '.' {
			continue
		}
		_, isLong := at[long]
		section, _, _ := strings.Cut(short, ".")
		if _, isShort := at[section]; isShort && !isLong {
			return short + index
		}
	}
	return path
}

// contradictions are values that are right alone and wrong together.
func (c *Config) contradictions() []yamlconfig.Problem {
	var problems []yamlconfig.Problem
	add := func(path, format string, args ...any) {
		problems = append(problems, yamlconfig.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	if c.Docker.Certs != "" && !strings.HasPrefix(c.Docker.Host, "tcp://") {
		add("docker.certs", "is for docker.host with tcp://: an ssh key or a context brings its own")
	}
	if converge.IsNetworkMode(c.Network) {
		add("network", "%q is a network mode of the Engine, where containers do not find each other by name: name a network of your own, as in web", c.Network)
	}
	if p := c.Runner.Prune; p != nil && p.Keep == 0 {
		add("runner.prune.keep", "is missing: how much images and build cache may take, as in 20g")
	}
	if c.isExternal() {
		c.beside(add)
		return problems
	}
	for key, given := range map[string]bool{"token_file": c.Forge.TokenFile != "" || !c.Forge.Token.Empty(), "registry": c.Forge.Registry != ""} {
		if given {
			add("forge."+key, "is for an external forge, whose address is in forge.url")
		}
	}
	if c.Forge.Host != "" && c.Heptapod.Host != "" && c.Forge.Host != c.Heptapod.Host {
		add("forge", "%q here and %q in heptapod.host are two names for one forge", c.Forge.Host, c.Heptapod.Host)
	}
	if c.ACME != nil && c.TLS.Mode != "" && c.TLS.Mode != string(traefik.TLSACME) {
		add("acme", "contradicts tls.mode %s", c.TLS.Mode)
	}
	n := c.normal()
	var given *pki.GivenError
	if _, err := pki.Authorities(n.Runner.CA); n.bundles() && errors.As(err, &given) {
		add("runner.ca", "%s: %s", given.Why, given.Remedy)
	}
	if n.Heptapod.Host == "" {
		add("heptapod.host", "the forge's host name is missing: write forge: hg.example.org, with the name that people open")
	}
	if long := len(n.Heptapod.Host); long > converge.MaxHostname {
		add("heptapod.host", "has %d characters, and the host name of a container %d at most: give the forge a shorter name", long, converge.MaxHostname)
	}
	c.mirrorProblems(add)
	c.sessionProblems(add)
	n.cleanupProblems(add)
	n.doubleHosts(add)
	n.doublePorts(add)
	n.addressProblems(add)
	if r := n.Registry; r != nil && (r.Host == "") == (r.Port == "") && !r.mirrorAlone() {
		add("registry", "takes a host name of its own, or a port on the forge's, one of the two")
	}
	for i, r := range n.Runners {
		if r.Forge != nil && r.Forge.TokenFile == "" && r.Forge.Token.Empty() {
			add(fmt.Sprintf("runners[%d].forge", i), "needs token_file: a runner of another forge is made there and shows its token once")
		}
	}
	n.ownLabels(add)
	return problems
}

// beside is what makes no sense beside an external forge.
func (c *Config) beside(add adder) {
	for _, section := range []struct {
		key   string
		given bool
	}{
		{"forge.host", c.Forge.Host != ""}, {"acme", c.ACME != nil}, {"tls", !reflect.ValueOf(c.TLS).IsZero()},
		{"traefik", !reflect.ValueOf(c.Traefik).IsZero()}, {"heptapod", !reflect.ValueOf(c.Heptapod).IsZero()}, {"registry", c.Registry != nil && !c.Registry.mirrorAlone()},
	} {
		if section.given {
			add(section.key, "belongs to a forge of this file, but forge.url names an external one: leave one of them out")
		}
	}
	if len(c.Runners) == 0 {
		add("forge.url", "without runners there is nothing to bring up: describe them under runners")
	}
	for i, r := range c.Runners {
		given := r.Forge != nil && (r.Forge.TokenFile != "" || !r.Forge.Token.Empty())
		if given || c.Forge.TokenFile != "" || !c.Forge.Token.Empty() || c.Runner.RegistrationTokenFile != "" || !c.Runner.RegistrationToken.Empty() {
			continue
		}
		add(fmt.Sprintf("runners[%d]", i), "has to be made in the forge: give forge.token_file a token for that, or this runner's forge.token_file the token of one that is made there")
	}
	c.mirrorProblems(add)
	c.sessionProblems(add)
	c.ownLabels(add)
}

func (c *Config) ownLabels(add adder) {
	for path, labels := range map[string]map[string]string{
		"traefik.labels": c.Traefik.Labels, "heptapod.labels": c.Heptapod.Labels, "runner.labels": c.Runner.Labels,
	} {
		for key := range labels {
			if strings.HasPrefix(key, labelPrefix) {
				add(path+"."+key, "labels that begin with %s are hepta's own", labelPrefix)
			}
		}
	}
}

const labelPrefix = "hepta."

type adder func(path, format string, args ...any)

func (c *Config) doubleHosts(add adder) {
	taken := map[string]string{}
	claim := func(path, host string) {
		if host == "" {
			return
		}
		if other := taken[host]; other != "" {
			add(path, "%q is the host name of %s already", host, other)
			return
		}
		taken[host] = path
	}
	claim("heptapod.host", c.Heptapod.Host)
	if c.Registry != nil {
		claim("registry.host", c.Registry.Host)
	}
	if c.Traefik.Dashboard != nil {
		claim("traefik.dashboard.host", c.Traefik.Dashboard.Host)
	}
}

func (c *Config) doublePorts(add adder) {
	type claimed struct {
		converge.Port
		path string
	}
	var taken []claimed
	claim := func(path string, port converge.Port) {
		if port.Host == 0 {
			return
		}
		for _, other := range taken {
			if other.Overlaps(port) {
				add(path, "port %d is taken by %s", port.Host, other.path)
				return
			}
		}
		taken = append(taken, claimed{port, path})
	}
	claim("traefik.http_port", c.Traefik.HTTPPort.published())
	if c.tlsMode() != traefik.TLSOff {
		claim("traefik.https_port", c.Traefik.HTTPSPort.published())
	}
	if c.Heptapod.SSH.Via != viaNone {
		claim("heptapod.ssh.port", c.Heptapod.SSH.Port.published())
	}
	if s := c.sessionServer(); s != nil {
		claim("runner.session_server.port", s.Port.published())
	}
	if c.Registry != nil {
		claim("registry.port", c.Registry.Port.published())
		if m := c.mirror(); m != nil && m.URL == "" {
			claim("registry.mirror.port", converge.Port{HostIP: cmp.Or(m.Address, converge.HostGateway), Host: m.Port})
		}
	}
	for i, port := range c.Heptapod.Ports {
		claim(fmt.Sprintf("heptapod.ports[%d]", i), port.published())
	}
}

// problemsOf turns the faults of a room, which name the key that they are
// about, into problems of the file.
func problemsOf(room string, err error) []yamlconfig.Problem {
	if err == nil {
		return nil
	}
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		var problems []yamlconfig.Problem
		for _, e := range many.Unwrap() {
			problems = append(problems, problemsOf(room, e)...)
		}
		return problems
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return []yamlconfig.Problem{{Path: room, Text: err.Error()}}
	}
	text := f.Why
	if text == "" && f.Err != nil {
		text = f.Err.Error()
	}
	if remedy := strings.TrimSuffix(strings.TrimPrefix(f.Remedy, f.What+": "), "."); remedy != "" {
		text += ": " + remedy
	}
	return []yamlconfig.Problem{{Path: f.What, Text: text}}
}
