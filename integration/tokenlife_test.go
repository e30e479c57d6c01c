package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
)

// A longer life of the registry's tokens is set on a forge that runs, without
// a restart, and the next token that it issues has it.
func TestTokenLife(t *testing.T) {
	s := onSite(t)
	with := func(minutes int) *hepta.Stack {
		return s.lab(t, func(c *hepta.Config) { c.Registry.TokenMinutes = minutes })
	}
	stack := with(7)
	if got := s.tokenLife(t, stack); got != 7*time.Minute {
		t.Fatalf("a token lives %s, want 7m", got)
	}
	lives := s.lives(t, stack)
	longer := with(45)
	if got := s.tokenLife(t, longer); got != 45*time.Minute {
		t.Errorf("a token lives %s, want 45m", got)
	}
	for service, was := range lives {
		if now := s.lives(t, longer)[service]; now != was {
			t.Errorf("%s was replaced or restarted", service)
		}
	}
	if p := plan(t, longer); !p.Empty() {
		t.Errorf("another up would do\n%s", p)
	}
}

// tokenLife asks the forge for a token for its registry, as a Docker client
// does, and says how long it is good for.
func (s *site) tokenLife(t *testing.T, stack *hepta.Stack) time.Duration {
	t.Helper()
	ca, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	password, err := stack.Forge().RootPassword(t.Context())
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+labForge+"/jwt/auth?account=root&service=container_registry&client_id=docker", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("root", password.Reveal())
	resp, err := s.client(t, ca).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Token string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	var claims jwt.RegisteredClaims
	// Whose it is, the registry looks at.
	if _, _, err := jwt.NewParser().ParseUnverified(answer.Token, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.ExpiresAt == nil || claims.IssuedAt == nil {
		t.Fatalf("the token has no life: %+v", claims)
	}
	return claims.ExpiresAt.Sub(claims.IssuedAt.Time)
}
