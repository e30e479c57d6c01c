package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/traefik"
)

// A stack with certificates from an ACME server, beside the lab.
const acmeYAML = `stack: acme
data: /srv/acme
network: acme
heptapod: {host: hg.acme.test, image: octobus/heptapod:17.8, ssh: {via: none}}
traefik: {image: traefik:v3.6.12, http_port: 8080, https_port: 8443}
`

// Who may change the records of the names that pebble checks.
const (
	dnsUser     = "hepta"
	dnsPassword = "s3cr3t of the DNS provider"
)

// pebble starts an ACME server on the site's own network that checks names at
// the ports of acmeYAML, and gives its address and the authority that its own
// certificate is of.
func (s *site) pebble(t *testing.T) (directory string, ca []byte) {
	t.Helper()
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": "0.0.0.0:14000", "managementListenAddress": "127.0.0.1:15000",
		"certificate": "/pebble/cert.pem", "privateKey": "/pebble/key.pem",
		"httpPort": 8080, "tlsPort": 8443, "ocspResponderURL": "", "externalAccountBindingRequired": false,
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "default", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cert, key := selfSigned(t, net.ParseIP(s.box.IP))
	for name, text := range map[string]string{"config.json": string(settings), "cert.pem": string(cert), "key.pem": string(key)} {
		s.put(t, "/srv/pebble", name, text)
	}
	s.install(t, "dnshook", "/srv/pebble")
	for _, cmd := range [][]string{
		{"pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", "0.0.0.0:8053",
			"-management", "127.0.0.1:8055", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""},
		{"pebble", "-config", "/pebble/config.json", "-dnsserver", "127.0.0.1:8053"},
		{"/pebble/dnshook", "0.0.0.0:8056", "http://127.0.0.1:8055", dnsUser, dnsPassword},
	} {
		made, err := s.docker.ContainerCreate(t.Context(), &container.Config{
			Image: outer.refs["pebble"].Local, Entrypoint: cmd, Env: []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"},
		}, &container.HostConfig{NetworkMode: "host", Binds: []string{"/srv/pebble:/pebble"}}, nil, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s:\n%s", cmd[0], words(context.Background(), s.docker, made.ID))
			}
			s.remove(t, made.ID)
		})
		if err := s.docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return "https://" + net.JoinHostPort(s.box.IP, "14000") + "/dir", cert
}

// selfSigned makes a certificate that is its own authority.
func selfSigned(t *testing.T, ip net.IP, names ...string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "server"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// The proxy has to get certificates from an ACME server by either challenge
// and serve them, and nobody but root may read where it keeps them, nor see the
// keys anywhere else.
func TestCertificatesFromAnACMEServer(t *testing.T) {
	s := onSite(t)
	directory, ca := s.pebble(t)
	w := s.watch(t)
	s.removeAtEnd(t, s.stack(t, acmeYAML))
	for _, c := range []struct {
		challenge string
		host      string // a name that has no certificate yet
		monitor   bool
	}{
		{challenge: traefik.ChallengeTLS, host: "hg.acme.test"},
		{challenge: traefik.ChallengeHTTP, host: "monitor.acme.test", monitor: true},
	} {
		t.Run(c.challenge, func(t *testing.T) {
			stack := s.stack(t, acmeYAML, func(cfg *hepta.Config) {
				cfg.TLS = hepta.TLS{Mode: "acme", Email: "admin@acme.test", Challenge: c.challenge, Server: directory, CA: ca}
				if c.monitor {
					cfg.Traefik.Dashboard = &hepta.Dashboard{Host: c.host, Users: []string{htpasswd}}
				}
			})
			s.explain(t, stack)
			up(t, stack)
			// up ends when it is served.
			if issuer, err := s.issuer(t.Context(), c.host); err != nil || !strings.HasPrefix(issuer, "Pebble") {
				t.Errorf("the proxy serves a certificate of %q for %s: %v", issuer, c.host, err)
			}
			kept := s.stat(t, "/srv/acme", "traefik/acme/acme.json")
			if kept.mode != "0600" {
				t.Errorf("acme.json has mode %s", kept.mode)
			}
			w.keysOf(t, kept.text)
			p := plan(t, stack)
			if !p.Empty() {
				t.Errorf("what the proxy writes is taken for a change:\n%s", p)
			}
			w.saw("the plan", p, p.String())
			w.stack(t, stack)
		})
	}
	t.Run("none", func(t *testing.T) {
		// The server's own certificate is not known to the proxy any more.
		other, _ := selfSigned(t, net.ParseIP("192.0.2.1"))
		stack := s.stack(t, acmeYAML, func(cfg *hepta.Config) {
			cfg.TLS = hepta.TLS{Mode: "acme", Email: "admin@acme.test", Server: directory, CA: other}
			cfg.Traefik.Dashboard = &hepta.Dashboard{Host: "late.acme.test", Users: []string{htpasswd}}
		})
		_, err := stack.Up(t.Context(), hepta.UpOptions{})
		text := fault.Describe(err)
		for _, want := range []string{"get certificate of late.acme.test: the proxy serves one of its own", "certificate signed by unknown authority", "docker restart acme-traefik, then hepta up"} {
			if !strings.Contains(text, want) {
				t.Errorf("up does not say %q:\n%s", want, text)
			}
		}
		if issuer, err := s.issuer(t.Context(), "hg.acme.test"); err != nil || !strings.HasPrefix(issuer, "Pebble") {
			t.Errorf("the certificate of before is gone: %q, %v", issuer, err)
		}
		p := plan(t, stack)
		if !p.Empty() || !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.HasPrefix(n, "certificate of late.acme.test: there is none") }) {
			t.Errorf("the plan has notes %q and\n%s", p.Notes, p)
		}
		status, err := stack.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ends []string
		for _, c := range status.Certificates {
			ends = append(ends, fmt.Sprint(c.Hosts, c.Issuer != "", c.Ends.After(time.Now())))
		}
		if want := []string{"[hg.acme.test] true true", "[late.acme.test] false false"}; !slices.Equal(ends, want) {
			t.Errorf("status tells of the certificates %q, want %q", ends, want)
		}
	})
	w.check(t, "/srv/acme")
}

// keysOf are the private keys in acme.json: the account's and the certificates'.
func (w *watch) keysOf(t *testing.T, acme string) {
	t.Helper()
	var resolvers map[string]struct {
		Account      struct{ PrivateKey string }
		Certificates []struct {
			Domain struct{ Main string }
			Key    []byte
		}
	}
	if err := json.Unmarshal([]byte(acme), &resolvers); err != nil {
		t.Fatal("acme.json is no JSON")
	}
	for name, r := range resolvers {
		w.secret(t, "the account's key of "+name, r.Account.PrivateKey[:64])
		for _, c := range r.Certificates {
			w.secret(t, "the key of "+c.Domain.Main, keyOf(t, string(c.Key)))
		}
	}
}

// issuer is who signed the certificate that the acme stack's proxy shows for a host.
func (s *site) issuer(ctx context.Context, host string) (string, error) {
	return s.issuerAt(ctx, "8443", host)
}

// issuerAt is issuer at a port of the site.
func (s *site) issuerAt(ctx context.Context, port, host string) (string, error) {
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}} // read below, by name
	c, err := dialer.DialContext(ctx, "tcp", s.ports[port])
	if err != nil {
		return "", err
	}
	defer c.Close()
	leaf := c.(*tls.Conn).ConnectionState().PeerCertificates[0]
	return leaf.Issuer.CommonName, leaf.VerifyHostname(host)
}
