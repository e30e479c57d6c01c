package traefik

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/pki"
)

var (
	stackName   = pattern.New(`^[a-z0-9][a-z0-9_.-]{0,62}$`)
	networkName = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	flagForm    = pattern.New(`^--[A-Za-z][^=\s]*(=.*)?$`)
	logLevels   = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "PANIC"}
)

// problems collects what is wrong with a configuration.
type problems []error

// add notes what is wrong with a key and how to put it right.
func (p *problems) add(key, remedy, why string, args ...any) {
	*p = append(*p, &fault.Error{
		Op:     "read configuration",
		What:   key,
		Why:    fmt.Sprintf(why, args...),
		Remedy: key + ": " + remedy + ".",
	})
}

// Validate says everything that is wrong with the configuration at once, each
// with the key that it is about. It looks at nothing but cfg and the time.
func (cfg Config) Validate() error { return cfg.validate(time.Now()) }

func (cfg Config) validate(now time.Time) error {
	cfg = cfg.withDefaults()
	var p problems
	p.place(cfg)
	p.ports(cfg)
	p.dashboard(cfg.Dashboard)
	p.tls(cfg, now)
	p.extras(cfg)
	return errors.Join(p...)
}

func (p *problems) place(cfg Config) {
	if !stackName().MatchString(cfg.Stack) {
		p.add("stack", "use lower case letters, digits and -, as in hepta", "%q is no stack name", cfg.Stack)
	}
	if !path.IsAbs(cfg.Data) || path.Clean(cfg.Data) == "/" {
		p.add("data", "name a directory of the Docker host, as in /srv/hepta", "%q is no absolute directory", cfg.Data)
	}
	if !networkName().MatchString(cfg.Network) {
		p.add("network", "use letters, digits and -, as in web", "%q is no network name", cfg.Network)
	}
	if cfg.Network == socketNetwork(cfg.Stack) {
		p.add("network", "take another name", "%s is the network of the proxy and the socket proxy alone", cfg.Network)
	}
	if !path.IsAbs(cfg.Socket) {
		p.add("traefik.socket", "name the Engine's socket on the Docker host, as in /var/run/docker.sock", "%q is no absolute path", cfg.Socket)
	}
	if _, err := reference.ParseNormalizedNamed(cfg.Image); err != nil {
		p.add("traefik.image", "write it as in "+DefaultImage, "%q is no image reference", cfg.Image)
	} else if why, instead := unfit(cfg.Image, ""); why != "" {
		p.add("traefik.image", "set it to "+instead, "%s: %s", cfg.Image, why)
	}
	if _, err := reference.ParseNormalizedNamed(cfg.SocketProxyImage); err != nil {
		p.add("traefik.socket_proxy_image", "write it as in "+DefaultSocketProxyImage, "%q is no image reference", cfg.SocketProxyImage)
	}
	if !slices.Contains(logLevels, cfg.LogLevel) {
		p.add("traefik.log_level", "use one of "+strings.Join(logLevels, ", "), "%q is no log level", cfg.LogLevel)
	}
	for i, host := range cfg.Hosts {
		if !isHost(host) {
			p.add(fmt.Sprintf("traefik.hosts[%d]", i), "write the bare name, without scheme, port or path, as in hg.example.org", "%q is no host name", host)
		}
	}
}

func (p *problems) ports(cfg Config) {
	keys := map[int]string{80: "traefik.http_port", 443: "traefik.https_port", 22: "traefik.ssh_port"}
	var taken []converge.Port
	for _, port := range cfg.published() {
		key := keys[port.Container]
		if port.HostIP != "" && net.ParseIP(port.HostIP) == nil {
			p.add(key, "name an address of the Docker host, as in 203.0.113.7:443", "%q is no IP address", port.HostIP)
			continue
		}
		other := slices.IndexFunc(taken, port.Overlaps)
		switch {
		case port.Host < 1 || port.Host > 65535:
			p.add(key, "use 1 to 65535", "%d is no port", port.Host)
		case other >= 0:
			p.add(key, "take another one", "port %d is %s already", port.Host, keys[taken[other].Container])
		default:
			taken = append(taken, port)
		}
	}
	if cfg.PublicPort != cfg.HTTPSPort && (cfg.PublicPort < 1 || cfg.PublicPort > 65535) {
		p.add("traefik.public_port", "use 1 to 65535", "%d is no port", cfg.PublicPort)
	}
}

var bcryptHash = pattern.New(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

func (p *problems) dashboard(d Dashboard) {
	const users = "traefik.dashboard.users"
	if d.Host == "" {
		if len(d.Users) > 0 {
			p.add("traefik.dashboard.host", "name the dashboard's own host, or leave the users out", "there are users and no host")
		}
		return
	}
	if !isHost(d.Host) {
		p.add("traefik.dashboard.host", "write the bare name, as in monitor.example.org", "%q is no host name", d.Host)
	}
	if len(d.Users) == 0 {
		p.add(users, "make a line with `htpasswd -nB NAME`", "the dashboard shows the whole forge and has no users")
	}
	other := false // a file of another kind is no such line in each of its lines
	for i, line := range d.Users {
		why, remedy := wrongUser(line)
		if why == "" || other && why == noUser {
			continue
		}
		other = other || why == noUser
		p.add(fmt.Sprintf("%s[%d]", users, i), remedy, "%s", why)
	}
}

const noUser = "it is no line NAME:HASH"

// wrongUser says why a line is not one of an htpasswd file that is taken.
func wrongUser(line string) (why, remedy string) {
	const anew = "make the line with `htpasswd -nB NAME`"
	name, hash, split := strings.Cut(line, ":")
	switch {
	case !split || name == "" || len(name) > 255 || strings.ContainsFunc(name, isControl) || !utf8.ValidString(name):
		return noUser, anew
	case strings.HasPrefix(hash, "$apr1$"), strings.HasPrefix(hash, "$1$"), strings.HasPrefix(hash, "{SHA}"):
		return fmt.Sprintf("the password of %q is hashed with MD5 or SHA-1, which are quickly guessed; only bcrypt is taken", name), anew
	case strings.HasPrefix(hash, "$$2"):
		return fmt.Sprintf("the hash of %q has doubled $", name), "write each $ once: the doubled one belongs to compose files"
	case !bcryptHash().MatchString(hash):
		return fmt.Sprintf("what follows %q: is no bcrypt hash", name), anew
	}
	return "", ""
}

func (p *problems) tls(cfg Config, now time.Time) {
	t := cfg.TLS
	switch t.Mode {
	case TLSOff:
	case TLSACME:
		p.acme(cfg)
	case TLSInternal:
		if len(cfg.hosts()) == 0 {
			p.add("traefik.hosts", "name the hosts that the certificate is for", "there is no host to make a certificate for")
		}
	case TLSFiles:
		p.files(cfg, now)
	default:
		p.add("tls.mode", "use acme, internal, files or off", "%q is unknown", t.Mode)
	}
	if t.Mode != TLSFiles && len(t.Certificate)+len(t.Key) > 0 {
		p.add("tls.certificate", "set tls.mode to files, or leave certificate and key out", "there is a certificate and tls.mode is %s", t.Mode)
	}
}

func (p *problems) acme(cfg Config) {
	t := cfg.TLS
	switch name, host, ok := strings.Cut(t.Email, "@"); {
	case t.Email == "":
		p.add("tls.email", "name the address that the ACME server may write to", "the ACME account has no address")
	case !ok || name == "" || !isHost(host) || strings.ContainsAny(name, " \t\r\n<>"):
		p.add("tls.email", "write it as in admin@example.org", "%q is no mail address", t.Email)
	}
	p.challenge(cfg)
	if t.CAServer != "" {
		if u, err := url.Parse(t.CAServer); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			p.add("tls.server", "name the ACME directory, as in https://acme-staging-v02.api.letsencrypt.org/directory", "it is no https URL")
		}
	}
	var given *pki.GivenError
	if _, err := pki.Authorities(t.CACertificates); len(t.CACertificates) > 0 && errors.As(err, &given) {
		p.add("tls.ca", given.Remedy, "%s", given.Why)
	}
	for _, host := range cfg.hosts() {
		if isAddress(host) {
			p.add("tls.mode", "give the host a name, or set tls.mode to internal", "an ACME server makes no certificate for the address %s", host)
		}
	}
}

var (
	variableName = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	providerName = pattern.New(`^[a-z0-9][a-z0-9.-]*$`)
)

func (p *problems) challenge(cfg Config) {
	t := cfg.TLS
	switch t.Challenge {
	case ChallengeTLS, ChallengeHTTP:
		for key, given := range map[string]bool{"provider": t.Provider != "", "credentials": len(t.Credentials) > 0, "resolvers": len(t.Resolvers) > 0} {
			if given {
				p.add("tls."+key, "set tls.challenge to dns, or leave it out", "it is for the challenge dns, and tls.challenge is %s", t.Challenge)
			}
		}
		return
	case ChallengeDNS:
	default:
		p.add("tls.challenge", "use tls-alpn, http or dns", "%q is unknown", t.Challenge)
		return
	}
	if !providerName().MatchString(t.Provider) {
		why := fmt.Sprintf("%q is no name of a DNS provider", t.Provider)
		if t.Provider == "" {
			why = "the challenge dns needs one"
		}
		p.add("tls.provider", "name who serves the domain, as https://go-acme.github.io/lego/dns does: cloudflare, ovh, rfc2136", "%s", why)
	}
	for i, server := range t.Resolvers {
		if host, port, err := net.SplitHostPort(server); err != nil || host == "" || port == "" || strings.ContainsAny(server, ", ") {
			p.add(fmt.Sprintf("tls.resolvers[%d]", i), "write it as in 192.0.2.53:53", "%q is no address of a DNS server", server)
		}
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(t.Credentials)) {
		bare, key := strings.TrimSuffix(name, fileSuffix), "tls.credentials."+name
		_, plain := cfg.Environment[bare]
		_, file := cfg.Environment[bare+fileSuffix]
		switch {
		case !variableName().MatchString(bare):
			p.add(key, "use the name in https://go-acme.github.io/lego/dns, as in CF_DNS_API_TOKEN", "%q is no name of a variable", name)
		case seen[bare]:
			p.add(key, "name it once", "%s is there twice", bare)
		case plain || file:
			p.add(key, "leave it out of traefik.environment, which docker inspect shows", "%s is set in traefik.environment, too", bare)
		case len(bytes.TrimSpace(t.Credentials[name])) == 0:
			p.add(key, "name the file that holds it", "it is empty")
		}
		seen[bare] = true
	}
}

func (p *problems) files(cfg Config, now time.Time) {
	t, hosts := cfg.TLS, cfg.hosts()
	switch {
	case len(bytes.TrimSpace(t.Certificate)) == 0:
		p.add("tls.certificate", "name the file of the certificate with its chain", "there is none")
		return
	case len(bytes.TrimSpace(t.Key)) == 0:
		p.add("tls.key", "name the file of the certificate's key", "there is none")
		return
	}
	err := pki.Check(t.Certificate, t.Key, hosts, now)
	var given *pki.GivenError
	switch {
	case err == nil:
	case errors.As(err, &given) && given.Key:
		p.add("tls.key", given.Remedy, "%v", err)
	case errors.As(err, &given):
		p.add("tls.certificate", given.Remedy, "%v", err)
	case errors.Is(err, pki.ErrMismatch):
		p.add("tls.key", "name the key that the certificate was made for", "%v", err)
	case errors.Is(err, pki.ErrHost):
		p.add("tls.certificate", "get a certificate for all of "+strings.Join(hosts, ", "), "%v", err)
	case errors.Is(err, pki.ErrExpired):
		p.add("tls.certificate", "get a new one, or check the clock", "%v", err)
	default:
		p.add("tls.certificate", "name a PEM file", "%v", err)
	}
}

func (p *problems) extras(cfg Config) {
	for i, flag := range cfg.Flags {
		if !flagForm().MatchString(flag) || strings.ContainsFunc(flag, isControl) {
			p.add(fmt.Sprintf("traefik.flags[%d]", i), "write each as one entry with its value, as in --ping.entrypoint=web", "it is no flag") // and may be the secret of the one before
		}
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.Environment)) {
		if !variableName().MatchString(key) || strings.ContainsRune(cfg.Environment[key], 0) {
			p.add("traefik.environment."+key, "use letters, digits and _", "%q is no name of a variable, or its value has a NUL", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.Labels)) {
		if strings.HasPrefix(key, converge.LabelPrefix) {
			p.add("traefik.labels."+key, "take another prefix", "labels that begin with %s are kept for the program itself", converge.LabelPrefix)
		}
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
