// Package pki is a small certificate authority: one key, one root certificate,
// short-lived leaves for the forge's own names.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"time"
)

// The lifetimes of what is issued, and how long before its end a leaf is
// issued anew. Apple's systems take no leaf that lasts longer than 825 days.
const (
	RootLife  = 10 * 365 * 24 * time.Hour
	LeafLife  = 730 * 24 * time.Hour
	LeafRenew = 180 * 24 * time.Hour

	// clockSlack is how far the clocks of those who verify may be behind.
	clockSlack = time.Hour
)

// Authority is a root certificate with its key. The key decides: a root
// certificate that does not belong to it counts for nothing.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// New makes an authority with a fresh key. With hosts nobody takes a leaf of it
// for anything but those and their neighbours: see scopeOf.
func New(name string, now time.Time, hosts ...string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority key: %w", err)
	}
	return certify(key, name, now, hosts)
}

// Read takes up an authority from its PEM key and root certificate. A root
// that is missing, is damaged, belongs to another key or ends before a leaf
// issued now would is created again from the same key, and renewed is true. A damaged key is
// an error: replacing it would silently break everyone who trusts the root. So is
// ErrScope, a root that is not for all of hosts.
func Read(key, root []byte, name string, now time.Time, hosts ...string) (a *Authority, renewed bool, err error) {
	private, err := readKey(key)
	if err != nil {
		return nil, false, fmt.Errorf("read authority key: %w", err)
	}
	cert, err := firstCertificate(root)
	if err == nil && private.PublicKey.Equal(cert.PublicKey) && cert.IsCA &&
		!cert.NotBefore.After(now) && cert.NotAfter.After(now.Add(LeafLife)) {
		return &Authority{key: private, cert: cert}, false, within(cert, hosts)
	}
	a, err = certify(private, name, now, hosts)
	return a, true, err
}

func certify(key *ecdsa.PrivateKey, name string, now time.Time, hosts []string) (*Authority, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(RootLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	if len(hosts) > 0 {
		constrain(template, hosts)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make root certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read root certificate: %w", err)
	}
	return &Authority{key: key, cert: cert}, nil
}

// String names the authority; the key never shows.
func (a *Authority) String() string { return "authority " + a.cert.Subject.CommonName }

// Key is the private key as PEM.
func (a *Authority) Key() ([]byte, error) { return encodeKey(a.key) }

// Root is the root certificate as PEM: public.
func (a *Authority) Root() []byte { return encodeCertificate(a.cert.Raw) }

// Issue makes a key and a certificate for hosts, names or addresses, and gives
// one PEM bundle: leaf certificate, root certificate, leaf key.
func (a *Authority) Issue(hosts []string, now time.Time) ([]byte, error) {
	if len(hosts) == 0 {
		return nil, errors.New("issue certificate: no host")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make leaf key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(LeafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range sorted(hosts) {
		if addr, err := netip.ParseAddr(host); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if len(template.DNSNames) > 0 && len(template.DNSNames[0]) <= 64 {
		template.Subject.CommonName = template.DNSNames[0]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	private, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return slices.Concat(encodeCertificate(der), a.Root(), private), nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func sorted(hosts []string) []string {
	hosts = slices.Clone(hosts)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func readKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(bytes.TrimSpace(text))
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("no PEM block PRIVATE KEY")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a PKCS #8 key")
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%T instead of an ECDSA key", key)
	}
	return private, nil
}

func firstCertificate(text []byte) (*x509.Certificate, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("no PEM block CERTIFICATE")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}
