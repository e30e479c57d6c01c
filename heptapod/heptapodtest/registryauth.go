package heptapodtest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/registrytoken"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// registryService is what tokens are made for.
const registryService = "container_registry"

// registryURL is where the registry is; it may become known after the forge's start.
type registryURL struct {
	mu  sync.RWMutex
	url string
}

func (r *registryURL) get() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.url
}

func (r *registryURL) set(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.url = strings.TrimRight(url, "/")
}

// SetRegistry tells the forge where its registry is, for a registry that can
// only start once the forge is there.
func (s *Server) SetRegistry(url string) { s.registry.set(url) }

// registryHost is host[:port] of the registry, "" without one.
func (s *Server) registryHost() string {
	u, err := url.Parse(s.registry.get())
	if err != nil {
		return ""
	}
	return u.Host
}

// signingKey is made when it is first needed: it takes its time.
type signingKey struct {
	mu  sync.Mutex
	key *registrytoken.Key
}

func (s *Server) registryKey() (*registrytoken.Key, error) {
	return s.signing.load(filepath.Join(s.cfg.Dir, "registry.key"), []byte(s.cfg.RegistryKey.Reveal()))
}

// load gives the key of data, that of a file, or one that is made and kept there.
func (k *signingKey) load(path string, data []byte) (*registrytoken.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key != nil {
		return k.key, nil
	}
	var err error
	if len(data) == 0 {
		data, err = os.ReadFile(path)
	}
	var key *registrytoken.Key
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key, err = registrytoken.NewKey(); err == nil {
			err = renameio.WriteFile(path, key.PEM(), 0o600)
		}
	case err == nil:
		key, err = registrytoken.ParseKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", filepath.Base(path), err)
	}
	k.key = key
	return key, nil
}

// RegistryJWKS is the key set with which a registry of version 3 checks tokens.
func (s *Server) RegistryJWKS() ([]byte, error) {
	k, err := s.registryKey()
	if err != nil {
		return nil, err
	}
	return k.JWKS()
}

// RegistryCertificate is the certificate, PEM, with which older registries check tokens.
func (s *Server) RegistryCertificate() ([]byte, error) {
	k, err := s.registryKey()
	if err != nil {
		return nil, err
	}
	return k.Certificate(s.cfg.RegistryIssuer, time.Now())
}

// registryAuth is the realm of the registry: GET with Basic credentials, or
// the POST form with grant_type password.
func (s *Server) registryAuth(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r}
	if err := s.registryToken(c); err != nil {
		c.refuse(err)
	}
}

func registryError(status int, code, text string) error {
	return &problem{status, map[string]any{"errors": []any{map[string]any{"code": code, "message": text}}}}
}

func (s *Server) registryToken(c *call) error {
	var form url.Values
	switch c.r.Method {
	case http.MethodGet:
		form = c.r.URL.Query()
	case http.MethodPost:
		c.r.Body = http.MaxBytesReader(c.w, c.r.Body, 1<<20)
		if err := c.r.ParseForm(); err != nil {
			return badRequest("invalid form")
		}
		form = c.r.Form
	default:
		return message(http.StatusMethodNotAllowed, "405 Not Allowed")
	}
	if s.registry.get() == "" || form.Get("service") != registryService {
		return notFound("")
	}
	denied := registryError(http.StatusUnauthorized, "UNAUTHORIZED", "HTTP Basic: Access denied")
	wanted := registrytoken.ParseScopes(form["scope"])
	var who identity
	var access []registrytoken.Scope
	var minutes int
	var deploy *store.DeployToken
	err := s.db.View(func(tx *store.Tx) error {
		var err error
		user, secret := form.Get("username"), form.Get("password")
		if basicUser, basicSecret, basic := c.r.BasicAuth(); basic {
			user, secret = basicUser, basicSecret
		}
		if deploy = s.deployTokenFor(tx, user, secret); deploy != nil {
			minutes = tx.Settings().RegistryTokenMinutes
			for _, want := range wanted {
				if got := grantDeploy(tx, deploy, want); len(got.Actions) > 0 {
					access = append(access, got)
				}
			}
			return nil
		}
		if c.r.Method == http.MethodPost && form.Get("grant_type") != "" {
			if form.Get("grant_type") != "password" {
				return &problem{http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"}}
			}
			who, err = s.byBasic(tx, form.Get("username"), form.Get("password"))
		} else {
			who, err = s.basic(tx, c.r)
		}
		if err != nil {
			return denied
		}
		if !who.scoped("api", "read_api", "read_registry", "write_registry") {
			return denied
		}
		minutes = tx.Settings().RegistryTokenMinutes
		for _, want := range wanted {
			if got := grant(tx, who, want); len(got.Actions) > 0 {
				access = append(access, got)
			}
		}
		return nil
	})
	if err != nil {
		var p *problem
		if errors.As(err, &p) && p.status == http.StatusUnauthorized {
			c.w.Header().Set("WWW-Authenticate", `Basic realm="GitLab Registry"`)
		}
		return err
	}
	if who.anonymous() && deploy == nil && len(access) == 0 {
		return registryError(http.StatusForbidden, "DENIED", "access forbidden")
	}
	key, err := s.registryKey()
	if err != nil {
		return err
	}
	name := ""
	switch {
	case who.user != nil:
		name = who.user.Username
	case deploy != nil:
		name = deploy.Username
	}
	now := s.now()
	life := time.Duration(minutes) * time.Minute
	token, err := key.Sign(registrytoken.Grant{
		Issuer: s.cfg.RegistryIssuer, Service: registryService, User: name, Access: access, Now: now, Life: life,
	})
	if err != nil {
		return err
	}
	// A client takes a token without expires_in for one of 60 seconds.
	return c.json(http.StatusOK, map[string]any{
		"token": token, "access_token": token, "expires_in": int(life.Seconds()), "issued_at": now.Format(time.RFC3339),
	})
}

// grant leaves of a scope what someone may do. A repository belongs to the
// project at its path or at the nearest one above.
func grant(tx *store.Tx, who identity, want registrytoken.Scope) registrytoken.Scope {
	got := registrytoken.Scope{Type: want.Type, Name: want.Name}
	if want.Type == "registry" {
		if who.admin() && who.scoped("api") {
			got.Actions = want.Actions
		}
		return got
	}
	p := projectOf(tx, want.Name)
	if p == nil {
		return got
	}
	may := map[string]bool{
		"pull": can(tx, who, p, store.Reporter) && who.scoped("api", "read_api", "read_registry", "write_registry"),
		"push": can(tx, who, p, store.Developer) && who.scoped("api", "write_registry"),
	}
	if who.job == nil {
		// A job deletes nowhere; that it pushes to its own project only is can's.
		may["delete"] = can(tx, who, p, store.Developer) && who.scoped("api", "write_registry")
		may["*"] = can(tx, who, p, store.Maintainer) && who.scoped("api", "write_registry")
	}
	for _, a := range want.Actions {
		if may[a] && !slices.Contains(got.Actions, a) {
			got.Actions = append(got.Actions, a)
		}
	}
	return got
}

// projectOf is the project at a repository's path or at the nearest one above.
func projectOf(tx *store.Tx, repository string) *store.Project {
	p := tx.Project(repository)
	for path, nested := repository, true; p == nil && nested; {
		if path, _, nested = cutLast(path); nested {
			p = tx.Project(path)
		}
	}
	return p
}
