package integration

import (
	"crypto/tls"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/heptaup/hepta"
)

// The registry on a port of the forge's name has a certificate without anybody
// giving one: who trusts the stack's authority pushes and pulls, and a new
// certificate is served by the same container.
func TestRegistryPortOfTheStacksAuthority(t *testing.T) {
	s := onSite(t)
	withPort := func(c *hepta.Config) { c.Runners, c.Registry = nil, &hepta.Registry{Port: "5050"} }
	stack := s.stack(t, waysYAML, withPort)
	s.explain(t, stack)
	s.removeAtEnd(t, stack)
	up(t, stack)
	shelf := s.project(t, stack, "port", git)
	ca, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	password, err := stack.Forge().RootPassword(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &customer{t: t, rt: s.client(t, ca).Transport, auth: &authn.Basic{Username: "root", Password: password.Reveal()}}
	pushed := c.push("hg.ways.test:5050/" + shelf.Path + ":first")
	before, forge := s.registrySerial(t), s.lives(t, stack)["heptapod"]

	grown := s.stack(t, waysYAML, withPort, func(c *hepta.Config) {
		c.Traefik.Dashboard = &hepta.Dashboard{Host: "monitor.ways.test", Users: []string{htpasswd}}
	})
	up(t, grown)
	if after := s.registrySerial(t); after == before {
		t.Error("the registry serves the certificate of before")
	}
	if got := s.lives(t, grown)["heptapod"]; got != forge {
		t.Errorf("the forge was started again: %v, before %v", got, forge)
	}
	if got := c.digest("hg.ways.test:5050/" + shelf.Path + ":first"); got != pushed {
		t.Errorf("pulled %s, want %s", got, pushed)
	}
	if p := plan(t, grown); !p.Empty() {
		t.Errorf("something is to be done:\n%s", p)
	}
}

// registrySerial is that of the certificate on the registry's port.
func (s *site) registrySerial(t *testing.T) string {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: "hg.ways.test", InsecureSkipVerify: true}} // only looked at
	c, err := dialer.DialContext(t.Context(), "tcp", s.ports["5050"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}
