package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const manifest = `{"schemaVersion":2}`

func TestDigest(t *testing.T) {
	want := digest.FromString(manifest).String()
	for _, c := range []struct {
		name     string
		ref      string // after the host
		manifest http.HandlerFunc
		creds    Credentials
		want     string // the digest when err is ""
		err      string
		is       error
		asked    string
	}{
		{"tag", "/g/p:v1", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", want) }, alice, want, "", nil,
			"HEAD /v2/g/p/manifests/v1, GET /jwt/auth, HEAD /v2/g/p/manifests/v1"},
		{"no tag", "/g/p", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", want) }, alice, want, "", nil,
			"HEAD /v2/g/p/manifests/latest, GET /jwt/auth, HEAD /v2/g/p/manifests/latest"},
		{"by digest", "/g/p:v1@" + want, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", want) }, alice, want, "", nil,
			"HEAD /v2/g/p/manifests/" + want + ", GET /jwt/auth, HEAD /v2/g/p/manifests/" + want},
		{"no header", "/g/p:v1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, manifest) }, alice, want, "", nil,
			"HEAD /v2/g/p/manifests/v1, GET /jwt/auth, HEAD /v2/g/p/manifests/v1, GET /v2/g/p/manifests/v1"},
		{"no such tag", "/g/p:v1", http.NotFound, alice, "", "no such image", ErrNotFound, ""},
		{"not allowed", "/g/p:v1", says(403, ""), alice, "", "denies it to alice", ErrDenied, ""},
		{"nobody", "/g/p:v1", http.NotFound, Credentials{}, "", "denies access to someone without a name", ErrDenied, ""},
		{"broken", "/g/p:v1", says(500, ""), alice, "", "500", nil, ""},
		{"bad reference", "/G/p", http.NotFound, alice, "", "lowercase", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, false)
			h.manifest = h.guarded(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.Header.Get("Accept"), "application/vnd.oci.image.index.v1+json") {
					t.Errorf("accepts %s", r.Header.Get("Accept"))
				}
				c.manifest(w, r)
			})
			got, err := Digest(t.Context(), nil, h.host()+c.ref, c.creds)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || c.is != nil && !errors.Is(err, c.is) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %s, %v", got, err)
			}
			if asked := strings.Join(h.asked, ", "); asked != c.asked {
				t.Errorf("asked %s\nwant %s", asked, c.asked)
			}
			if scope := h.queries[0].Get("scope"); scope != "repository:g/p:pull" {
				t.Errorf("scope %s", scope)
			}
		})
	}
}

func TestDigestOverTLS(t *testing.T) {
	h := newHub(t, true)
	want := digest.FromString("x").String()
	h.manifest = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", want) }
	if got, err := Digest(t.Context(), h.Client(), "https://"+h.host()+"/g/p", Credentials{}); err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
}
