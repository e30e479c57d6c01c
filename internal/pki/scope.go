package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// ErrScope: the authority's root certificate is for other names.
var ErrScope = errors.New("the authority is for other names")

// scopeOf is the domain that a root certificate is for when it is made for a
// host: the one that the host's name lies in, so that further names beside it
// need no other root, but never one in which everybody may have a name, as in
// org or co.uk.
func scopeOf(host string) string {
	if own, err := publicsuffix.EffectiveTLDPlusOne(host); err != nil || own == host {
		return host
	}
	_, parent, _ := strings.Cut(host, ".")
	return parent
}

// constrain restricts a root certificate to the domains and addresses of hosts.
func constrain(root *x509.Certificate, hosts []string) {
	var domains []string
	for _, host := range sorted(hosts) {
		if addr, err := netip.ParseAddr(host); err == nil {
			root.PermittedIPRanges = append(root.PermittedIPRanges, &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())})
		} else {
			domains = append(domains, scopeOf(host))
		}
	}
	domains = sorted(domains)
	root.PermittedDNSDomainsCritical = true
	root.PermittedDNSDomains = slices.DeleteFunc(slices.Clone(domains), func(d string) bool {
		return slices.ContainsFunc(domains, func(above string) bool { return strings.HasSuffix(d, "."+above) })
	})
	// A kind of name that nothing is said about is allowed whatever it is.
	if len(root.PermittedDNSDomains) == 0 {
		root.PermittedDNSDomains = []string{"invalid"} // which nobody can have
	}
	if len(root.PermittedIPRanges) == 0 {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			_, every, err := net.ParseCIDR(all)
			if err != nil { // two constants
				panic(err)
			}
			root.ExcludedIPRanges = append(root.ExcludedIPRanges, every)
		}
	}
}

// Outside lists those of hosts for which nobody takes a leaf of the authority
// whose root certificate is given as PEM, and the domains and addresses that it
// is for. A root that says nothing about that is for every host.
func Outside(root []byte, hosts []string) (outside, scope []string) {
	cert, err := firstCertificate(root)
	if err != nil || !cert.PermittedDNSDomainsCritical {
		return nil, nil
	}
	scope = slices.Clone(cert.PermittedDNSDomains)
	for _, r := range cert.PermittedIPRanges {
		scope = append(scope, r.IP.String())
	}
	for _, host := range sorted(hosts) {
		if !permits(cert, host) {
			outside = append(outside, host)
		}
	}
	return outside, scope
}

func permits(cert *x509.Certificate, host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return slices.ContainsFunc(cert.PermittedIPRanges, func(r *net.IPNet) bool { return r.Contains(ip) })
	}
	return slices.ContainsFunc(cert.PermittedDNSDomains, func(d string) bool {
		return strings.EqualFold(host, d) || strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(d))
	})
}

// within is ErrScope when a root certificate is not for all of hosts.
func within(cert *x509.Certificate, hosts []string) error {
	outside, scope := Outside(encodeCertificate(cert.Raw), hosts)
	if len(outside) == 0 {
		return nil
	}
	return fmt.Errorf("%w: it is for %s, not for %s", ErrScope, strings.Join(scope, ", "), strings.Join(outside, ", "))
}
