package heptapod

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/pki"
)

const minMemory = 3584 << 20 // below that the forge is killed while it boots

var (
	stackName   = pattern.New(`^[a-z0-9][a-z0-9_.-]{0,62}$`)
	networkName = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	rubyName    = pattern.New(`^[a-z][a-z0-9_]*$`)
	envName     = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	hostLabel   = pattern.New(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
)

// problems collects what is wrong with a configuration.
type problems []error

// add notes what is wrong with a key; format and args say why.
func (p *problems) add(key, format, remedy string, args ...any) {
	*p = append(*p, &fault.Error{
		Op:     "read configuration",
		What:   key,
		Why:    fmt.Sprintf(format, args...),
		Remedy: key + ": " + remedy + ".",
	})
}

// Validate says everything that is wrong with the configuration at once, each
// with the key that it is about. It looks at nothing but cfg and the time.
func (cfg Config) Validate() error {
	var p problems
	p.place(cfg)
	p.names(cfg)
	p.ssh(cfg)
	p.mail(cfg.SMTP)
	p.registry(cfg)
	p.ports(cfg)
	p.volumes(cfg)
	p.services(cfg)
	p.secrets(cfg)
	p.removed(cfg)
	return errors.Join(p...)
}

func (p *problems) place(cfg Config) {
	if cfg.Stack != "" && !stackName().MatchString(cfg.Stack) {
		p.add("stack", "%q is no stack name", "use lower case letters, digits and -, as in hepta", cfg.Stack)
	}
	if cfg.Data != "" && (!path.IsAbs(cfg.Data) || path.Clean(cfg.Data) == "/") {
		p.add("data", "%q is no absolute directory", "name a directory of the Docker host, as in /srv/hepta", cfg.Data)
	}
	if cfg.Network != "" && !networkName().MatchString(cfg.Network) {
		p.add("network", "%q is no network name", "use letters, digits and -, as in web", cfg.Network)
	}
	if cfg.Image != "" {
		if _, err := ParseVersion(cfg.Image); err != nil {
			p.add("heptapod.image", "%q is no image reference", "write it as in "+DefaultImage, cfg.Image)
		}
	}
	if cfg.ShmSize < 0 {
		p.add("heptapod.shm_size", "%d is negative", "leave it out for 256 MiB", cfg.ShmSize)
	}
	if cfg.Memory != 0 && cfg.Memory < minMemory {
		p.add("heptapod.memory", "%d MiB are not enough: the forge would be killed while it boots",
			"give it 3584 MiB at the very least, better 8 GiB, or leave the limit out", cfg.Memory>>20)
	}
	if cfg.BootMinutes < 0 {
		p.add("heptapod.boot_minutes", "%d is negative", "leave it out for 20 minutes", cfg.BootMinutes)
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.Env)) {
		if !envName().MatchString(key) {
			p.add("heptapod.env."+key, "%q is no name of a variable", "use letters, digits and _", key)
		} else if key == "GITLAB_ROOT_PASSWORD" {
			p.add("heptapod.env."+key, "an environment variable shows in docker inspect", "set heptapod.root_password_file instead")
		} else if key == "GITLAB_OMNIBUS_CONFIG" {
			p.add("heptapod.env."+key, "gitlab.rb, which is written here, has the last word over it, and docker inspect shows it", "move its lines to heptapod.gitlab_rb")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.Labels)) {
		if strings.HasPrefix(key, converge.LabelPrefix) {
			p.add("heptapod.labels."+key, "labels that begin with %s are kept for the program itself", "take another prefix", converge.LabelPrefix)
		}
	}
}

func (p *problems) names(cfg Config) {
	switch {
	case cfg.Host == "" && cfg.ExternalURL == "":
		p.add("heptapod.host", "the forge's host name is missing", "set forge (or heptapod.host) to the name that people open, as in hg.example.org")
	case cfg.Host == "":
		p.add("heptapod.host", "there is an external URL and no host", "set the host as well: the proxy and the certificate go by it")
	case !isHost(cfg.Host):
		p.add("heptapod.host", "%q is no host name", "write the bare name, without scheme, port or path, as in hg.example.org", cfg.Host)
	}
	if cfg.ExternalURL != "" {
		p.url("heptapod.external_url", cfg.ExternalURL)
	}
	for i, text := range cfg.TrustedProxies {
		p.address(fmt.Sprintf("heptapod.trusted_proxies[%d]", i), text)
	}
	for i, text := range cfg.RackAttackAllow {
		p.address(fmt.Sprintf("heptapod.rack_attack_allow[%d]", i), text)
	}
	for _, l := range []struct {
		key   string
		value int
	}{{"maxretry", cfg.RackAttackMaxRetry}, {"findtime", cfg.RackAttackFindTime}, {"bantime", cfg.RackAttackBanTime}} {
		if l.value < 0 {
			p.add("heptapod.rack_attack_"+l.key, "%d is below 1", "take a number from 1, or leave it out", l.value)
		}
	}
	p.mailAddress("heptapod.root_email", cfg.RootEmail)
}

func (p *problems) ssh(cfg Config) {
	if cfg.SSH.Off && cfg.SSH.ViaProxy {
		p.add("heptapod.ssh", "ssh is off and led through the proxy at once", "take either")
	}
}

func (p *problems) mail(m *SMTP) {
	if m == nil {
		return
	}
	if !isHost(m.Address) {
		p.add("heptapod.smtp.address", "%q is no host name", "name the mail relay, as in smtp.example.org", m.Address)
	}
	p.port("heptapod.smtp.port", m.Port, true)
	if !slices.Contains([]string{"", "plain", "login", "cram_md5"}, m.Authentication) {
		p.add("heptapod.smtp.authentication", "%q is unknown", "use plain, login or cram_md5", m.Authentication)
	}
	if m.TLS != nil && *m.TLS && m.StartTLS != nil && *m.StartTLS {
		p.add("heptapod.smtp.tls", "tls and starttls exclude each other", "port 465 wants tls, port 587 wants starttls")
	}
	if !m.Password.Empty() && m.User == "" {
		p.add("heptapod.smtp.user", "there is a password and no user", "name the user, or leave the password out")
	}
	var given *pki.GivenError
	if _, err := pki.Authorities(m.CA); len(m.CA) > 0 && errors.As(err, &given) {
		p.add("heptapod.smtp.ca", "%s", given.Remedy, given.Why)
	}
	p.oneLine("heptapod.smtp.password_file", m.Password)
	p.mailAddress("heptapod.smtp.from", m.From)
	p.mailAddress("heptapod.smtp.reply_to", m.ReplyTo)
}

func (p *problems) registry(cfg Config) {
	r := cfg.Registry
	if r == nil {
		return
	}
	if r.ExternalURL == "" && r.Port == 0 {
		p.add("registry", "the registry has neither a name nor a port", "set registry.host to a name of its own, or registry.port for a port on the forge's name")
	}
	if r.ExternalURL != "" {
		p.url("registry.host", r.ExternalURL)
	}
	p.port("registry.nginx_port", r.NginxPort, true)
	switch r.Port {
	case 22, 80:
		p.add("registry.port", "port %d inside the container belongs to the forge itself", "take another one, as in 5050", r.Port)
	}
	if r.NginxPort == 22 {
		p.add("registry.nginx_port", "port 22 inside the container belongs to ssh", "take another one, as in 5050")
	}
	if r.Port != 0 && r.NginxPort != 0 && r.Port != r.NginxPort {
		p.add("registry.nginx_port", "a registry on a port of its own answers on that port", "leave nginx_port out")
	}
	if r.TokenMinutes < 0 {
		p.add("registry.token_minutes", "%d is no time", "give minutes, or leave it out", r.TokenMinutes)
	}
	hasCert, hasKey := len(bytes.TrimSpace(r.Certificate)) > 0, len(bytes.TrimSpace(r.Key)) > 0
	switch {
	case hasCert != hasKey:
		p.add("registry.certificate", "certificate and key belong together", "name both files or neither")
	case hasCert && r.Port == 0:
		p.add("registry.certificate", "a certificate without a port: the proxy ends the TLS of a registry on a name of its own", "set registry.port, or leave the files out")
	case hasCert:
		p.certificate(cfg.registryHostname(), r)
	case r.Port != 0 && !r.Issued && !cfg.Plain && !strings.HasPrefix(r.ExternalURL, "http://"):
		p.add("registry.certificate", "a registry on a port of its own needs a certificate", "name registry.certificate and registry.key, have the stack's own authority issue one (tls: {mode: internal}), or give the registry a name of its own behind the proxy")
	}
	if r.Path != "" && !path.IsAbs(r.Path) {
		p.add("registry.path", "%q is not absolute", "name a directory inside the container, below "+dataMount+" so that it persists", r.Path)
	} else {
		p.registryPath("registry.path", r.Path, cfg)
	}
	p.registryPath("heptapod.gitlab_rb", registryPathOf(cfg.Ruby), cfg)
}

func (p *problems) certificate(host string, r *Registry) {
	err := pki.Check(r.Certificate, r.Key, []string{host}, time.Now())
	var given *pki.GivenError
	switch {
	case err == nil:
	case errors.As(err, &given) && given.Key:
		p.add("registry.key", "%v", given.Remedy, err)
	case errors.As(err, &given):
		p.add("registry.certificate", "%v", given.Remedy, err)
	case errors.Is(err, pki.ErrMismatch):
		p.add("registry.key", "%v", "name the key that the certificate was made for", err)
	case errors.Is(err, pki.ErrHost):
		p.add("registry.certificate", "%v", "get a certificate for "+host+", whose port the registry has", err)
	case errors.Is(err, pki.ErrExpired):
		p.add("registry.certificate", "%v", "get a new one, or check the clock", err)
	default:
		p.add("registry.certificate", "%v", "name a PEM file", err)
	}
}

func (p *problems) ports(cfg Config) {
	cfg = cfg.withDefaults()
	type claimed struct {
		converge.Port
		key string
	}
	var taken []claimed
	claim := func(key string, port Port) {
		p.port(key, port.Number, false)
		if port.Address != "" && net.ParseIP(port.Address) == nil {
			p.add(key, "%q is no IP address", "name an address of the Docker host, as in 203.0.113.7:22", port.Address)
			return
		}
		wanted := converge.Port{HostIP: port.Address, Host: port.Number}
		for _, other := range taken {
			if other.Overlaps(wanted) {
				p.add(key, "port %d is published by %s already", "take another one", port.Number, other.key)
				return
			}
		}
		taken = append(taken, claimed{wanted, key})
	}
	if !cfg.SSH.Off && !cfg.SSH.ViaProxy {
		claim("heptapod.ssh.port", Port{cfg.SSH.Address, cfg.SSH.Port})
	}
	if r := cfg.Registry; r != nil && r.Port != 0 {
		claim("registry.port", Port{r.Address, r.Port})
	}
	for i, port := range cfg.Ports {
		claim(fmt.Sprintf("heptapod.ports[%d]", i), port)
	}
}

func (p *problems) services(cfg Config) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Services)) {
		if !rubyName().MatchString(name) {
			p.add("heptapod.services."+name, "%q is no service", "use its name in gitlab.rb, as in prometheus_monitoring", name)
		}
	}
	if on, ok := cfg.Services["registry"]; ok && on != (cfg.Registry != nil) {
		p.add("heptapod.services.registry", "it contradicts the section registry", "leave it out: the section alone decides")
	}
}

func (p *problems) secrets(cfg Config) {
	p.oneLine("heptapod.root_password_file", cfg.RootPassword)
	if n := utf8.RuneCountInString(cfg.RootPassword.Reveal()); n > 0 && (n < 8 || n > 128) {
		p.add("heptapod.root_password_file", "the forge wants 8 to 128 characters", "take a longer password, or leave it out to have one made")
	}
	if strings.ContainsRune(cfg.Ruby, 0) {
		p.add("heptapod.gitlab_rb", "it holds a NUL character, where Ruby stops reading", "remove it")
	}
}

// oneLine refuses what would not survive being read back as one stripped line.
func (p *problems) oneLine(key string, value Secret) {
	text := value.Reveal()
	if strings.ContainsAny(text, "\n\r\x00") || strings.TrimSpace(text) != text {
		p.add(key, "it spans lines, or begins or ends with white space", "put the bare text on the file's only line")
	}
}

func (p *problems) port(key string, port int, zero bool) {
	if port < 0 || port > 65535 || (port == 0 && !zero) {
		p.add(key, "%d is no port", "use 1 to 65535", port)
	}
}

func (p *problems) url(key, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || !isHost(u.Hostname()):
		p.add(key, "%q is no URL", "write it as in https://hg.example.org", redact(text))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.add(key, "%q has more than scheme, host, port and path", "leave user, query and fragment out", redact(text))
	}
}

func (p *problems) address(key, text string) {
	_, errAddr := netip.ParseAddr(text)
	_, errPrefix := netip.ParsePrefix(text)
	if errAddr != nil && errPrefix != nil {
		p.add(key, "%q is neither an address nor a network", "write it as in 172.16.0.0/12", text)
	}
}

func (p *problems) mailAddress(key, text string) {
	at := strings.LastIndexByte(text, '@')
	if text != "" && (at < 1 || !isHost(text[at+1:]) || strings.ContainsAny(text, " \t\r\n<>")) {
		p.add(key, "%q is no mail address", "write it as in hg@example.org", text)
	}
}

// redact drops the user from a URL that is about to be shown.
func redact(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

func isHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !hostLabel().MatchString(label) {
			return false
		}
	}
	return true
}
