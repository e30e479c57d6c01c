package hepta

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/yamlconfig"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// This file is the one place that decides where people, jobs and Docker clients
// find the stack: by which URLs, under which names, on which ports.

// Port is a published port of the Docker host: a number, or ADDRESS:NUMBER
// where it is published on one of the host's addresses alone.
type Port string

// Number is the port's number, 0 where the text is no port.
func (p Port) Number() int {
	_, number := yamlconfig.ParsePort(string(p))
	return number
}

// Address is the address of the Docker host, "" where all are meant.
func (p Port) Address() string {
	address, _ := yamlconfig.ParsePort(string(p))
	return address
}

func (p Port) published() converge.Port {
	return converge.Port{HostIP: p.Address(), Host: p.Number()}
}

// anywhere reports whether the port is published on every address.
func (p Port) anywhere() bool {
	ip, err := netip.ParseAddr(p.Address())
	return err != nil || ip.IsUnspecified()
}

// loopback reports whether only programs on the Docker host itself reach the
// port.
func (p Port) loopback() bool {
	ip, err := netip.ParseAddr(p.Address())
	return err == nil && ip.IsLoopback()
}

// front is how the names that the proxy publishes are reached.
type front struct {
	scheme string
	port   int
}

func (f front) url(host string) string {
	if f.port != usualPort(f.scheme) {
		host = net.JoinHostPort(host, strconv.Itoa(f.port))
	}
	return f.scheme + "://" + host
}

func usualPort(scheme string) int {
	if scheme == "http" {
		return 80
	}
	return 443
}

// frontOf is the front of a URL; ok is false where it is none.
func frontOf(address string) (f front, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return front{}, false
	}
	f = front{u.Scheme, usualPort(u.Scheme)}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		f.port = port
	}
	return f, true
}

// proxyPort is the published port on which the proxy serves its names.
func (c *Config) proxyPort() Port {
	if c.tlsMode() == traefik.TLSOff {
		return c.Traefik.HTTPPort
	}
	return c.Traefik.HTTPSPort
}

// ownFront is what the Docker host itself publishes.
func (c *Config) ownFront() front {
	scheme := "https"
	if c.tlsMode() == traefik.TLSOff {
		scheme = "http"
	}
	return front{scheme, c.proxyPort().Number()}
}

// front is what people use. Where external_url names another port, a router or
// another proxy leads that one to ours, for the registry's name as well; with
// TLS off and https in external_url it ends TLS, too. Plain http in front of our
// TLS is a contradiction: see addressNotes.
func (c *Config) front() front {
	own := c.ownFront()
	said, ok := frontOf(c.Heptapod.ExternalURL)
	if ok && (said.scheme == own.scheme || said.scheme == "https") {
		return said
	}
	return own
}

// isDirect reports whether people's address leads to the Docker host's own
// published port, with nothing in between that is known of.
func (c *Config) isDirect() bool { return c.front() == c.ownFront() }

// address is the URL of a host name that the proxy publishes.
func (c *Config) address(host string) string { return c.front().url(host) }

// externalName is the name by which people open the forge.
func (c *Config) externalName() string {
	if u, err := url.Parse(c.Heptapod.ExternalURL); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return c.Heptapod.Host
}

// forgeNames are the names of the forge: its own, and the one that external_url
// has instead.
func (c *Config) forgeNames() []string {
	var names []string
	for _, name := range []string{c.Heptapod.Host, c.externalName()} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// jobNames are the names of forge and registry.
func (c *Config) jobNames() []string {
	names := c.forgeNames()
	if c.Registry != nil && c.Registry.Host != "" {
		names = append(names, c.Registry.Host)
	}
	return names
}

// hosts are the names that the proxy publishes.
func (c *Config) hosts() []string {
	names := c.jobNames()
	if c.Traefik.Dashboard != nil && c.Traefik.Dashboard.Host != "" {
		names = append(names, c.Traefik.Dashboard.Host)
	}
	return names
}

// routes lead from the names of forge and registry to their ports in the
// forge's container. What does not ask for the registry's own name is the
// forge's there.
func (c *Config) routes(forge heptapod.Config) []traefik.Route {
	var routes []traefik.Route
	for i, name := range c.forgeNames() {
		route := traefik.Route{Name: c.Stack + "-forge", Host: name, Port: 80, HSTS: true}
		if i > 0 {
			route.Name += "-external"
		}
		routes = append(routes, route)
	}
	if c.Registry != nil && c.Registry.Host != "" {
		routes = append(routes, traefik.Route{Name: c.Stack + "-registry", Host: c.Registry.Host, Port: forge.Registry.ListenPort(), HSTS: true})
	}
	return routes
}

// registryAddress is the URL of the registry, "" when there is none.
func (c *Config) registryAddress() string {
	r := c.forgeRegistry()
	switch {
	case c.isExternal() && c.Forge.Registry == "":
		return ""
	case c.isExternal():
		f, _ := frontOf(c.Forge.URL)
		return f.scheme + "://" + c.Forge.Registry
	case r == nil:
		return ""
	case r.Host != "":
		return c.address(r.Host)
	}
	scheme := c.front().scheme
	if len(r.Certificate) > 0 || c.registryIssued() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(c.externalName(), strconv.Itoa(r.Port.Number()))
}

// registryIssued reports whether the registry's port has a certificate of the
// stack's own authority.
func (c *Config) registryIssued() bool {
	r := c.forgeRegistry()
	return r != nil && r.Port != "" && r.CertificateFile == "" && r.KeyFile == "" && len(r.Certificate)+len(r.Key) == 0 &&
		!c.isExternal() && c.tlsMode() == traefik.TLSInternal
}

// registryHost is the registry as images name it, host[:port]; "" when there is
// none.
func (c *Config) registryHost() string {
	u, err := url.Parse(c.registryAddress())
	if err != nil {
		return ""
	}
	return u.Host
}

// registryPlain reports whether the registry is without TLS.
func (c *Config) registryPlain() bool {
	u, err := url.Parse(c.registryAddress())
	return err == nil && u.Scheme == "http"
}

// pinned are names that jobs and builds are told the address of, "" for the one
// at which containers reach the Docker host: names that no DNS server need know,
// as with certificates of the stack's own or none. They are those whose public
// addresses are published on the Docker host: what another machine leads here
// is reached as DNS has it.
func (c *Config) pinned() (names []string, address string) {
	if mode := c.tlsMode(); c.isExternal() || mode != traefik.TLSInternal && mode != traefik.TLSOff || !c.isDirect() {
		return nil, ""
	}
	for _, p := range c.jobPorts() {
		if !p.anywhere() {
			address = p.Address()
		}
	}
	return c.jobNames(), address
}

// pin tells the runners which names are pinned.
func (c *Config) pin(r *runner.Config) {
	r.HostNames, r.HostAddress = c.pinned()
	// On the stack's network these names are the proxy's, whose ports are the
	// usual ones; a registry on a port of its own is not there.
	front := c.front()
	r.OnNetwork = front.port == usualPort(front.scheme) && (c.Registry == nil || c.Registry.Port == "")
}

// jobPorts are the published ports that jobs use.
func (c *Config) jobPorts() []Port {
	ports := []Port{c.proxyPort()}
	if r := c.forgeRegistry(); r != nil && r.Port != "" {
		ports = append(ports, r.Port)
	}
	return ports
}

// addressProblems are ports that cannot serve one name together.
func (c *Config) addressProblems(add adder) {
	ports := c.jobPorts()
	if len(ports) > 1 && !ports[0].anywhere() && !ports[1].anywhere() && ports[0].Address() != ports[1].Address() {
		add("registry.port", "is published on %s and the forge on %s, but both have one name, which leads to one address: publish both on the same", ports[1].Address(), ports[0].Address())
	}
}

// addressNotes tell where addresses contradict what is published here, or
// depend on what is in front.
func (c *Config) addressNotes() []string {
	if c.isExternal() {
		return nil
	}
	var notes []string
	own, front := c.ownFront(), c.front()
	if said, ok := frontOf(c.Heptapod.ExternalURL); ok && said.scheme == "http" && own.scheme == "https" {
		notes = append(notes, fmt.Sprintf("heptapod.external_url has http, and the proxy leads all http to https: write https, as in %s, or set tls: {mode: off}", own.url(c.externalName())))
	}
	switch {
	case front.scheme != own.scheme:
		text := fmt.Sprintf("heptapod.external_url has https and tls is off: another proxy in front has to end TLS for %s and lead it to port %d of the Docker host; runners and their jobs look for these names in DNS",
			strings.Join(c.publicAddresses(), " and "), own.port)
		if len(c.Heptapod.TrustedProxies) == 0 {
			text += "; name its address in heptapod.trusted_proxies, or everybody has that address"
		}
		notes = append(notes, text)
	case front.port != own.port:
		notes = append(notes, fmt.Sprintf("heptapod.external_url has port %d, which nothing publishes here: a router or another proxy has to lead it to port %d of the Docker host, for runners and their jobs as well, who look for %s in DNS. Where nothing does, set traefik.%s to %[1]d",
			front.port, own.port, strings.Join(c.jobNames(), " and "), map[string]string{"http": "http_port", "https": "https_port"}[own.scheme]))
	}
	for _, p := range c.jobPorts() {
		if p.loopback() && c.isDirect() && len(c.Runners) > 0 {
			notes = append(notes, fmt.Sprintf("port %d is published on %s, where only programs on the Docker host itself reach it: jobs do not", p.Number(), p.Address()))
		}
	}
	return notes
}

// publicAddresses are the URLs of forge and registry.
func (c *Config) publicAddresses() []string {
	list := []string{c.Heptapod.ExternalURL}
	if r := c.registryAddress(); r != "" {
		list = append(list, r)
	}
	return list
}
