package registrytoken

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestParseScope(t *testing.T) {
	for text, want := range map[string]string{
		"repository:g/p:pull":           "repository g/p pull",
		"repository:g/p:pull,push":      "repository g/p pull,push",
		"repository:g/p:pull,pull,push": "repository g/p pull,push",
		"repository:g.x/p_a/q--b:*":     "repository g.x/p_a/q--b *",
		"registry:catalog:*":            "registry catalog *",
		"":                              "",
		"repository:g/p":                "",
		"repository::pull":              "",
		"repository:g/p:":               "",
		"repository:g/p:pull,":          "",
		"repository:g/p:admin":          "",
		"repository:g/../p:pull":        "",
		"repository:/g/p:pull":          "",
		"repository:g//p:pull":          "",
		"repository:G/P:pull":           "",
		"repository:g/p:x:pull":         "",
		"repository(plugin):g/p:pull":   "",
		"registry:other:*":              "",
		"registry:catalog:pull":         "",
		"user:root:*":                   "",
		"repository:" + strings.Repeat("a", 256) + ":pull": "",
	} {
		s, err := ParseScope(text)
		got := ""
		if err == nil {
			got = s.Type + " " + s.Name + " " + strings.Join(s.Actions, ",")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzParseScope(f *testing.F) {
	f.Add("repository:g/p:pull,push")
	f.Add("registry:catalog:*")
	f.Add("repository:g/..:p:*")
	path := regexp.MustCompile(`^[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseScope(text)
		if err != nil {
			return
		}
		if !path.MatchString(s.Name) || strings.Contains(s.Name, "..") || strings.Contains(s.Name, "//") || len(s.Actions) == 0 {
			t.Fatalf("%q was taken for %+v", text, s)
		}
		again, err := ParseScope(s.Type + ":" + s.Name + ":" + strings.Join(s.Actions, ","))
		if err != nil || !slices.Equal(again.Actions, s.Actions) {
			t.Fatalf("%q does not survive: %v", text, err)
		}
	})
}

func TestSign(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if k, err = ParseKey(k.PEM()); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$`).MatchString(k.ID()) {
		t.Errorf("key id %q", k.ID())
	}
	data, err := k.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct{ Kid, Kty, Alg, Use, N, E string }
	}
	if err := json.Unmarshal(data, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%s: %v", data, err)
	}
	pub := set.Keys[0]
	n, err := base64.RawURLEncoding.DecodeString(pub.N)
	if err != nil || pub.E != "AQAB" || pub.Kid != k.ID() || pub.Kty != "RSA" || pub.Alg != "RS256" || pub.Use != "sig" {
		t.Fatalf("key %+v, %v", pub, err)
	}
	now := time.Now()
	text, err := k.Sign(Grant{Issuer: "i", Service: "s", User: "u", Now: now, Life: time.Minute, Access: []Scope{{"repository", "g/p", []string{"pull"}}}})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jwt.Parse(text, func(tok *jwt.Token) (any, error) {
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}, nil
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("i"), jwt.WithAudience("s"), jwt.WithSubject("u"))
	if err != nil || tok.Header["kid"] != k.ID() || tok.Header["typ"] != "JWT" {
		t.Errorf("token %v: %v", tok.Header, err)
	}
	cert, err := k.Certificate("i", now)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(cert)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || c.Subject.CommonName != "i" || !c.PublicKey.(*rsa.PublicKey).Equal(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}) {
		t.Errorf("certificate: %v", err)
	}
	for _, bad := range []string{"", "x", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(bad)); err == nil {
			t.Errorf("key %q was taken", bad)
		}
	}
}
