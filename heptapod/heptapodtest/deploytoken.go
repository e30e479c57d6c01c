package heptapodtest

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/registrytoken"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// deployScopes are what a deploy token can be limited to.
var deployScopes = []string{
	"read_repository", "read_registry", "write_registry", "read_package_registry", "write_package_registry",
	"read_virtual_registry", "write_virtual_registry",
}

func (s *Server) shownDeployToken(t *store.DeployToken) map[string]any {
	return map[string]any{
		"id": t.ID, "name": t.Name, "username": t.Username, "expires_at": stamp(t.ExpiresAt), "scopes": t.Scopes,
		"revoked": t.Revoked, "expired": s.hasEnded(t),
	}
}

func (s *Server) hasEnded(t *store.DeployToken) bool {
	return !t.ExpiresAt.IsZero() && !s.now().Before(t.ExpiresAt)
}

// createDeployToken makes a token that belongs to the project and to nobody.
// Its text is in this answer alone.
func (s *Server) createDeployToken(c *call) error {
	t := &store.DeployToken{Name: c.p.String("name"), Username: c.p.String("username"), Scopes: c.p.List("scopes"), CreatedAt: s.now()}
	text := "gldt-" + random(20)
	t.Hash = hash(text)
	var out map[string]any
	err := c.update(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Maintainer)
		switch {
		case err != nil:
			return err
		case t.Name == "":
			return missing("name")
		case len(t.Scopes) == 0:
			return missing("scopes")
		}
		for _, scope := range t.Scopes {
			if !slices.Contains(deployScopes, scope) {
				return badRequest("scopes does not have a valid value")
			}
		}
		if text := c.p.String("expires_at"); text != "" {
			if t.ExpiresAt, err = parseDay(text); err != nil {
				return badRequest("expires_at is invalid")
			}
		}
		t.ProjectID = p.ID
		tx.DeployTokens.Put(t)
		if t.Username == "" {
			t.Username = fmt.Sprintf("gitlab+deploy-token-%d", t.ID)
			tx.DeployTokens.Put(t)
		}
		out = s.shownDeployToken(t)
		return nil
	})
	if err != nil {
		return err
	}
	out["token"] = text
	return c.json(http.StatusCreated, out)
}

// parseDay reads a date or a time, as the parameter expires_at takes it.
func parseDay(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	return time.Parse(time.RFC3339, text)
}

func (s *Server) listDeployTokens(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Maintainer)
		if err != nil {
			return err
		}
		for _, t := range tx.DeployTokensOf(p.ID) {
			if !c.p.Has("active") || c.p.Bool("active", true) == (!t.Revoked && !s.hasEnded(t)) {
				out = append(out, s.shownDeployToken(t))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) revokeDeployToken(c *call) error {
	err := c.update(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Maintainer)
		if err != nil {
			return err
		}
		t := tx.DeployTokens.Get(c.id("token"))
		if t == nil || t.ProjectID != p.ID {
			return notFound("Deploy Token")
		}
		t.Revoked = true
		tx.DeployTokens.Put(t)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// deployTokenFor knows a deploy token by name and text together; nil: there is
// none that counts.
func (s *Server) deployTokenFor(tx *store.Tx, name, text string) *store.DeployToken {
	t := tx.DeployToken(hash(text))
	if t == nil || t.Username != name || t.Revoked || s.hasEnded(t) {
		return nil
	}
	return t
}

// grantDeploy leaves of a scope what a deploy token may do: it pulls, or
// pushes, in its own project.
func grantDeploy(tx *store.Tx, t *store.DeployToken, want registrytoken.Scope) registrytoken.Scope {
	got := registrytoken.Scope{Type: want.Type, Name: want.Name}
	p := projectOf(tx, want.Name)
	if want.Type != "repository" || p == nil || p.ID != t.ProjectID {
		return got
	}
	writes := slices.Contains(t.Scopes, "write_registry")
	may := map[string]bool{"push": writes, "pull": writes || slices.Contains(t.Scopes, "read_registry")}
	for _, a := range want.Actions {
		if may[a] && !slices.Contains(got.Actions, a) {
			got.Actions = append(got.Actions, a)
		}
	}
	return got
}
