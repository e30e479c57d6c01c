package integration

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/traefik"
)

// With the challenge DNS the proxy proves a name by a record that its provider
// makes for it, with credentials that it is given as files: no port has to be
// reached from outside.
func TestCertificateByDNSChallenge(t *testing.T) {
	s := onSite(t)
	directory, ca := s.pebble(t)
	stack := s.stack(t, strings.ReplaceAll(acmeYAML, "acme", "acmedns"), func(cfg *hepta.Config) {
		// Not those at which the server looks for other challenges.
		cfg.Traefik.HTTPPort, cfg.Traefik.HTTPSPort = "9090", "5050"
		cfg.TLS = hepta.TLS{Mode: "acme", Email: "admin@acmedns.test", Challenge: traefik.ChallengeDNS, Server: directory, CA: ca,
			Provider: "httpreq", Resolvers: []string{s.box.IP + ":8053"}, Credentials: map[string][]byte{
				"HTTPREQ_ENDPOINT": []byte("http://" + s.box.IP + ":8056"), "HTTPREQ_USERNAME": []byte(dnsUser), "HTTPREQ_PASSWORD": []byte(dnsPassword + "\n"),
			}}
		// The DNS server of the tests is no authority for the names.
		cfg.Traefik.Flags = []string{"--certificatesresolvers.hepta.acme.dnschallenge.propagation.disablechecks=true"}
	})
	s.explain(t, stack)
	s.removeAtEnd(t, stack)
	up(t, stack) // which ends when the certificate is served
	if issuer, err := s.issuerAt(t.Context(), "5050", "hg.acmedns.test"); err != nil || !strings.HasPrefix(issuer, "Pebble") {
		t.Errorf("the proxy serves a certificate of %q: %v", issuer, err)
	}
	if got := s.stat(t, "/srv/acmedns", "traefik/credentials/HTTPREQ_PASSWORD"); got.mode != "0600" || got.text != dnsPassword {
		t.Errorf("the credentials lie there with mode %s", got.mode)
	}
	if p := plan(t, stack); !p.Empty() {
		t.Errorf("something is to be done:\n%s", p)
	}
}
