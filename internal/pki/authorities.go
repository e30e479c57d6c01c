package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// Authorities gives the certificates of authorities that somebody brings in the
// form that programs read, PEM and nothing else: what stands beside them, a key
// above all, is left out. DER is taken as well. Where there is none the error is a
// *GivenError.
func Authorities(text []byte) ([]byte, error) {
	text = plain(text)
	var all []byte
	readable := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
			// One that Go does not read may be good for another program.
			_, err := x509.ParseCertificate(block.Bytes)
			readable = readable || err == nil
			all = append(all, encodeCertificate(block.Bytes)...)
		}
	}
	if readable {
		return all, nil
	}
	certs, err := givenCertificates(text)
	var given *GivenError
	if errors.As(err, &given) {
		switch {
		case bytes.Contains(all, []byte("CERTIFICATE")) || strings.HasPrefix(given.Remedy, "convert"):
		case strings.Contains(given.Why, "PKCS#12"):
			given.Remedy = "take it out: openssl pkcs12 -nokeys -in FILE -out ca.pem"
		default:
			given.Remedy = "name the file of the authority's certificate, in PEM: it begins with -----BEGIN CERTIFICATE-----"
		}
	}
	for _, c := range certs {
		all = append(all, encodeCertificate(c.Raw)...)
	}
	return all, err
}

// AuthoritiesOr is Authorities, and text as it is where there is none.
func AuthoritiesOr(text []byte) []byte {
	if all, err := Authorities(text); err == nil {
		return all
	}
	return text
}
