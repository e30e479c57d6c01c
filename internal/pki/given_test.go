package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// link is a certificate with its key, and the one that issued it.
type link struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (l link) pem() []byte { return encodeCertificate(l.cert.Raw) }

// under makes a certificate that parent has issued, itself where parent is nil.
func under(t *testing.T, parent *link, name string, change func(*x509.Certificate)) link {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := newSerial()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	if change != nil {
		change(template)
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return link{cert, key}
}

func forHost(c *x509.Certificate) { c.IsCA, c.DNSNames = false, []string{"hg.example.org"} }

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// What people have is read in whatever order and form it comes, and what cannot
// be is called by its name, with the way out.
func TestGiven(t *testing.T) {
	root := under(t, nil, "root", nil)
	middle := under(t, &root, "middle", nil)
	leaf := under(t, &middle, "leaf", forHost)
	other := under(t, nil, "other", nil)
	chain := slices.Concat(leaf.pem(), middle.pem(), root.pem())
	der := pkcs8(t, leaf.key)
	key := block("PRIVATE KEY", der)
	sec1, err := x509.MarshalECPrivateKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := asn1.Marshal(struct {
		Kind    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{0x30, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := asn1.Marshal(struct {
		Version int
		Content asn1.RawValue
	}{3, asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: []byte{5, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	mark := []byte("\ufeff")
	for name, c := range map[string]struct {
		cert, key []byte
		why       string // "" where both are taken
		remedy    string
	}{
		"in order":             {chain, key, "", ""},
		"root first":           {slices.Concat(root.pem(), middle.pem(), leaf.pem()), key, "", ""},
		"mixed":                {slices.Concat(middle.pem(), leaf.pem(), root.pem()), key, "", ""},
		"windows":              {slices.Concat(mark, bytes.ReplaceAll(chain, []byte("\n"), []byte("\r\n"))), slices.Concat(mark, key), "", ""},
		"text around it":       {slices.Concat([]byte("subject=CN = leaf\n"), chain, []byte("\n\n")), slices.Concat([]byte("Bag Attributes\n"), key), "", ""},
		"key in the same file": {slices.Concat(key, chain), slices.Concat(key, chain), "", ""},
		"DER":                  {slices.Concat(leaf.cert.Raw, middle.cert.Raw, root.cert.Raw), der, "", ""},
		"key of OpenSSL":       {chain, slices.Concat(block("EC PARAMETERS", []byte{6, 8}), block("EC PRIVATE KEY", sec1)), "", ""},
		"key of OpenSSL, DER":  {chain, sec1, "", ""},
		"encrypted":            {chain, block("ENCRYPTED PRIVATE KEY", der), "it is encrypted", "openssl pkey"},
		"encrypted, old": {chain, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: der}),
			"it is encrypted", "openssl pkey"},
		"PKCS#7":       {block("PKCS7", signed), key, "it is PKCS#7", "openssl pkcs7 -print_certs"},
		"PKCS#7, DER":  {signed, key, "it is PKCS#7", "openssl pkcs7 -inform DER -print_certs"},
		"PKCS#12":      {store, key, "it is PKCS#12", "openssl pkcs12 -nokeys"},
		"key, PKCS#12": {chain, store, "it is PKCS#12", "openssl pkcs12 -nocerts"},
		"swapped":      {key, chain, "it holds a private key and no certificate", "may be swapped"},
		"twice":        {chain, chain, "it holds a certificate and no key", "may be swapped"},
		"request":      {block("CERTIFICATE REQUEST", der), key, "it is a request", "that the authority has made"},
		"ssh":          {chain, block("OPENSSH PRIVATE KEY", der), "it is a key for ssh", ""},
		"damaged":      {block("CERTIFICATE", der), key, "is damaged", "copy the file anew"},
		"damaged key":  {chain, block("PRIVATE KEY", der[1:]), "the key in it is damaged", "copy the file anew"},
		"text":         {[]byte("hello"), key, "there is no certificate", "-----BEGIN CERTIFICATE-----"},
		"no key":       {chain, []byte("hello"), "there is no private key", "-----BEGIN PRIVATE KEY-----"},
	} {
		got, private, err := Given(c.cert, c.key)
		if c.why != "" {
			var given *GivenError
			if !errors.As(err, &given) || !strings.Contains(given.Why, c.why) || !strings.Contains(given.Remedy, c.remedy) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, chain) {
			t.Errorf("%s: %v\n%s", name, err, got)
			continue
		}
		if _, err := tls.X509KeyPair(got, private); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Given(other.pem(), key); !errors.Is(err, ErrMismatch) {
		t.Errorf("another key: %v", err)
	}
	if got, _, err := Given(slices.Concat(other.pem(), leaf.pem(), root.pem()), key); err != nil || !bytes.HasPrefix(got, leaf.pem()) || !bytes.Contains(got, other.pem()) {
		t.Errorf("a chain with a gap: %v", err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.Add(time.Hour), DNSNames: []string{"hg.example.org"}}
	raw, err := x509.CreateCertificate(rand.Reader, self, self, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Given(encodeCertificate(raw), x509.MarshalPKCS1PrivateKey(private)); err != nil {
		t.Errorf("an RSA key of OpenSSL, DER: %v", err)
	}
}

func TestNameInTheCommonNameAlone(t *testing.T) {
	leaf := under(t, nil, "hg.example.org", func(c *x509.Certificate) { c.IsCA = false })
	err := Check(leaf.pem(), block("PRIVATE KEY", pkcs8(t, leaf.key)), []string{"hg.example.org"}, now)
	if !errors.Is(err, ErrHost) || !strings.Contains(err.Error(), "hg.example.org as common name alone") {
		t.Errorf("%v", err)
	}
}

func FuzzGiven(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), []byte("x"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		chain, private, err := Given(cert, key)
		if err != nil {
			if len(key) > 8 && strings.Contains(err.Error(), string(key)) {
				t.Error("an error holds the key")
			}
			return
		}
		if _, err := tls.X509KeyPair(chain, private); err != nil {
			t.Errorf("%v", err)
		}
	})
}
