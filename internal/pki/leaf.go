package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The reasons for which Check refuses a certificate.
var (
	ErrMismatch = errors.New("certificate and key do not belong together")
	ErrExpired  = errors.New("certificate is not valid at this time")
	ErrHost     = errors.New("certificate does not cover the host")
)

// Due says why a bundle made by Issue must be issued anew for hosts, or "" when
// it need not be.
func Due(bundle []byte, hosts []string, now time.Time) string {
	if len(bundle) == 0 {
		return "no certificate yet"
	}
	leaf, err := pair(bundle, bundle)
	if err != nil {
		return "the certificate is damaged"
	}
	if missing, extra := compare(names(leaf), sorted(hosts)); len(missing)+len(extra) > 0 {
		return "host names changed:" + missing.say(" +") + extra.say(" -")
	}
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		return "the certificate expired on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	case left < LeafRenew:
		return "the certificate expires on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	case leaf.NotBefore.After(now):
		return "the certificate is not valid before " + leaf.NotBefore.UTC().Format(time.DateOnly)
	}
	return ""
}

// RootOf gives the root certificate, as PEM, that a bundle made by Issue
// carries; nil when there is none.
func RootOf(bundle []byte) []byte {
	cert, err := tls.X509KeyPair(bundle, bundle)
	if err != nil || len(cert.Certificate) < 2 {
		return nil
	}
	return encodeCertificate(cert.Certificate[len(cert.Certificate)-1])
}

// Blocks are the parts of a PEM text that are of one kind, such as CERTIFICATE.
func Blocks(bundle []byte, kind string) []byte {
	var out []byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return out
}

// Leaf is the first certificate of a PEM text, the one that is for hosts.
func Leaf(bundle []byte) (*x509.Certificate, error) { return firstCertificate(bundle) }

// IssuerOf is the name of the authority that issued the leaf of a bundle; ""
// when there is no leaf.
func IssuerOf(bundle []byte) string {
	leaf, err := firstCertificate(bundle)
	if err != nil {
		return ""
	}
	return leaf.Issuer.CommonName
}

// Check reports whether a certificate, with its chain, can serve hosts: it belongs
// to the key, it is valid now and covers every host. It is looked at as Given
// reads it. The errors are, or wrap, a *GivenError, ErrMismatch, ErrExpired and
// ErrHost; none holds anything of the key.
func Check(cert, key []byte, hosts []string, now time.Time) error {
	cert, key, err := Given(cert, key)
	if err != nil {
		return err
	}
	leaf, err := pair(cert, key)
	if err != nil {
		return err
	}
	from, to := leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%w: its time has not begun, it is valid from %s to %s", ErrExpired, from, to)
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%w: it has ended, it was valid from %s to %s", ErrExpired, from, to)
	}
	if text := namesAlone(leaf); text != "" {
		return fmt.Errorf("%w: %s", ErrHost, text)
	}
	var without list
	for _, host := range sorted(hosts) {
		if leaf.VerifyHostname(host) != nil {
			without = append(without, host)
		}
	}
	if len(without) > 0 {
		return fmt.Errorf("%w:%s; it names%s", ErrHost, without.say(" "), names(leaf).say(" "))
	}
	return nil
}

func pair(cert, key []byte) (*x509.Certificate, error) {
	if _, err := firstCertificate(cert); err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	got, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, ErrMismatch
	}
	leaf, err := x509.ParseCertificate(got.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return leaf, nil
}

// list is host names, sorted.
type list []string

func (l list) say(before string) string {
	var b strings.Builder
	for _, name := range l {
		b.WriteString(before + name)
	}
	return b.String()
}

func names(cert *x509.Certificate) list {
	all := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			all = append(all, addr.Unmap().String())
		}
	}
	return sorted(all)
}

// compare gives what want has beyond have, and have beyond want.
func compare(have, want list) (missing, extra list) {
	for _, name := range want {
		if !slices.Contains(have, name) {
			missing = append(missing, name)
		}
	}
	for _, name := range have {
		if !slices.Contains(want, name) {
			extra = append(extra, name)
		}
	}
	return missing, extra
}
