package traefik

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
)

func TestValidate(t *testing.T) {
	good := Config{TLS: TLS{Email: "admin@example.org"}}
	cert, key := ownPair(t, "hg.example.org")
	_, otherKey := ownPair(t, "hg.example.org")
	with := func(change func(*Config)) Config {
		cfg := good
		change(&cfg)
		return cfg
	}
	files := func(change func(*Config)) Config {
		cfg := Config{Hosts: []string{"hg.example.org"}, TLS: TLS{Mode: TLSFiles, Certificate: cert, Key: key}}
		change(&cfg)
		return cfg
	}
	dashboard := func(users ...string) Config {
		return with(func(c *Config) { c.Dashboard = Dashboard{Host: "monitor.example.org", Users: users} })
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want []string // what each error says, in order
	}{
		{"smallest", good, nil},
		{"internal", Config{Hosts: []string{"hg.example.org"}}, nil},
		{"internal for the dashboard alone", Config{Dashboard: Dashboard{Host: "monitor.example.org", Users: []string{bob}}}, nil},
		{"files", files(func(*Config) {}), nil},
		{"off", Config{TLS: TLS{Mode: TLSOff}, HTTPPort: 443}, nil},
		{"place", Config{Stack: "Lab", Data: "srv", Network: "a b", Image: "Traefik:", SocketProxyImage: "A", Socket: "docker.sock", LogLevel: "loud", Hosts: []string{"hg.example.org", "a/b"}},
			[]string{"stack: ", "data: ", "network: ", "traefik.socket: ", "traefik.image: ", "traefik.socket_proxy_image: ", "traefik.log_level: \"LOUD\"", "traefik.hosts[1]: \"a/b\""}},
		{"network of the socket proxy", with(func(c *Config) { c.Network = "hepta-socket" }), []string{"network: hepta-socket is the network of"}},
		{"root as data", with(func(c *Config) { c.Data = "/../" }), []string{"data: "}},
		{"bad version", with(func(c *Config) { c.Image = "traefik:v3.6.5" }), []string{"traefik.image: traefik:v3.6.5: "}},
		{"ports", with(func(c *Config) { c.HTTPPort, c.HTTPSPort, c.SSHPort = -1, 70000, -22 }),
			[]string{"traefik.http_port: ", "traefik.https_port: ", "traefik.ssh_port: "}},
		{"one port twice", with(func(c *Config) { c.SSHPort = 443 }), []string{"traefik.ssh_port: port 443 is traefik.https_port already"}},
		{"no host", Config{}, []string{"traefik.hosts: "}},
		{"mode", Config{TLS: TLS{Mode: "letsencrypt"}}, []string{"tls.mode: \"letsencrypt\""}},
		{"acme without account", Config{TLS: TLS{Mode: TLSACME}}, []string{"tls.email: "}},
		{"acme", Config{Hosts: []string{"192.0.2.7"}, TLS: TLS{Email: "admin", Challenge: "dns-01", CAServer: "http://acme.example.org", CACertificates: []byte("x")}},
			[]string{"tls.email: ", "tls.challenge: ", "tls.server: ", "tls.ca: ", "tls.mode: "}},
		{"certificate in another mode", with(func(c *Config) { c.TLS.Certificate = cert }), []string{"tls.certificate: "}},
		{"files without certificate", files(func(c *Config) { c.TLS.Certificate = nil }), []string{"tls.certificate: there is none"}},
		{"files without key", files(func(c *Config) { c.TLS.Key = []byte("\n") }), []string{"tls.key: there is none"}},
		{"files with another key", files(func(c *Config) { c.TLS.Key = otherKey }), []string{"tls.key: certificate and key do not belong together"}},
		{"files for another host", files(func(c *Config) { c.Hosts = append(c.Hosts, "registry.example.org") }),
			[]string{"tls.certificate: certificate does not cover the host: registry.example.org; it names hg.example.org"}},
		{"no certificate in the file", files(func(c *Config) { c.TLS.Certificate = []byte("x") }), []string{"tls.certificate: there is no certificate in it"}},
		{"dashboard", dashboard(bob), nil},
		{"dashboard for everybody", dashboard(), []string{"traefik.dashboard.users: "}},
		{"dashboard users without host", with(func(c *Config) { c.Dashboard.Users = []string{bob} }), []string{"traefik.dashboard.host: "}},
		{"dashboard host", Config{TLS: TLS{Mode: TLSOff}, Dashboard: Dashboard{Host: "https://x", Users: []string{bob}}}, []string{"traefik.dashboard.host: "}},
		{"weak passwords", dashboard("a:$apr1$x$y", "b:{SHA}secret", "c:"+strings.Replace(bob[4:], "$2y$05$", "$$2y$$05$$", 1), "d:secret", "secret", ":x", bob+"\nx:y"),
			[]string{
				"users[0]: the password of \"a\" is hashed with MD5 or SHA-1", "users[1]: the password of \"b\"", "users[2]: the hash of \"c\" has doubled $",
				"users[3]: what follows \"d\": is no bcrypt hash", "users[4]: it is no line NAME:HASH", "users[6]: what follows \"bob\"",
			}},
		{"flags", with(func(c *Config) { c.Flags = []string{"--a.b=c d", "--on", "ping", "--x=\n", "-v", "--"} }),
			[]string{"traefik.flags[2]: ", "traefik.flags[3]: ", "traefik.flags[4]: ", "traefik.flags[5]: "}},
		{"labels", with(func(c *Config) { c.Labels = map[string]string{"hepta.stack": "x", "a": "b"} }), []string{"traefik.labels.hepta.stack: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			err := c.cfg.Validate()
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
				for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
					if fault.Remedy(one) == "" {
						t.Errorf("%v: no remedy", one)
					}
				}
			}
			if !slices.EqualFunc(lines, c.want, strings.Contains) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(c.want, "\n"))
			}
			if strings.Contains(fault.Describe(err), "secret") {
				t.Errorf("a password shows: %v", fault.Describe(err))
			}
		})
	}
}

func TestValidateGoesByTheClock(t *testing.T) {
	cert, key := ownPair(t, "hg.example.org")
	cfg := Config{Hosts: []string{"hg.example.org"}, TLS: TLS{Mode: TLSFiles, Certificate: cert, Key: key}}
	err := cfg.validate(time.Now().Add(pki.LeafLife + time.Hour))
	if err == nil || !strings.Contains(err.Error(), "tls.certificate: certificate is not valid at this time") {
		t.Errorf("got %v", err)
	}
	if bytes.Contains([]byte(fault.Describe(err)), key[30:60]) {
		t.Error("the key shows")
	}
}

func TestNewRefuses(t *testing.T) {
	if p, err := New(Config{TLS: TLS{Mode: "x"}}); err == nil || p != nil {
		t.Errorf("got %v, %v", p, err)
	}
}
