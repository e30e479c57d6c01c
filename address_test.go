package hepta

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

// addresses are what a configuration comes to for people, jobs and clients.
type addresses struct {
	Forge, Registry string   // URLs
	Served          []string // names that the proxy publishes
	Pinned          []string // names that jobs are told the address of
	At              string   // that address, "" for the host's
	Notes           []string // how each note begins
}

// TestAddresses: one answer to where the forge and its registry are, for
// gitlab.rb, the proxy, the certificate, the runners and the registry's clients.
func TestAddresses(t *testing.T) {
	const registry = "registry: registry.example.org\n"
	all := []string{"hg.example.org", "registry.example.org"}
	for name, c := range map[string]struct {
		yaml string
		want addresses
	}{
		"certificates of our own": {"tls: {mode: internal}\n" + registry,
			addresses{Forge: "https://hg.example.org", Registry: "https://registry.example.org", Served: all, Pinned: all}},
		"certificates of an ACME server": {"acme: {email: a@example.org}\n" + registry,
			addresses{Forge: "https://hg.example.org", Registry: "https://registry.example.org", Served: all}},
		"no TLS": {"tls: {mode: off}\ntraefik: {http_port: 8080}\n" + registry,
			addresses{Forge: "http://hg.example.org:8080", Registry: "http://registry.example.org:8080", Served: all, Pinned: all}},
		"another port": {"traefik: {https_port: 8443}\n" + registry,
			addresses{Forge: "https://hg.example.org:8443", Registry: "https://registry.example.org:8443", Served: all, Pinned: all}},
		"TLS ended by another proxy": {"tls: {mode: off}\nheptapod: {external_url: \"https://hg.example.org\"}\n" + registry,
			addresses{Forge: "https://hg.example.org", Registry: "https://registry.example.org", Served: all,
				Notes: []string{"heptapod.external_url has https and tls is off: another proxy in front has to end TLS for https://hg.example.org and https://registry.example.org and lead it to port 80"}}},
		"TLS ended by another proxy, on a port": {"tls: {mode: off}\ntraefik: {http_port: \"127.0.0.1:8080\"}\nheptapod: {external_url: \"https://hg.example.org:8443\", trusted_proxies: [10.0.0.1]}\n" + registry,
			addresses{Forge: "https://hg.example.org:8443", Registry: "https://registry.example.org:8443", Served: all,
				Notes: []string{"heptapod.external_url has https and tls is off"}}},
		"the public port is the router's": {"tls: {mode: internal}\nheptapod: {external_url: \"https://hg.example.org:8443\"}\n" + registry,
			addresses{Forge: "https://hg.example.org:8443", Registry: "https://registry.example.org:8443", Served: all,
				Notes: []string{"heptapod.external_url has port 8443, which nothing publishes here: a router or another proxy has to lead it to port 443"}}},
		"the public port is the router's, with a path": {"tls: {mode: internal}\nheptapod: {external_url: \"https://hg.example.org:8443/git\"}\n",
			addresses{Forge: "https://hg.example.org:8443/git", Served: all[:1],
				Notes: []string{"heptapod.external_url has port 8443"}}},
		"two names": {"tls: {mode: internal}\nheptapod: {external_url: \"https://git.example.org\"}\n" + registry,
			addresses{Forge: "https://git.example.org", Registry: "https://registry.example.org",
				Served: []string{"hg.example.org", "git.example.org", "registry.example.org"},
				Pinned: []string{"hg.example.org", "git.example.org", "registry.example.org"}}},
		"registry on a port, two names": {"tls: {mode: off}\nheptapod: {external_url: \"http://git.example.org\"}\nregistry: {port: 5050}\n",
			addresses{Forge: "http://git.example.org", Registry: "http://git.example.org:5050",
				Served: []string{"hg.example.org", "git.example.org"}, Pinned: []string{"hg.example.org", "git.example.org"}}},
		"registry on a port behind another proxy": {"tls: {mode: off}\nheptapod: {external_url: \"https://git.example.org\", trusted_proxies: [10.0.0.1]}\nregistry: {port: 5050}\n",
			addresses{Forge: "https://git.example.org", Registry: "https://git.example.org:5050", Served: []string{"hg.example.org", "git.example.org"},
				Notes: []string{"heptapod.external_url has https and tls is off"}}},
		"http before TLS": {"tls: {mode: internal}\nheptapod: {external_url: \"http://hg.example.org\"}\n" + registry,
			addresses{Forge: "http://hg.example.org", Registry: "https://registry.example.org", Served: all, Pinned: all,
				Notes: []string{"heptapod.external_url has http, and the proxy leads all http to https: write https, as in https://hg.example.org,"}}},
		"one address of several": {"traefik: {https_port: \"203.0.113.7:443\"}\n" + registry,
			addresses{Forge: "https://hg.example.org", Registry: "https://registry.example.org", Served: all, Pinned: all, At: "203.0.113.7"}},
		"every address": {"traefik: {https_port: \"0.0.0.0:443\"}\n" + registry,
			addresses{Forge: "https://hg.example.org", Registry: "https://registry.example.org", Served: all, Pinned: all}},
		"the host alone": {"traefik: {https_port: \"127.0.0.1:443\"}\n" + registry,
			addresses{Forge: "https://hg.example.org", Registry: "https://registry.example.org", Served: all, Pinned: all, At: "127.0.0.1",
				Notes: []string{"port 443 is published on 127.0.0.1, where only programs on the Docker host itself reach it"}}},
		"registry on a port of one address": {"tls: {mode: off}\nregistry: {port: \"203.0.113.7:5050\"}\n",
			addresses{Forge: "http://hg.example.org", Registry: "http://hg.example.org:5050", Served: all[:1], Pinned: all[:1], At: "203.0.113.7"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Parse("", []byte("forge: hg.example.org\nrunners: [{name: plain}]\n"+c.yaml))
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			n := s.cfg
			r, f, p := n.runners(), n.forge(), n.traefik()
			got := addresses{Forge: s.forge.URL(), Registry: n.registryAddress(), Served: p.Hosts, Pinned: r.HostNames, At: r.HostAddress, Notes: n.addressNotes()}
			for i, note := range got.Notes {
				if i < len(c.want.Notes) && strings.HasPrefix(note, c.want.Notes[i]) {
					got.Notes[i] = c.want.Notes[i]
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if f.ExternalURL != got.Forge || r.Forge.URL != got.Forge || f.Registry != nil && f.Registry.ExternalURL != got.Registry || f.Registry != nil && r.Registries[0] != got.Registry {
				t.Errorf("forge %+v, runners %+v", f, r)
			}
			labels := s.published()
			for _, host := range got.Served {
				if !slices.ContainsFunc(n.routes(f), func(r Route) bool { return labels["traefik.http.routers."+r.Name+".rule"] == "Host(`"+host+"`)" }) {
					t.Errorf("no route of %s: %v", host, labels)
				}
			}
		})
	}
}

// TestPortsOnOneAddress: each published port can be on one of several addresses
// of the Docker host, where others have the same ports.
func TestPortsOnOneAddress(t *testing.T) {
	cfg, err := Parse("", []byte(`forge: hg.example.org
traefik: {http_port: "203.0.113.7:80", https_port: "203.0.113.7:443"}
tls: {mode: off}
heptapod: {ssh: "203.0.113.7:22", ports: ["[2001:db8::7]:9090", 9091, "203.0.113.8:22"]}
registry: {port: "203.0.113.7:5050"}
`))
	if err != nil {
		t.Fatal(err)
	}
	published := func(cfg *Config) []converge.Port {
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var ports []converge.Port
		for _, c := range s.want.Containers {
			ports = append(ports, c.Ports...)
		}
		return ports
	}
	want := []converge.Port{
		{HostIP: "203.0.113.7", Host: 80, Container: 80},
		{HostIP: "203.0.113.7", Host: 22, Container: 22}, {HostIP: "203.0.113.7", Host: 5050, Container: 5050},
		{HostIP: "2001:db8::7", Host: 9090, Container: 9090}, {Host: 9091, Container: 9091}, {HostIP: "203.0.113.8", Host: 22, Container: 22},
	}
	if d := cmp.Diff(want, published(cfg)); d != "" {
		t.Error(d)
	}
	cfg.TLS.Mode, cfg.Registry, cfg.Heptapod.SSH.Via, cfg.Heptapod.Ports = "internal", nil, "traefik", nil
	want = []converge.Port{{HostIP: "203.0.113.7", Host: 80, Container: 80}, {HostIP: "203.0.113.7", Host: 443, Container: 443}, {HostIP: "203.0.113.7", Host: 22, Container: 22}}
	if d := cmp.Diff(want, published(cfg)); d != "" {
		t.Error(d)
	}
}

func TestPortsThatContradict(t *testing.T) {
	for yaml, want := range map[string]string{
		`traefik: {http_port: "203.0.113.7:443", https_port: "203.0.113.8:443"}`:                                          "",
		`traefik: {http_port: "203.0.113.7:443"}`:                                                                         "traefik.https_port: port 443 is taken by traefik.http_port",
		`heptapod: {ssh: "203.0.113.7:443"}`:                                                                              "heptapod.ssh.port: port 443 is taken by traefik.https_port",
		`traefik: {https_port: "hg.example.org:443"}`:                                                                     `traefik.https_port: "hg.example.org:443" is not a port (1 to 65535), alone or on an address of the Docker host as in 203.0.113.7:443`,
		`traefik: {https_port: 0}`:                                                                                        `traefik.https_port: "0" is not a port (1 to 65535), alone or on an address of the Docker host as in 203.0.113.7:443`,
		"tls: {mode: off}\ntraefik: {http_port: \"203.0.113.7:80\"}\nregistry: {port: \"203.0.113.8:5050\"}":              "registry.port: is published on 203.0.113.8 and the forge on 203.0.113.7, but both have one name, which leads to one address: publish both on the same",
		"tls: {mode: off}\ntraefik: {http_port: \"203.0.113.7:80\"}\nregistry: {port: 5050}\nheptapod: {ports: [5050]}\n": "heptapod.ports[0]: port 5050 is taken by registry.port",
	} {
		_, err := Parse("", []byte("forge: a.b\n"+yaml))
		if got := ""; err != nil {
			if got = err.Error(); got != want {
				t.Errorf("%s:\n got %s\nwant %s", yaml, got, want)
			}
		} else if want != "" {
			t.Errorf("%s is taken", yaml)
		}
	}
}

// TestPublicPort: http leads to the port that people use, and who is believed
// in front is believed by the proxy, too.
func TestPublicPort(t *testing.T) {
	cfg := &Config{Forge: Forge{Host: "hg.example.org"}, Heptapod: Heptapod{ExternalURL: "https://hg.example.org:8443", TrustedProxies: []string{"192.0.2.7", "10.0.0.0/8"}}}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	flags := s.want.Containers[0].Cmd
	for _, want := range []string{"--entrypoints.web.http.redirections.entrypoint.to=:8443", "--entrypoints.websecure.forwardedheaders.trustedips=192.0.2.7,10.0.0.0/8"} {
		if !slices.Contains(flags, want) {
			t.Errorf("no %s in %v", want, flags)
		}
	}
}

// TestNamesOnTheNetwork: jobs that join the stack's network find the forge there
// by its name, and are not told another way.
func TestNamesOnTheNetwork(t *testing.T) {
	for yaml, want := range map[string]bool{
		"tls: {mode: internal}":                          true,
		"tls: {mode: off}":                               true,
		"traefik: {https_port: 8443}":                    false,
		"tls: {mode: off}\nregistry: {port: 5050}":       false,
		"tls: {mode: internal}\nregistry: r.example.org": true,
	} {
		cfg, err := Parse("", []byte("forge: hg.example.org\n"+yaml))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.normal().runners().OnNetwork; got != want {
			t.Errorf("%s: %v", yaml, got)
		}
	}
}
