package pki

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Certificates of authorities are taken in each form that holds nothing else,
// and a key beside them goes nowhere.
func TestAuthorities(t *testing.T) {
	root, other := under(t, nil, "root", nil), under(t, nil, "other", nil)
	key := block("PRIVATE KEY", pkcs8(t, root.key))
	both := slices.Concat(root.pem(), other.pem())
	odd := block("CERTIFICATE", []byte{0x30, 0})
	for name, c := range map[string]struct {
		text, want  []byte
		why, remedy string
	}{
		"PEM":                    {text: both, want: both},
		"with text, CRLF":        {text: slices.Concat([]byte("\ufeff# root\r\n"), bytes.ReplaceAll(root.pem(), []byte("\n"), []byte("\r\n"))), want: root.pem()},
		"with its key":           {text: slices.Concat(key, root.pem()), want: root.pem()},
		"DER":                    {text: slices.Concat(root.cert.Raw, other.cert.Raw), want: both},
		"one that is unreadable": {text: slices.Concat(odd, root.pem()), want: slices.Concat(odd, root.pem())},
		"damaged":                {text: odd, why: "the certificate in it is damaged", remedy: "copy the file anew"},
		"a key":                  {text: key, why: "it holds a private key and no certificate", remedy: "name the file of the authority's certificate"},
		"PKCS#7":                 {text: block("PKCS7", []byte{0x30, 0}), why: "it is PKCS#7", remedy: "openssl pkcs7 -print_certs -in FILE"},
		"PKCS#12":                {text: []byte{0x30, 0x05, 0x02, 0x01, 0x03, 0x30, 0x00}, why: "it is PKCS#12", remedy: "openssl pkcs12 -nokeys -in FILE -out ca.pem"},
		"text":                   {text: []byte("hello"), why: "there is no certificate in it", remedy: "-----BEGIN CERTIFICATE-----"},
	} {
		got, err := Authorities(c.text)
		if c.why == "" {
			if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%s: %v\n%s", name, err, got)
			}
			continue
		}
		var given *GivenError
		if !errors.As(err, &given) || !strings.Contains(given.Why, c.why) || !strings.Contains(given.Remedy, c.remedy) {
			t.Errorf("%s: %+v", name, err)
		}
		if kept := AuthoritiesOr(c.text); !bytes.Equal(kept, c.text) {
			t.Errorf("%s: %q", name, kept)
		}
	}
}
