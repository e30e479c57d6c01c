package heptapodtest_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// publicKeys are the keys that a forge publishes for those who check ID tokens,
// by their ids.
func publicKeys(t *testing.T, url string) map[string]*rsa.PublicKey {
	t.Helper()
	get := func(url string, into any) {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", url, err, data)
		}
	}
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	get(url+"/.well-known/openid-configuration", &about)
	if about.Issuer != url {
		t.Errorf("the issuer is %s", about.Issuer)
	}
	var set struct {
		Keys []struct{ Kid, N, E string }
	}
	get(about.Keys, &set)
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil {
			t.Fatal(err)
		}
		keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	}
	return keys
}

// A job's ID tokens say which job it is, to whom it wants to prove that, and can
// be checked with what the forge publishes; the registry's key is another one.
func TestIDTokens(t *testing.T) {
	s, _, _ := forgeWith(t, "git", `
default: {id_tokens: {INHERITED: {aud: everybody}}}
a:
  script: [x]
  environment: production
  id_tokens:
    ONE: {aud: "https://$WHERE.example"}
    MANY: {aud: [first, second]}
  variables: {WHERE: vault}
b: {stage: deploy, script: [x]}
`)
	r := newRunner(t, s, newest())
	j := r.take()
	keys := publicKeys(t, s.URL)
	parse := func(name string) jwt.MapClaims {
		t.Helper()
		text, ok := j.variable(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) { return keys[token.Header["kid"].(string)], nil }, jwt.WithValidMethods([]string{"RS256"}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return claims
	}
	claims := parse("ONE")
	for key, want := range map[string]any{
		"iss": s.URL, "aud": "https://vault.example", "sub": "project_path:group/project:ref_type:branch:ref:main",
		"project_path": "group/project", "namespace_path": "group", "ref": "main", "ref_path": "refs/heads/main", "pipeline_source": "push",
		"user_login": "root", "environment": "production", "runner_environment": "self-hosted",
		"ci_config_ref_uri": strings.TrimPrefix(s.URL, "http://") + "/group/project//.gitlab-ci.yml@refs/heads/main",
	} {
		if claims[key] != want {
			t.Errorf("%s is %v, want %v", key, claims[key], want)
		}
	}
	if aud, err := parse("MANY").GetAudience(); err != nil || strings.Join(aud, " ") != "first second" {
		t.Errorf("audience %v, %v", aud, err)
	}
	if _, ok := j.variable("INHERITED"); ok {
		t.Error("tokens of its own replace the inherited ones")
	}
	for _, v := range j.Variables {
		if v.Key == "ONE" && (v.Public || !v.Masked) {
			t.Errorf("a token is shown: %+v", v)
		}
	}
	registry, err := s.RegistryJWKS()
	if err != nil {
		t.Fatal(err)
	}
	for kid := range keys {
		if bytes.Contains(registry, []byte(kid)) {
			t.Error("the registry takes ID tokens")
		}
	}
	j.put("success", nil)
	j = r.take()
	if aud := parse("INHERITED")["aud"]; aud != "everybody" {
		t.Errorf("the inherited audience is %v", aud)
	}
}
