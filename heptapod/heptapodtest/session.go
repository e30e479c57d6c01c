package heptapodtest

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

const (
	sessionCookie = "_gitlab_session"
	sessionLife   = 12 * time.Hour
)

// sessions are those who signed in with a browser. They end with the process.
type sessions struct {
	mu   sync.Mutex
	user map[[32]byte]session
}

type session struct {
	user int64
	ends time.Time
}

func newSessions() *sessions { return &sessions{user: map[[32]byte]session{}} }

func (s *sessions) begin(user int64, now time.Time) (id string) {
	id = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.user {
		if now.After(v.ends) {
			delete(s.user, k)
		}
	}
	s.user[sha256.Sum256([]byte(id))] = session{user, now.Add(sessionLife)}
	return id
}

func (s *sessions) of(id string, now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.user[sha256.Sum256([]byte(id))]; now.Before(v.ends) {
		return v.user
	}
	return 0
}

// visitor finds out who looks at a page: by session, Basic credentials or
// token, else anonymous. Wrong credentials are refused.
func (s *Server) visitor(tx *store.Tx, r *http.Request) (identity, error) {
	if k, err := r.Cookie(sessionCookie); err == nil {
		if u := tx.Users.Get(s.sessions.of(k.Value, s.now())); u != nil && !u.Blocked {
			return identity{user: u}, nil
		}
	}
	if _, _, ok := r.BasicAuth(); ok {
		return s.basic(tx, r)
	}
	return s.identify(tx, r)
}

// signIn takes the form of the sign-in page.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	var who identity
	err := r.ParseForm()
	if err == nil {
		err = s.db.View(func(tx *store.Tx) (err error) {
			who, err = s.byBasic(tx, r.PostForm.Get("user[login]"), r.PostForm.Get("user[password]"))
			return err
		})
	}
	if err != nil || who.job != nil || who.token != nil {
		w.WriteHeader(http.StatusUnauthorized)
		s.render(w, "sign_in", map[string]any{"Title": "Sign in", "Wrong": true})
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: s.sessions.begin(who.user.ID, s.now()), Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: s.URL[:5] == "https", MaxAge: int(sessionLife.Seconds()),
	})
	http.Redirect(w, r, "/", http.StatusFound)
}
