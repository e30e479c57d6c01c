package heptapodtest

import (
	"net/http"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

func (s *Server) settings() (store.Settings, error) {
	var set store.Settings
	err := s.db.View(func(tx *store.Tx) error { set = tx.Settings(); return nil })
	return set, err
}

func shownSettings(set store.Settings) map[string]any {
	return map[string]any{
		"id": 1, "signup_enabled": false, "default_project_visibility": store.Private,
		"allow_runner_registration_token":       set.AllowRegistrationToken,
		"runners_registration_token":            set.RegistrationToken,
		"container_registry_token_expire_delay": set.RegistryTokenMinutes,
		"max_artifacts_size":                    100, "default_artifacts_expire_in": "30 days",
	}
}

func (s *Server) getSettings(c *call) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, shownSettings(set))
}

func (s *Server) putSettings(c *call) error {
	var set store.Settings
	err := c.update(func(tx *store.Tx) error {
		set = tx.Settings()
		set.AllowRegistrationToken = c.p.Bool("allow_runner_registration_token", set.AllowRegistrationToken)
		set.RegistryTokenMinutes = c.p.Int("container_registry_token_expire_delay", set.RegistryTokenMinutes)
		if set.RegistryTokenMinutes <= 0 {
			return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"container_registry_token_expire_delay": []string{"must be greater than 0"}}}}
		}
		tx.PutSettings(set)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, shownSettings(set))
}

// RegistrationToken is the instance's legacy token for registering runners.
func (s *Server) RegistrationToken() (Secret, error) {
	set, err := s.settings()
	return NewSecret(set.RegistrationToken), err
}

// revision stands for the commit that a release was built from.
func (s *Server) revision() string { return hash(s.cfg.Version)[:11] }

func (s *Server) getVersion(c *call) error {
	return c.json(http.StatusOK, map[string]any{"version": s.cfg.Version, "revision": s.revision(), "enterprise": false, "kas": map[string]any{"enabled": false}})
}

// versionParts splits 17.8.1 into its three numbers.
func versionParts(v string) [3]string {
	v, _, _ = strings.Cut(v, "-")
	parts := [3]string{"0", "0", "0"}
	for i, p := range strings.SplitN(v, ".", 3) {
		parts[i] = p
	}
	return parts
}

// health serves what tells that the forge is up.
func (s *Server) health(mux *router) {
	text := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body)) // whoever asked may be gone
		}
	}
	mux.HandleFunc("GET /-/health", text("text/plain; charset=utf-8", "GitLab OK"))
	mux.HandleFunc("GET /.well-known/openid-configuration", s.openIDConfiguration)
	mux.HandleFunc("GET /oauth/discovery/keys", s.openIDKeys)
	mux.HandleFunc("GET /-/liveness", text("application/json", `{"status":"ok"}`))
	mux.HandleFunc("GET /-/readiness", func(w http.ResponseWriter, _ *http.Request) {
		status, body := http.StatusOK, `{"status":"ok","master_check":[{"status":"ok"}]}`
		if s.work.Err() != nil || s.db.View(func(*store.Tx) error { return nil }) != nil {
			status, body = http.StatusServiceUnavailable, `{"status":"failed"}`
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // whoever asked may be gone
	})
}
