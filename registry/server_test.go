package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const (
	canary   = "s3cr3t-canary" // a password
	passport = "t0k3n-canary"  // a token
)

var alice = Credentials{User: "alice", Password: NewSecret(canary)}

// hub is a registry and the forge that hands out its tokens, in one server. A
// test replaces what is to go wrong.
type hub struct {
	*httptest.Server
	root      http.HandlerFunc // GET /v2/
	realm     http.HandlerFunc // GET /jwt/auth
	manifest  http.HandlerFunc // /v2/g/p/manifests/…
	challenge string           // %s is the server's URL
	asked     []string
	queries   []url.Values // of the realm
}

func newHub(t *testing.T, tls bool) *hub {
	t.Helper()
	h := &hub{challenge: `Bearer realm="%s/jwt/auth",service="container_registry"`}
	h.root = h.guarded(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	h.manifest = h.guarded(http.NotFound)
	h.realm = func(w http.ResponseWriter, r *http.Request) {
		user, password, given := r.BasicAuth()
		if given && (user != alice.User || password != canary) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"HTTP Basic: Access denied"}]}`)
			return
		}
		if !given {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"token": passport})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/{$}", func(w http.ResponseWriter, r *http.Request) { h.root(w, r) })
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) { h.manifest(w, r) })
	mux.HandleFunc("/jwt/auth", func(w http.ResponseWriter, r *http.Request) {
		h.queries = append(h.queries, r.URL.Query())
		h.realm(w, r)
	})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked = append(h.asked, r.Method+" "+r.URL.Path)
		mux.ServeHTTP(w, r)
	})
	h.Server = httptest.NewUnstartedServer(handler)
	h.Config.ErrorLog = quiet
	if tls {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	return h
}

// guarded asks for a token before it lets through.
func (h *hub) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+passport {
			next(w, r)
			return
		}
		if h.challenge != "" {
			challenge := h.challenge
			if strings.Contains(challenge, "%s") {
				challenge = fmt.Sprintf(challenge, h.URL)
			}
			w.Header().Set("WWW-Authenticate", challenge)
		}
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	}
}

// host is the server as image references name it.
func (h *hub) host() string { return h.Listener.Addr().String() }

func says(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}
}

func redirects(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusMovedPermanently) }
}
