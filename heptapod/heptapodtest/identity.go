package heptapodtest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// identity is who asks: a user, perhaps limited to a token's scopes, or a job
// that acts for the user who made it. The zero value is anonymous.
type identity struct {
	user  *store.User
	token *store.Token // nil: signed in with a password
	job   *store.Job
}

func (i identity) anonymous() bool { return i.user == nil }

func (i identity) admin() bool { return i.user != nil && i.user.Admin && i.job == nil }

// member is whose memberships count for groups: a job has its project alone.
func (i identity) member() *store.User {
	if i.job != nil {
		return nil
	}
	return i.user
}

// scoped reports whether one of the scopes is there; a password has them all.
func (i identity) scoped(any ...string) bool {
	if i.token == nil {
		return true
	}
	return slices.ContainsFunc(any, func(s string) bool { return slices.Contains(i.token.Scopes, s) })
}

// random is n characters of the alphabet of GitLab's tokens.
func random(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]&63]
	}
	return string(b)
}

// hash is what is kept of a token. Tokens are long and random: a plain hash
// tells nothing about them.
func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// requestToken finds the personal access token in a request to the API.
func requestToken(r *http.Request) string {
	if t := r.Header.Get("PRIVATE-TOKEN"); t != "" {
		return t
	}
	if kind, t, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		return strings.TrimSpace(t)
	}
	return r.URL.Query().Get("private_token")
}

// identify reads the credentials of a request to the API. Wrong ones are
// refused, also where none would do.
func (s *Server) identify(tx *store.Tx, r *http.Request) (identity, error) {
	if t := requestToken(r); t != "" {
		return s.byToken(tx, t)
	}
	job := r.Header.Get("JOB-TOKEN")
	if job == "" {
		job = r.URL.Query().Get("job_token")
	}
	if job != "" {
		return s.byJobToken(tx, job)
	}
	return identity{}, nil
}

func (s *Server) byToken(tx *store.Tx, text string) (identity, error) {
	t := tx.Token(hash(text))
	if t == nil || t.Revoked || t.ExpiresOn != "" && t.ExpiresOn <= s.now().Format("2006-01-02") {
		return identity{}, unauthorized()
	}
	u := tx.Users.Get(t.UserID)
	switch {
	case u == nil:
		return identity{}, unauthorized()
	case u.Blocked:
		return identity{}, message(http.StatusForbidden, "403 Forbidden - Your account has been blocked.")
	}
	return identity{user: u, token: t}, nil
}

// byJobToken knows the tokens of jobs that run: a job's token dies with it.
func (s *Server) byJobToken(tx *store.Tx, text string) (identity, error) {
	j := tx.JobByToken(hash(text))
	if j == nil {
		return identity{}, unauthorized()
	}
	u := tx.Users.Get(j.UserID)
	if u == nil || u.Blocked {
		return identity{}, unauthorized()
	}
	return identity{user: u, job: j}, nil
}

// jobUser is the name under which a job signs in with its token.
const jobUser = "gitlab-ci-token"

// byBasic knows user and password, user and personal access token, and
// gitlab-ci-token with the token of a job that runs.
func (s *Server) byBasic(tx *store.Tx, name, secret string) (identity, error) {
	if name == jobUser {
		return s.byJobToken(tx, secret)
	}
	if tx.Token(hash(secret)) != nil {
		// A token stands for its user whatever name comes with it; a name that
		// is somebody else's is refused.
		who, err := s.byToken(tx, secret)
		if err != nil {
			return identity{}, err
		}
		if other := tx.User(name); other != nil && other.ID != who.user.ID {
			return identity{}, unauthorized()
		}
		return who, nil
	}
	u := tx.User(name)
	if u == nil || u.Blocked || !s.verified.matches(u, secret) {
		return identity{}, unauthorized()
	}
	return identity{user: u}, nil
}

func (s *Server) hashPassword(password string) (string, error) {
	if password == "" {
		return "", nil
	}
	cost := bcrypt.DefaultCost
	if s.cfg.Fast {
		cost = bcrypt.MinCost
	}
	h, err := bcrypt.GenerateFromPassword(bcryptInput(password), cost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(h), nil
}

// bcryptInput shortens what bcrypt would refuse: more than 72 bytes.
func bcryptInput(password string) []byte {
	if len(password) > 72 {
		return []byte(hash(password))
	}
	return []byte(password)
}

// passwordCache remembers which passwords were right, so that the many
// requests of one clone don't pay for a slow hash each.
type passwordCache struct {
	mu    sync.Mutex
	key   []byte
	right map[string]bool
}

func newPasswordCache() *passwordCache {
	key := make([]byte, 32)
	rand.Read(key)
	return &passwordCache{key: key, right: map[string]bool{}}
}

func (c *passwordCache) matches(u *store.User, password string) bool {
	if u.Password == "" || password == "" {
		return false
	}
	m := hmac.New(sha256.New, c.key)
	fmt.Fprintf(m, "%d %q %q", u.ID, u.Password, password)
	known := string(m.Sum(nil))
	c.mu.Lock()
	right := c.right[known]
	c.mu.Unlock()
	if right {
		return true
	}
	if bcrypt.CompareHashAndPassword([]byte(u.Password), bcryptInput(password)) != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.right) > 1000 {
		clear(c.right)
	}
	c.right[known] = true
	return true
}
