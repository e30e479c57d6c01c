package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/bom"
)

// GivenError is what is wrong with one of the two files of a certificate that
// somebody brings, and what to do about it.
type GivenError struct {
	Key    bool // it is the file of the key, else that of the certificate
	Why    string
	Remedy string // FILE stands for the file
}

func (e *GivenError) Error() string { return e.Why }

// Given gives a certificate and its key, as people have them, in the form that
// servers read: PEM, the certificate of the key first, then those that issued
// it, each before its own issuer. DER is taken as well, and a key beside the
// certificate in one file. What cannot be read is a *GivenError, two that do not
// belong together are ErrMismatch.
func Given(cert, key []byte) (chain, private []byte, err error) {
	certs, err := givenCertificates(cert)
	if err != nil {
		return nil, nil, err
	}
	private, public, err := givenKey(key)
	if err != nil {
		return nil, nil, err
	}
	leaf := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
		has, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		return ok && has.Equal(public)
	})
	if leaf < 0 {
		return nil, nil, ErrMismatch
	}
	for _, c := range inOrder(certs, certs[leaf]) {
		chain = append(chain, encodeCertificate(c.Raw)...)
	}
	return chain, private, nil
}

// inOrder gives the leaf, then the issuer of each, then what is no part of that.
func inOrder(certs []*x509.Certificate, leaf *x509.Certificate) []*x509.Certificate {
	rest := slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return c.Equal(leaf) })
	list := []*x509.Certificate{leaf}
	for {
		last := list[len(list)-1]
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			return append(list, rest...)
		}
		list = append(list, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
}

// plain is a text without the mark that some editors begin a file with.
func plain(text []byte) []byte { return bom.Trim(text) }

func givenCertificates(text []byte) ([]*x509.Certificate, error) {
	text = plain(text)
	wrong := func(why, remedy string) ([]*x509.Certificate, error) {
		return nil, &GivenError{Why: why, Remedy: remedy}
	}
	var certs []*x509.Certificate
	other := ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return wrong("the certificate in it is damaged", "copy the file anew from where the certificate was issued")
			}
			certs = append(certs, c)
		default:
			other = block.Type
		}
	}
	if len(certs) > 0 {
		return certs, nil
	}
	switch {
	case other == "PKCS7" || pkcs7(text):
		form := ""
		if other == "" {
			form = " -inform DER"
		}
		return wrong("it is PKCS#7 and not PEM", "convert it: openssl pkcs7"+form+" -print_certs -in FILE -out chain.pem")
	case strings.Contains(other, "PRIVATE KEY"):
		return wrong("it holds a private key and no certificate", "name the file of the certificate here; the two files may be swapped")
	case strings.HasSuffix(other, "CERTIFICATE REQUEST"):
		return wrong("it is a request for a certificate", "name the certificate that the authority has made of it")
	case other != "":
		return wrong("it holds "+other+" and no certificate", "name the file of the certificate with its chain, in PEM")
	case pkcs12(text):
		return wrong("it is PKCS#12 and not PEM", "take both out of it: openssl pkcs12 -nokeys -in FILE -out chain.pem, and openssl pkcs12 -nocerts -nodes -in FILE -out key.pem")
	}
	if c, err := x509.ParseCertificates(text); err == nil && len(c) > 0 {
		return c, nil
	}
	return wrong("there is no certificate in it", "name the file of the certificate with its chain, in PEM: it begins with -----BEGIN CERTIFICATE-----")
}

// givenKey gives a private key as one PEM block, and its public half.
func givenKey(text []byte) ([]byte, crypto.PublicKey, error) {
	text = plain(text)
	wrong := func(why, remedy string) ([]byte, crypto.PublicKey, error) {
		return nil, nil, &GivenError{Key: true, Why: why, Remedy: remedy}
	}
	other := ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return wrong("it is encrypted, and nobody types its password when the proxy starts", "decrypt it into a file of its own, which only you may read: (umask 077; openssl pkey -in FILE -out key.pem)")
		case block.Type == "OPENSSH PRIVATE KEY":
			return wrong("it is a key for ssh", "name the key that the certificate was made for")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			public, err := publicOf(block.Bytes)
			if err != nil {
				return wrong("the key in it is damaged, or of a kind that servers do not use", "copy the file anew from where the key was made")
			}
			return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}), public, nil
		case block.Type != "EC PARAMETERS":
			other = block.Type
		}
	}
	switch {
	case other == "CERTIFICATE":
		return wrong("it holds a certificate and no key", "name the file of the certificate's private key here; the two files may be swapped")
	case other != "":
		return wrong("it holds "+other+" and no private key", "name the file of the certificate's private key, in PEM")
	case pkcs12(text):
		return wrong("it is PKCS#12 and not PEM", "take the key out of it: (umask 077; openssl pkcs12 -nocerts -nodes -in FILE -out key.pem)")
	}
	for kind, parse := range map[string]func([]byte) error{
		"PRIVATE KEY":     func(b []byte) error { _, err := x509.ParsePKCS8PrivateKey(b); return err },
		"RSA PRIVATE KEY": func(b []byte) error { _, err := x509.ParsePKCS1PrivateKey(b); return err },
		"EC PRIVATE KEY":  func(b []byte) error { _, err := x509.ParseECPrivateKey(b); return err },
	} {
		if parse(text) == nil {
			public, err := publicOf(text)
			return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: text}), public, err
		}
	}
	return wrong("there is no private key in it", "name the file of the certificate's private key, in PEM: it begins with -----BEGIN PRIVATE KEY-----")
}

func publicOf(der []byte) (crypto.PublicKey, error) {
	var key any
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if key, err = x509.ParseECPrivateKey(der); err != nil {
			key, err = x509.ParsePKCS1PrivateKey(der)
		}
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("it signs nothing")
	}
	return signer.Public(), nil
}

// pkcs7 reports whether a text is signed data of PKCS#7 in DER.
func pkcs7(text []byte) bool {
	var outer struct {
		Kind    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(text, &outer)
	return err == nil && outer.Kind.String() == "1.2.840.113549.1.7.2"
}

// pkcs12 reports whether a text is a store of PKCS#12.
func pkcs12(text []byte) bool {
	var outer struct {
		Version int
		Content asn1.RawValue
		MAC     asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(text, &outer)
	return err == nil && outer.Version == 3
}

// namesAlone says that a certificate has its name where no client looks any
// more; "" for any other.
func namesAlone(cert *x509.Certificate) string {
	if len(cert.DNSNames)+len(cert.IPAddresses) > 0 || cert.Subject.CommonName == "" {
		return ""
	}
	return fmt.Sprintf("it has its name %s as common name alone, which clients do not read; it needs it as subjectAltName", cert.Subject.CommonName)
}
