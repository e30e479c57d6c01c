package registry

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	memory "github.com/google/go-containerregistry/pkg/registry"
)

// newStore is a hub with an empty registry behind its tokens.
func newStore(t *testing.T, tls bool) (*hub, http.Handler) {
	t.Helper()
	h := newHub(t, tls)
	store := memory.New(memory.Logger(quiet))
	h.manifest = h.guarded(store.ServeHTTP)
	return h, store
}

var probed = []string{"+ registry answers", "+ registry asks for a token", "+ tokens are had over https", "+ forge issues tokens"}

// when answers requests of one kind differently.
func when(h *hub, method, part string, then http.HandlerFunc) {
	next := h.manifest
	h.manifest = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method && strings.Contains(r.URL.Path, part) && r.Header.Get("Authorization") != "" {
			then(w, r)
			return
		}
		next(w, r)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *hub)
		creds Credentials
		want  []string // after what Probe finds
	}{
		{"good", func(*testing.T, *hub) {}, alice,
			[]string{"+ user logs in", "+ image is pushed: g/p:hepta-check", "+ image is pulled: sha256:", "+ image is removed again"}},
		{"wrong password", func(*testing.T, *hub) {}, Credentials{User: "alice", Password: NewSecret("x")}, []string{"- user logs in: denies access to alice"}},
		{"guest", func(_ *testing.T, h *hub) { when(h, "POST", "/uploads/", says(401, "")) }, alice,
			[]string{"+ user logs in", "- image is pushed: does not let this user do that in g/p"}},
		{"read-only", func(_ *testing.T, h *hub) { when(h, "POST", "/uploads/", says(405, "")) }, alice,
			[]string{"+ user logs in", "- image is pushed: read-only"}},
		{"full disk", func(_ *testing.T, h *hub) { when(h, "PUT", "/uploads/", says(500, "")) }, alice,
			[]string{"+ user logs in", "- image is pushed: does not take or give"}},
		{"buffering", func(_ *testing.T, h *hub) { when(h, "PUT", "/uploads/", says(413, "")) }, alice,
			[]string{"+ user logs in", "- image is pushed: limits how much"}},
		{"no manifest", func(_ *testing.T, h *hub) { when(h, "PUT", "/manifests/", says(404, "")) }, alice,
			[]string{"+ user logs in", "- image is pushed: PUT of the manifest: 404"}},
		{"wrong Location", func(_ *testing.T, h *hub) {
			when(h, "POST", "/uploads/", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://registry.internal:5000/v2/g/p/blobs/uploads/1?_state=x")
				w.WriteHeader(202)
			})
		}, alice, []string{"+ user logs in", "- image is pushed: uploads are sent to http://registry.internal:5000"}},
		{"no Location", func(_ *testing.T, h *hub) { when(h, "POST", "/uploads/", says(202, "")) }, alice,
			[]string{"+ user logs in", "- image is pushed: no Location"}},
		{"damaged", func(_ *testing.T, h *hub) { when(h, "GET", "/blobs/", says(200, "something else")) }, alice,
			[]string{"+ user logs in", "+ image is pushed", "- image is pulled: not what was pushed", "+ image is removed again"}},
		{"gone", func(_ *testing.T, h *hub) { when(h, "GET", "/manifests/", says(502, "")) }, alice,
			[]string{"+ user logs in", "+ image is pushed", "- image is pulled: went away", "+ image is removed again"}},
		{"redirects in a circle", func(_ *testing.T, h *hub) { when(h, "GET", "/blobs/", redirects("/v2/g/p/blobs/again")) }, alice,
			[]string{"+ user logs in", "+ image is pushed", "- image is pulled: five redirects", "+ image is removed again"}},
		{"no deletion", func(_ *testing.T, h *hub) { when(h, "DELETE", "/manifests/", says(405, "")) }, alice,
			[]string{"+ user logs in", "+ image is pushed", "+ image is pulled", "+ image is removed again: hepta-check stays: deletion is switched off"}},
		{"may not delete", func(_ *testing.T, h *hub) { when(h, "DELETE", "/manifests/", says(401, "")) }, alice,
			[]string{"+ user logs in", "+ image is pushed", "+ image is pulled", "+ image is removed again: hepta-check stays: this user"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := newStore(t, true)
			c.spoil(t, h)
			report, err := Check(t.Context(), h.Client(), h.URL, "g/p", c.creds)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, report, slices.Concat(probed, c.want))
			for _, f := range report.Findings {
				if strings.Contains(f.Saw+f.Means+f.Remedy, canary) || strings.Contains(f.Saw+f.Means+f.Remedy, passport) {
					t.Errorf("%s tells a secret", f.Check)
				}
			}
		})
	}
}

// What makes no sense without an answer to Probe's questions is not tried.
func TestCheckStopsEarly(t *testing.T) {
	h, _ := newStore(t, true)
	h.realm = says(404, "")
	report, err := Check(t.Context(), h.Client(), h.URL, "g/p", alice)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, report, append(slices.Clone(probed[:3]), "- forge issues tokens: does not know the registry"))
}

// A registry may keep its blobs elsewhere; the token does not go there.
func TestCheckFollowsBlobsWithoutToken(t *testing.T) {
	h, store := newStore(t, true)
	var seen []string
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		store.ServeHTTP(w, r)
	}))
	defer bucket.Close()
	when(h, "GET", "/blobs/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, bucket.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	report, err := Check(t.Context(), h.Client(), h.URL, "g/p", alice)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || !slices.Equal(seen, []string{""}) {
		t.Errorf("got %+v, the bucket saw %q", report.Findings, seen)
	}
}

// What was pushed is gone, and was asked for in two scopes.
func TestCheckLeavesNothing(t *testing.T) {
	h, store := newStore(t, false)
	if _, err := Check(t.Context(), nil, h.URL, "g/p", alice); err != nil {
		t.Fatal(err)
	}
	deleted := h.deleted()
	if deleted == "" {
		t.Fatalf("asked %q", h.asked)
	}
	answer := httptest.NewRecorder()
	store.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, deleted, nil))
	if answer.Code != http.StatusNotFound {
		t.Errorf("the image answers %d", answer.Code)
	}
	var scopes []string
	for _, q := range h.queries {
		if s := q.Get("scope"); s != "" {
			scopes = append(scopes, s)
		}
	}
	if want := []string{"repository:g/p:pull,push", "repository:g/p:delete,pull"}; !slices.Equal(scopes, want) {
		t.Errorf("scopes %q, want %q", scopes, want)
	}
}

// deleted is the address of the manifest that was deleted by its digest; a
// registry removes the tags with it.
func (h *hub) deleted() string {
	for _, asked := range h.asked {
		if path, ok := strings.CutPrefix(asked, "DELETE "); ok && strings.Contains(path, "/manifests/sha256:") {
			return path
		}
	}
	return ""
}

// An interruption after the push still removes what was pushed.
func TestCheckInterrupted(t *testing.T) {
	h, _ := newStore(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	when(h, "GET", "/manifests/", func(w http.ResponseWriter, _ *http.Request) { cancel(); w.WriteHeader(http.StatusBadGateway) })
	if _, err := Check(ctx, nil, h.URL, "g/p", alice); err == nil {
		t.Error("no error")
	}
	if h.deleted() == "" {
		t.Errorf("asked %q", h.asked)
	}
}

func TestCheckRefuses(t *testing.T) {
	h, _ := newStore(t, false)
	for _, repository := range []string{"", "G/P", "g/p:tag", "g p", "/g", "g/p@sha256:x"} {
		if _, err := Check(t.Context(), nil, h.URL, repository, alice); err == nil {
			t.Errorf("%q is taken", repository)
		}
	}
	if _, err := Check(t.Context(), nil, h.URL, "g/p", Credentials{}); err == nil {
		t.Error("nobody is taken")
	}
	if len(h.asked) > 0 {
		t.Errorf("asked %q", h.asked)
	}
}
