package traefik

import (
	"cmp"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// TLSMode says where certificates come from.
type TLSMode string

// The TLS modes.
const (
	TLSACME     TLSMode = "acme"     // from an ACME server such as Let's Encrypt
	TLSInternal TLSMode = "internal" // from an authority of our own, kept in the data directory
	TLSFiles    TLSMode = "files"    // from certificate and key files that the user names
	TLSOff      TLSMode = "off"      // plain http
)

// The images that run when none is named.
const (
	DefaultImage            = "traefik:v3.6.12"
	DefaultSocketProxyImage = "haproxy:3.0.11-alpine"
)

// The challenges by which an ACME server makes sure of a host name.
const (
	ChallengeTLS  = "tls-alpn" // a handshake on port 443
	ChallengeHTTP = "http"     // a request on port 80
	ChallengeDNS  = "dns"      // a record in DNS, which a provider's API writes
)

// Config describes the proxy. The zero value of each field is its default.
type Config struct {
	Stack   string // default "hepta"
	Data    string // directory on the Docker host; default /srv/ and Stack
	Network string // default "web"
	Image   string // default DefaultImage
	Socket  string // the Engine's socket on the Docker host; default /var/run/docker.sock
	// SocketProxyImage is any image with the program haproxy; default
	// DefaultSocketProxyImage.
	SocketProxyImage string

	HTTPPort  int // published port of entrypoint web; default 80
	HTTPSPort int // published port of entrypoint websecure; default 443
	SSHPort   int // published port of the TCP entrypoint ssh; 0: no such entrypoint
	// HTTPAddress, HTTPSAddress and SSHAddress are addresses of the Docker host
	// that the ports are published on; "": on all.
	HTTPAddress, HTTPSAddress, SSHAddress string
	// PublicPort is the https port that people use, where a router or another
	// proxy in front leads one to HTTPSPort; default HTTPSPort.
	PublicPort int

	LogLevel  string // default INFO
	Dashboard Dashboard
	TLS       TLS

	// Hosts are the names that are reached through the proxy: those that
	// certificates are needed for in the modes internal and files, and, in
	// every mode, aliases of the proxy on Network, so that a container there
	// finds the forge under its public name. The dashboard's need not be said.
	Hosts []string
	// TrustedProxies are addresses or networks of proxies in front, whose
	// X-Forwarded headers are passed on.
	TrustedProxies []string
	// Flags are further static flags, "--ping.entrypoint=x"; they come last.
	Flags []string
	// Environment are further variables of the proxy. No secrets: docker inspect
	// shows them.
	Environment map[string]string
	// Labels are further container labels.
	Labels map[string]string
}

// Dashboard is Traefik's own page; off when Host is empty.
type Dashboard struct {
	Host string
	// Users are lines of an htpasswd file; bcrypt only. Required with Host.
	Users []string
}

// TLS is how the entrypoint websecure gets its certificates.
type TLS struct {
	Mode  TLSMode // default acme when Email is set, else internal
	Email string  // ACME account
	// Challenge is tls-alpn (default), http or dns.
	Challenge string
	// Provider writes the records of the challenge dns: its name in lego, such
	// as cloudflare.
	Provider string
	// Credentials are for the provider, by the names of lego's variables, such
	// as CF_DNS_API_TOKEN. They are given to Traefik in files: no label, argument
	// or variable shows them.
	Credentials map[string][]byte
	// Resolvers are DNS servers, as 192.0.2.53:53, that are asked whether the
	// record is there; default those of the Docker host.
	Resolvers []string
	CAServer  string // ACME directory; default Let's Encrypt's
	// CACertificates is a PEM bundle that Traefik trusts when it talks to CAServer.
	CACertificates []byte

	Certificate []byte // PEM, mode files
	Key         []byte // PEM, mode files; never shown
}

// Route publishes a service of a container through the proxy.
type Route struct {
	Name string // router and service name, unique on the host: "hepta-hg"
	Host string
	Port int // the container's port
	// HSTS tells browsers to ask for Host over https alone, for half a year
	// after each answer. It is left out where that could lock people out: where
	// certificates are not of a public authority or the user's (TLSInternal,
	// TLSOff), and where https has another port than 443.
	HSTS bool
}

// withDefaults gives a copy in which every default is filled in. It shares
// nothing that it changes with cfg.
func (cfg Config) withDefaults() Config {
	cfg.Stack = cmp.Or(cfg.Stack, "hepta")
	cfg.Data = cmp.Or(cfg.Data, converge.DefaultData(cfg.Stack))
	cfg.Network = cmp.Or(cfg.Network, "web")
	cfg.Image = cmp.Or(cfg.Image, DefaultImage)
	cfg.SocketProxyImage = cmp.Or(cfg.SocketProxyImage, DefaultSocketProxyImage)
	cfg.Socket = cmp.Or(cfg.Socket, "/var/run/docker.sock")
	cfg.HTTPPort = cmp.Or(cfg.HTTPPort, 80)
	cfg.HTTPSPort = cmp.Or(cfg.HTTPSPort, 443)
	cfg.PublicPort = cmp.Or(cfg.PublicPort, cfg.HTTPSPort)
	cfg.LogLevel = strings.ToUpper(cmp.Or(cfg.LogLevel, "INFO"))
	cfg.TLS.Challenge = cmp.Or(cfg.TLS.Challenge, ChallengeTLS)
	if cfg.TLS.Mode == "" {
		cfg.TLS.Mode = TLSInternal
		if cfg.TLS.Email != "" {
			cfg.TLS.Mode = TLSACME
		}
	}
	return cfg
}

// hosts are the names that are reached through the proxy, sorted, each once.
func (cfg Config) hosts() []string {
	hosts := slices.Clone(cfg.Hosts)
	if cfg.Dashboard.Host != "" {
		hosts = append(hosts, cfg.Dashboard.Host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// entrypoint is the one that services are published on.
func (cfg Config) entrypoint() string {
	if cfg.TLS.Mode == TLSOff {
		return "web"
	}
	return "websecure"
}
