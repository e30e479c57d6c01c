package hepta

import (
	"cmp"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/internal/yamlconfig"
	"github.com/heptaup/hepta/traefik"
)

// normal is a copy of the configuration in which the short forms are written
// out and every default of the tags is filled in. It is the only place where
// that happens; the images and what else a room decides stay with the room.
func (c *Config) normal() *Config {
	n := *c
	if n.Registry != nil {
		r := *n.Registry
		n.Registry = &r
		if r.Mirror != nil {
			m := *r.Mirror
			n.Registry.Mirror = &m
		}
		if r.Cleanup != nil {
			c := *r.Cleanup
			n.Registry.Cleanup = &c
		}
	}
	if n.Heptapod.SMTP != nil {
		m := *n.Heptapod.SMTP
		n.Heptapod.SMTP = &m
	}
	if n.Traefik.Dashboard != nil {
		d := *n.Traefik.Dashboard
		n.Traefik.Dashboard = &d
	}
	if n.Runner.Prune != nil {
		p := *n.Runner.Prune
		n.Runner.Prune = &p
	}
	n.Runners = slices.Clone(n.Runners)
	if s := n.Runner.SessionServer; s != nil {
		own := *s
		if n.isExternal() {
			own.Port = cmp.Or(own.Port, "8093")
		}
		n.Runner.SessionServer = &own
	}

	n.Heptapod.Host = cmp.Or(n.Heptapod.Host, n.Forge.Host)
	n.Forge.Host = n.Heptapod.Host
	n.Forge.URL = strings.TrimRight(n.Forge.URL, "/")
	if a := n.ACME; a != nil {
		n.TLS.Mode = cmp.Or(n.TLS.Mode, string(traefik.TLSACME))
		n.TLS.Email = cmp.Or(n.TLS.Email, a.Email)
		n.TLS.Challenge = cmp.Or(n.TLS.Challenge, a.Challenge)
		n.TLS.Server = cmp.Or(n.TLS.Server, a.Server)
		n.TLS.Provider = cmp.Or(n.TLS.Provider, a.Provider)
		if len(n.TLS.Credentials)+len(n.TLS.CredentialFiles) == 0 {
			n.TLS.CredentialFiles, n.TLS.Credentials = a.CredentialFiles, a.Credentials
		}
		if len(n.TLS.Resolvers) == 0 {
			n.TLS.Resolvers = a.Resolvers
		}
		n.ACME = nil
	}
	if n.TLS.Mode == "" {
		n.TLS.Mode = string(traefik.TLSInternal)
		if n.TLS.Email != "" {
			n.TLS.Mode = string(traefik.TLSACME)
		}
	}
	if len(n.Runner.CA) > 0 {
		n.Runner.CA = pki.AuthoritiesOr(n.Runner.CA)
	}
	yamlconfig.SetDefaults(&n)
	n.Data = cmp.Or(n.Data, converge.DefaultData(n.Stack))
	if n.Heptapod.Host != "" {
		n.Heptapod.ExternalURL = cmp.Or(n.Heptapod.ExternalURL, n.address(n.Heptapod.Host))
	}
	return &n
}

// isExternal reports whether the forge is another's, and only its runners are ours.
func (c *Config) isExternal() bool { return c.Forge.URL != "" }

// forgeRegistry is the forge's own registry, nil where it has none.
func (c *Config) forgeRegistry() *Registry {
	if r := c.Registry; r != nil && (r.Host != "" || r.Port != "") {
		return r
	}
	return nil
}

// mirror is the mirror of Docker Hub, nil where there is none.
func (c *Config) mirror() *Mirror {
	if c.Registry == nil || c.Registry.Mirror == nil || c.Registry.Mirror.Enabled != nil && !*c.Registry.Mirror.Enabled {
		return nil
	}
	return c.Registry.Mirror
}

// sessionServer is nil where the forge opens no terminals.
func (c *Config) sessionServer() *SessionServer {
	s := c.Runner.SessionServer
	if s == nil || s.Enabled != nil && !*s.Enabled || len(c.Runners) == 0 {
		return nil
	}
	return s
}

// sessionProblems is what a session server lacks.
func (c *Config) sessionProblems(add adder) {
	if s := c.sessionServer(); s != nil && s.Host == "" && (c.isExternal() || s.Port != "") {
		add("runner.session_server.host", "is missing: give the name of the Docker host by which the forge reaches the runner")
	}
}

// tlsMode is where certificates come from, in a normal configuration.
func (c *Config) tlsMode() traefik.TLSMode { return traefik.TLSMode(c.TLS.Mode) }
