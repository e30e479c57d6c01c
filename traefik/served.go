package traefik

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/pki"
)

// Certificate is what the proxy has for some of its hosts.
type Certificate struct {
	Hosts  []string  `json:"hosts"`
	Issuer string    `json:"issuer,omitempty"`
	Begins time.Time `json:"begins,omitzero"`
	Ends   time.Time `json:"ends,omitzero"` // zero: there is none
}

// Good reports whether there is a certificate and it has not ended.
func (c Certificate) Good(now time.Time) bool { return c.Ends.After(now) }

// Overdue reports whether there is no certificate, or one in the last sixth of
// its life: by then it should have been renewed, by Traefik in its last third.
func (c Certificate) Overdue(now time.Time) bool {
	return c.Ends.Sub(now) < c.Ends.Sub(c.Begins)/6 || !c.Good(now)
}

func (c Certificate) String() string {
	hosts := strings.Join(c.Hosts, ", ")
	if c.Ends.IsZero() {
		return fmt.Sprintf("certificate of %s: there is none; browsers warn about the one that they are shown", hosts)
	}
	return fmt.Sprintf("certificate of %s: ends on %s, issued by %s", hosts, c.Ends.UTC().Format(time.DateOnly), c.Issuer)
}

// Certificates are those that the proxy has for its hosts, as far as the
// snapshot shows them. Hosts without one come last.
func (p *Proxy) Certificates(s Snapshot) []Certificate {
	o := opaque.Show(s)
	var chains [][]byte
	switch p.cfg.TLS.Mode {
	case TLSInternal, TLSFiles:
		seen, looked := o.Files[leafFile]
		if !looked {
			return nil
		}
		chains = [][]byte{seen.Content}
	case TLSACME:
		seen, looked := o.Files[acmeFile]
		if !looked {
			return nil
		}
		chains = acmeChains(seen.Content)
	default:
		return nil
	}
	return certificatesOf(chains, p.cfg.hosts())
}

// acmeChains are the certificates in what Traefik keeps of an ACME server.
func acmeChains(kept []byte) [][]byte {
	var resolvers map[string]struct {
		Certificates []struct {
			Certificate []byte `json:"certificate"`
		}
	}
	if json.Unmarshal(kept, &resolvers) != nil {
		return nil // empty, or in the middle of being written
	}
	var chains [][]byte
	for _, r := range resolvers {
		for _, c := range r.Certificates {
			chains = append(chains, c.Certificate)
		}
	}
	return chains
}

var colour = pattern.New("\x1b\\[[0-9;]*m")

// ACMEFailure reads in a line of Traefik's log that it did not get a
// certificate, and why.
func ACMEFailure(line string) (why string, ok bool) {
	line = colour().ReplaceAllString(line, "")
	_, why, ok = strings.Cut(line, "Unable to obtain ACME certificate")
	if !ok {
		return "", false
	}
	return "Unable to obtain ACME certificate" + strings.ReplaceAll(why, `\n`, " "), true
}

// certificatesOf gives each host to the certificate that lasts longest for it.
func certificatesOf(chains [][]byte, hosts []string) []Certificate {
	var leaves []*x509.Certificate
	for _, chain := range chains {
		if leaf, err := pki.Leaf(chain); err == nil {
			leaves = append(leaves, leaf)
		}
	}
	slices.SortFunc(leaves, func(a, b *x509.Certificate) int { return b.NotAfter.Compare(a.NotAfter) })
	byLeaf := make(map[*x509.Certificate][]string)
	for _, host := range hosts {
		var found *x509.Certificate
		if i := slices.IndexFunc(leaves, func(leaf *x509.Certificate) bool { return leaf.VerifyHostname(host) == nil }); i >= 0 {
			found = leaves[i]
		}
		byLeaf[found] = append(byLeaf[found], host)
	}
	var list []Certificate
	for _, leaf := range leaves {
		if served := byLeaf[leaf]; len(served) > 0 {
			list = append(list, Certificate{Hosts: served, Issuer: leaf.Issuer.CommonName, Begins: leaf.NotBefore, Ends: leaf.NotAfter})
		}
	}
	if without := byLeaf[nil]; len(without) > 0 {
		list = append(list, Certificate{Hosts: without})
	}
	return list
}
