package heptapodtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// Scopes are what a personal access token can be limited to in the release
// that the forge says it is.
func (s *Server) Scopes() []string {
	out := []string{"api", "read_api", "read_user", "read_repository", "write_repository", "read_registry", "write_registry", "sudo"}
	for _, later := range []struct {
		major, minor int
		scope        string
	}{
		{15, 8, "admin_mode"}, {16, 0, "create_runner"}, {16, 8, "read_service_ping"}, {17, 0, "manage_runner"}, {17, 9, "self_rotate"},
	} {
		if s.since(later.major, later.minor) {
			out = append(out, later.scope)
		}
	}
	return out
}

// since reports whether the forge says that it is of this release or a newer one.
func (s *Server) since(major, minor int) bool {
	parts := versionParts(s.cfg.Version)
	x, _ := strconv.Atoi(parts[0])
	y, _ := strconv.Atoi(parts[1])
	return x > major || x == major && y >= minor
}

// TokenRequest asks for a personal access token.
type TokenRequest struct {
	User   string   `json:"user"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
	// ExpiresAt is a date, 2026-01-31; empty: in a year.
	ExpiresAt string `json:"expires_at"`
	// Value is the token's text, of 20 characters or more; default a random one.
	Value string `json:"token,omitempty"`
}

// MintToken makes a personal access token and returns its text, which is kept
// nowhere.
func (s *Server) MintToken(req TokenRequest) (string, error) {
	text := req.Value
	switch {
	case text == "":
		text = "glpat-" + random(20)
	case len(text) < 20:
		return "", fmt.Errorf("mint token of %s: its text has less than 20 characters", req.User)
	}
	err := s.db.Update(func(tx *store.Tx) error {
		u := tx.User(req.User)
		if u == nil {
			return fmt.Errorf("mint token of %s: %w", req.User, ErrNotFound)
		}
		if tx.Token(hash(text)) != nil {
			return fmt.Errorf("mint token of %s: its text is in use", req.User)
		}
		_, err := s.addToken(tx, u, req, text)
		return err
	})
	if err != nil {
		return "", err
	}
	return text, nil
}

func (s *Server) addToken(tx *store.Tx, u *store.User, req TokenRequest, text string) (*store.Token, error) {
	if len(req.Scopes) == 0 {
		return nil, badRequest("scopes is missing")
	}
	for _, scope := range req.Scopes {
		if !slices.Contains(s.Scopes(), scope) {
			// The words for a scope that does not exist.
			return nil, badRequest("Scopes can only contain available scopes")
		}
	}
	now := s.now()
	last := now.AddDate(0, 0, 365).Format(time.DateOnly)
	expires := req.ExpiresAt
	if expires == "" {
		expires = last
	}
	day, err := time.Parse(time.DateOnly, expires)
	if err != nil {
		return nil, badRequest("expires_at is invalid")
	}
	// A token lives 365 days at most.
	if expires > last || expires <= now.Format(time.DateOnly) {
		return nil, badRequest("Expiration date must be after today and before " + last)
	}
	t := &store.Token{
		UserID: u.ID, Name: req.Name, Scopes: req.Scopes, Hash: hash(text),
		CreatedAt: now, ExpiresOn: day.Format(time.DateOnly),
	}
	tx.Tokens.Put(t)
	return t, nil
}

// RevokeToken ends a personal access token.
func (s *Server) RevokeToken(text string) error {
	return s.db.Update(func(tx *store.Tx) error {
		t := tx.Token(hash(text))
		if t == nil {
			return fmt.Errorf("revoke token: %w", ErrNotFound)
		}
		t.Revoked = true
		tx.Tokens.Put(t)
		return nil
	})
}

func (s *Server) shownToken(t *store.Token) map[string]any {
	return map[string]any{
		"id": t.ID, "name": t.Name, "revoked": t.Revoked, "created_at": stamp(t.CreatedAt), "scopes": t.Scopes,
		"user_id": t.UserID, "last_used_at": nil, "expires_at": t.ExpiresOn,
		"active": !t.Revoked && t.ExpiresOn > s.now().Format(time.DateOnly),
	}
}

func (s *Server) getOwnToken(c *call) error {
	if c.who.token == nil {
		return badRequest("no personal access token was given")
	}
	return c.json(http.StatusOK, s.shownToken(c.who.token))
}

// revokeOwnToken takes DELETE personal_access_tokens/self: it revokes the token
// that asks, whatever its scopes.
func (s *Server) revokeOwnToken(c *call) error {
	if c.who.token == nil {
		return badRequest("no personal access token was given")
	}
	err := c.update(func(tx *store.Tx) error {
		t := tx.Tokens.Get(c.who.token.ID)
		t.Revoked = true
		tx.Tokens.Put(t)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

func (s *Server) listTokens(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		all := tx.TokensOf(c.who.user.ID)
		if c.who.admin() {
			all = tx.Tokens.All()
		}
		for _, t := range all {
			if id := c.p.Int("user_id", 0); id != 0 && int64(id) != t.UserID {
				continue
			}
			out = append(out, s.shownToken(t))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) revokeToken(c *call) error {
	err := c.update(func(tx *store.Tx) error {
		t := tx.Tokens.Get(c.id("id"))
		if t == nil || t.UserID != c.who.user.ID && !c.who.admin() {
			return notFound("Personal Access Token")
		}
		t.Revoked = true
		tx.Tokens.Put(t)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// createTokenFor serves an administrator who makes a token for somebody.
func (s *Server) createTokenFor(c *call) error {
	if c.p.String("name") == "" {
		return missing("name")
	}
	text := "glpat-" + random(20)
	var t *store.Token
	err := c.update(func(tx *store.Tx) error {
		u := tx.Users.Get(c.id("id"))
		if u == nil {
			return notFound("User")
		}
		var err error
		t, err = s.addToken(tx, u, TokenRequest{Name: c.p.String("name"), Scopes: c.p.List("scopes"), ExpiresAt: c.p.String("expires_at")}, text)
		return err
	})
	if err != nil {
		return err
	}
	m := s.shownToken(t)
	m["token"] = text
	return c.json(http.StatusCreated, m)
}
