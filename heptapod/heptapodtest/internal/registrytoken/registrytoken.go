// Package registrytoken issues the tokens that a container registry asks for.
// It computes only.
package registrytoken

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Scope is what a client wants to do with one resource.
type Scope struct {
	Type    string   `json:"type"` // repository, registry
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// A path component of a repository's name, as the registry takes it.
const component = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`

var repository = regexp.MustCompile(`^` + component + `(?:/` + component + `)*$`)

// ParseScope reads "repository:group/project:pull,push" or "registry:catalog:*".
// Anything else is refused: what is not understood must not be granted.
func ParseScope(text string) (Scope, error) {
	kind, rest, ok := strings.Cut(text, ":")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return Scope{}, fmt.Errorf("scope %q: want type:name:actions", text)
	}
	s := Scope{Type: kind, Name: rest[:i]}
	var known []string
	switch kind {
	case "repository":
		if len(s.Name) > 255 || !repository.MatchString(s.Name) {
			return Scope{}, fmt.Errorf("scope %q: not the name of a repository", text)
		}
		known = []string{"pull", "push", "delete", "*"}
	case "registry":
		if s.Name != "catalog" {
			return Scope{}, fmt.Errorf("scope %q: of the registry only the catalog can be asked for", text)
		}
		known = []string{"*"}
	default:
		return Scope{}, fmt.Errorf("scope %q: unknown type", text)
	}
	for a := range strings.SplitSeq(rest[i+1:], ",") {
		if !slices.Contains(known, a) {
			return Scope{}, fmt.Errorf("scope %q: unknown action", text)
		}
		if !slices.Contains(s.Actions, a) {
			s.Actions = append(s.Actions, a)
		}
	}
	return s, nil
}

// ParseScopes reads the values of a request's scope parameters, of which each
// may hold several, separated by spaces. What is malformed is left out.
func ParseScopes(values []string) []Scope {
	var out []Scope
	for _, v := range values {
		for text := range strings.FieldsSeq(v) {
			if s, err := ParseScope(text); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// Key signs tokens.
type Key struct {
	rsa *rsa.PrivateKey
	kid string
}

// NewKey makes a key of 2048 bits.
func NewKey() (*Key, error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make registry key: %w", err)
	}
	return wrap(k)
}

// ParseKey reads an RSA private key in PEM.
func ParseKey(data []byte) (*Key, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("read registry key: not PEM")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return wrap(k)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read registry key: %w", err)
	}
	r, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("read registry key: not an RSA key")
	}
	return wrap(r)
}

func wrap(k *rsa.PrivateKey) (*Key, error) {
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("read registry key: %w", err)
	}
	// GitLab names the key as libtrust did: the first 30 bytes of the SHA-256
	// of the public key's DER in base32, in groups of four.
	sum := sha256.Sum256(der)
	text := base32.StdEncoding.EncodeToString(sum[:30])
	var groups []string
	for chunk := range slices.Chunk([]byte(text), 4) {
		groups = append(groups, string(chunk))
	}
	return &Key{rsa: k, kid: strings.Join(groups, ":")}, nil
}

// ID is the key's id, as it stands in tokens and in the key set.
func (k *Key) ID() string { return k.kid }

// PEM is the private key.
func (k *Key) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.rsa)})
}

// JWKS is the key set that a registry of version 3 needs: from the bundle of
// certificates it computes another id than the tokens carry.
func (k *Key) JWKS() ([]byte, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	return json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": k.kid,
		"n": b64(k.rsa.N.Bytes()), "e": b64(big.NewInt(int64(k.rsa.E)).Bytes()),
	}}})
}

// Certificate is a self-signed certificate of the key, in PEM, for registries
// that take a bundle.
func (k *Key) Certificate(issuer string, now time.Time) ([]byte, error) {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.rsa.PublicKey, k.rsa)
	if err != nil {
		return nil, fmt.Errorf("make registry certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// Grant is what a token says.
type Grant struct {
	Issuer  string
	Service string
	User    string
	Access  []Scope
	Now     time.Time
	Life    time.Duration
}

// Sign makes the token.
func (k *Key) Sign(g Grant) (string, error) {
	id := make([]byte, 16)
	rand.Read(id)
	access := g.Access
	if access == nil {
		access = []Scope{}
	}
	return k.SignClaims(map[string]any{
		"iss": g.Issuer, "aud": g.Service, "sub": g.User, "jti": hex.EncodeToString(id), "access": access,
		"iat": g.Now.Unix(), "nbf": g.Now.Add(-5 * time.Second).Unix(), "exp": g.Now.Add(g.Life).Unix(),
	})
}

// SignClaims makes a token that says what claims say.
func (k *Key) SignClaims(claims map[string]any) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims))
	t.Header["kid"] = k.kid
	text, err := t.SignedString(k.rsa)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return text, nil
}
