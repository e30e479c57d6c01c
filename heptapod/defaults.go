package heptapod

import (
	"cmp"
	"net"
	"net/url"
	"strconv"

	"github.com/heptaup/hepta/internal/converge"
)

// The defaults that more than one place needs.
const (
	defaultStack   = "hepta"
	defaultNetwork = "web"
	defaultBoot    = 20 // minutes
	minShm         = 256 << 20
	smtpsPort      = 465 // where RFC 8314 has TLS from the first byte
)

// dockerRanges are the private networks that Docker hands out by default.
var dockerRanges = []string{"172.16.0.0/12", "192.168.0.0/16"}

// withDefaults returns a copy in which every default is filled in. It shares
// nothing that it changes with cfg.
func (cfg Config) withDefaults() Config {
	cfg.Stack = cmp.Or(cfg.Stack, defaultStack)
	cfg.Data = cmp.Or(cfg.Data, converge.DefaultData(cfg.Stack))
	cfg.Network = cmp.Or(cfg.Network, defaultNetwork)
	cfg.Image = cmp.Or(cfg.Image, DefaultImage)
	cfg.ExternalURL = cmp.Or(cfg.ExternalURL, cfg.scheme()+"://"+cfg.Host)
	cfg.SSH.Port = cmp.Or(cfg.SSH.Port, 22)
	cfg.BootMinutes = cmp.Or(cfg.BootMinutes, defaultBoot)
	cfg.ShmSize = max(cfg.ShmSize, minShm)
	if cfg.SMTP != nil {
		m := *cfg.SMTP
		m.Port = cmp.Or(m.Port, 587)
		if m.TLS == nil {
			implied := m.Port == smtpsPort && (m.StartTLS == nil || !*m.StartTLS)
			m.TLS = &implied
		}
		if m.StartTLS == nil {
			start := !*m.TLS
			m.StartTLS = &start
		}
		if m.User != "" {
			m.Authentication = cmp.Or(m.Authentication, "login")
		}
		cfg.SMTP = &m
	}
	if cfg.Registry != nil {
		r := *cfg.Registry
		if r.ExternalURL == "" && r.Port != 0 {
			r.ExternalURL = cfg.registryScheme() + "://" + net.JoinHostPort(cfg.hostname(), strconv.Itoa(r.Port))
		}
		cfg.Registry = &r
	}
	return cfg
}

func (cfg Config) scheme() string {
	if cfg.Plain {
		return "http"
	}
	return "https"
}

func (cfg Config) registryScheme() string {
	if cfg.Registry.ownTLS() {
		return "https"
	}
	return cfg.scheme()
}

// hostname is the name under which people reach the forge, without a port.
func (cfg Config) hostname() string {
	if u, err := url.Parse(cfg.ExternalURL); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return cfg.Host
}

// registryHostname is the name under which Docker clients reach the registry.
func (cfg Config) registryHostname() string {
	if u, err := url.Parse(cfg.Registry.ExternalURL); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return cfg.hostname()
}

// ownTLS reports whether the forge's nginx ends the registry's TLS itself.
func (r *Registry) ownTLS() bool { return r.Port != 0 && (len(r.Certificate) > 0 || r.Issued) }

// listenPort is the port of the registry's nginx inside the container.
func (r *Registry) listenPort() int { return cmp.Or(r.Port, r.NginxPort, 80) }

// ListenPort is the port inside the container on which the registry answers:
// what a proxy in front of it has to be told.
func (r Registry) ListenPort() int { return r.listenPort() }
