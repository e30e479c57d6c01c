package traefik

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

func dnsConfig() Config {
	return Config{Hosts: []string{"hg.example.org"}, TLS: TLS{Email: "a@example.org", Challenge: ChallengeDNS, Provider: "ovh",
		Credentials: map[string][]byte{"OVH_CONSUMER_KEY": []byte("canary-1\n"), "OVH_APPLICATION_SECRET_FILE": []byte("canary-2\r\n")}, Resolvers: []string{"192.0.2.53:53", "192.0.2.54:53"}}}
}

// TestDNSChallenge: the provider's credentials are in files that lego is told
// of, and nowhere else; another one needs another container.
func TestDNSChallenge(t *testing.T) {
	p, err := New(dnsConfig())
	if err != nil {
		t.Fatal(err)
	}
	s := p.resources()
	c := s.Containers[0]
	for _, want := range []string{
		"--certificatesresolvers.hepta.acme.dnschallenge=true", "--certificatesresolvers.hepta.acme.dnschallenge.provider=ovh",
		"--certificatesresolvers.hepta.acme.dnschallenge.resolvers=192.0.2.53:53,192.0.2.54:53",
	} {
		if !slices.Contains(c.Cmd, want) {
			t.Errorf("no %s in %v", want, c.Cmd)
		}
	}
	if slices.ContainsFunc(c.Cmd, func(flag string) bool {
		return strings.Contains(flag, "tlschallenge") || strings.Contains(flag, "httpchallenge")
	}) {
		t.Error(c.Cmd)
	}
	want := []string{"OVH_APPLICATION_SECRET_FILE=/etc/traefik/credentials/OVH_APPLICATION_SECRET", "OVH_CONSUMER_KEY_FILE=/etc/traefik/credentials/OVH_CONSUMER_KEY"}
	if d := cmp.Diff(want, c.Env); d != "" {
		t.Error(d)
	}
	if strings.Contains(c.Spec(), "canary") {
		t.Error("the container shows a credential")
	}
	for name, content := range map[string]string{"OVH_CONSUMER_KEY": "canary-1", "OVH_APPLICATION_SECRET": "canary-2"} {
		file := "traefik/credentials/" + name
		f := s.File(file)
		if f == nil || !f.Secret || f.Mode != 0o600 || string(f.Content) != content || !slices.Contains(c.RecreateOn, file) {
			t.Errorf("%s: %+v", name, f)
		}
		if inside, ok := s.Shows(&c, file); !ok || inside != "/etc/traefik/credentials/"+name {
			t.Errorf("%s is shown as %q", name, inside)
		}
	}
	plan, err := converge.Up(&s, &converge.Observed{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plan.String(), "canary") {
		t.Error("the plan shows a credential")
	}
}

func TestDNSChallengeProblems(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"":                    func(*Config) {},
		"tls.provider":        func(c *Config) { c.TLS.Provider = "" },
		"tls.resolvers[0]":    func(c *Config) { c.TLS.Resolvers = []string{"192.0.2.53"} },
		"tls.credentials.a-b": func(c *Config) { c.TLS.Credentials = map[string][]byte{"a-b": []byte("canary")} },
		"tls.credentials.A_FILE": func(c *Config) {
			c.TLS.Credentials = map[string][]byte{"A": []byte("canary"), "A_FILE": []byte("canary")}
		},
		"tls.credentials.A":                func(c *Config) { c.TLS.Credentials = map[string][]byte{"A": []byte("\n")} },
		"tls.credentials.OVH_CONSUMER_KEY": func(c *Config) { c.Environment = map[string]string{"OVH_CONSUMER_KEY": "x"} },
		"traefik.environment.a b":          func(c *Config) { c.Environment = map[string]string{"a b": "x"} },
	} {
		cfg := dnsConfig()
		change(&cfg)
		err := cfg.Validate()
		if key == "" && err != nil || key != "" && (err == nil || !strings.Contains(err.Error(), "read configuration "+key+": ")) {
			t.Errorf("%s: %v", key, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%v shows a credential", err)
		}
	}
	for _, key := range []string{"provider", "credentials", "resolvers"} {
		cfg := dnsConfig()
		cfg.TLS.Challenge = ChallengeTLS
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "tls."+key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestUnknownDNSProvider: a later release may know it, so it is told and taken.
func TestUnknownDNSProvider(t *testing.T) {
	if !slices.IsSorted(dnsProviders) {
		t.Error("the list is not in order")
	}
	for name, want := range map[string]string{
		"": "", "cloudflare": "", "rfc2136": "", "route53": "",
		"hetznr":       "tls.provider: hetznr is none of the DNS providers that are known here; did you mean hetzner?",
		"quitenewname": "tls.provider: quitenewname is none of the DNS providers that are known here",
	} {
		if got := unknownProvider(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	p, err := New(Config{Hosts: []string{"hg.example.org"}, Environment: map[string]string{"HTTPS_PROXY": "http://10.0.0.1:3128", "A": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.resources().Containers[0].Env, []string{"A=1", "HTTPS_PROXY=http://10.0.0.1:3128"}; !slices.Equal(got, want) {
		t.Error(got)
	}
}
