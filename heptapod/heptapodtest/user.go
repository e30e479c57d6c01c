package heptapodtest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
)

// User is what others may know of a user.
type User struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Admin    bool   `json:"is_admin"`
	State    string `json:"state"` // active or blocked
}

func publicUser(u *store.User) *User {
	return &User{ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, Admin: u.Admin, State: stateOf(u)}
}

func stateOf(u *store.User) string {
	if u.Blocked {
		return "blocked"
	}
	return "active"
}

// Users returns all users, in the order in which they were made.
func (s *Server) Users() ([]*User, error) {
	out := []*User{}
	err := s.db.View(func(tx *store.Tx) error {
		for _, u := range tx.Users.All() {
			out = append(out, publicUser(u))
		}
		return nil
	})
	return out, err
}

// BlockUser keeps a user out, with all tokens and keys, or lets it in again.
func (s *Server) BlockUser(name string, blocked bool) error {
	return s.changeUser(name, func(u *store.User) { u.Blocked = blocked })
}

// SetAdmin makes a user an administrator, or takes that away.
func (s *Server) SetAdmin(name string, admin bool) error {
	return s.changeUser(name, func(u *store.User) { u.Admin = admin })
}

func (s *Server) changeUser(name string, change func(*store.User)) error {
	return s.db.Update(func(tx *store.Tx) error {
		u := tx.User(name)
		if u == nil {
			return fmt.Errorf("change user %s: %w", name, ErrNotFound)
		}
		change(u)
		tx.Users.Put(u)
		return nil
	})
}

// ErrNotFound is returned for a user, project, pipeline or job that is not there.
var ErrNotFound = errors.New("not found")

// FindUser returns the user of that name.
func (s *Server) FindUser(name string) (*User, error) {
	var out *User
	err := s.db.View(func(tx *store.Tx) error {
		u := tx.User(name)
		if u == nil {
			return fmt.Errorf("find user %s: %w", name, ErrNotFound)
		}
		out = publicUser(u)
		return nil
	})
	return out, err
}

// CreateUser makes a user with a namespace of the same name.
func (s *Server) CreateUser(name, email string, password Secret, admin bool) (*User, error) {
	h, err := s.hashPassword(password.Reveal())
	if err != nil {
		return nil, err
	}
	u := &store.User{Username: name, Name: name, Email: email, Password: h, Admin: admin}
	err = s.db.Update(func(tx *store.Tx) error {
		if !goodName(name) {
			return fmt.Errorf("create user %q: not a valid name", name)
		}
		if tx.User(name) != nil || tx.Group(name) != nil {
			return fmt.Errorf("create user %s: the name is taken", name)
		}
		s.addUser(tx, u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return publicUser(u), nil
}

// minPassword is the shortest password that is taken.
const minPassword = 8

// ResetPassword sets a user's password. One of less than eight characters is refused.
func (s *Server) ResetPassword(name string, password Secret) error {
	if len(password.Reveal()) < minPassword {
		return fmt.Errorf("reset password of %s: too short, want %d characters or more", name, minPassword)
	}
	h, err := s.hashPassword(password.Reveal())
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *store.Tx) error {
		u := tx.User(name)
		if u == nil {
			return fmt.Errorf("reset password of %s: %w", name, ErrNotFound)
		}
		u.Password = h
		tx.Users.Put(u)
		return nil
	})
}

func (s *Server) addUser(tx *store.Tx, u *store.User) {
	u.CreatedAt = s.now()
	tx.Users.Put(u)
	tx.Groups.Put(&store.Group{Path: u.Username, Name: u.Name, OwnerID: u.ID, Visibility: store.Public, CreatedAt: u.CreatedAt})
}

// goodName reports whether name can be one part of a path.
func goodName(name string) bool {
	return !strings.Contains(name, "/") && vcs.CheckPath(name) == nil
}

// shownUser is a user in the API; private adds what is for the user and for
// administrators.
func (s *Server) shownUser(u *store.User, private bool) map[string]any {
	m := map[string]any{
		"id": u.ID, "username": u.Username, "name": u.Name, "state": stateOf(u), "locked": false,
		"avatar_url": nil, "web_url": s.URL + "/" + u.Username, "created_at": stamp(u.CreatedAt),
	}
	if private {
		m["email"], m["is_admin"], m["public_email"], m["commit_email"] = u.Email, u.Admin, "", u.Email
		m["confirmed_at"], m["two_factor_enabled"], m["external"] = stamp(u.CreatedAt), false, false
	}
	return m
}

func (s *Server) getUser(c *call) error { return c.json(http.StatusOK, s.shownUser(c.who.user, true)) }

func (s *Server) getUserByID(c *call) error {
	var u *store.User
	if err := c.view(func(tx *store.Tx) error { u = tx.Users.Get(c.id("id")); return nil }); err != nil {
		return err
	}
	if u == nil {
		return notFound("User")
	}
	return c.json(http.StatusOK, s.shownUser(u, c.who.admin()))
}

func (s *Server) listUsers(c *call) error {
	var all []*store.User
	if err := c.view(func(tx *store.Tx) error { all = tx.Users.All(); return nil }); err != nil {
		return err
	}
	name, search := c.p.String("username"), strings.ToLower(c.p.String("search"))
	out := []map[string]any{}
	for i := len(all) - 1; i >= 0; i-- {
		u := all[i]
		if name != "" && !strings.EqualFold(u.Username, name) {
			continue
		}
		if search != "" && !strings.Contains(strings.ToLower(u.Username+" "+u.Name+" "+u.Email), search) {
			continue
		}
		out = append(out, s.shownUser(u, c.who.admin()))
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) createUser(c *call) error {
	for _, f := range []string{"email", "name", "username"} {
		if c.p.String(f) == "" {
			return missing(f)
		}
	}
	password := c.p.String("password")
	if password == "" && !c.p.Bool("reset_password", false) && !c.p.Bool("force_random_password", false) {
		return badRequest("password, reset_password, force_random_password are missing, at least one parameter must be provided")
	}
	if password != "" && len(password) < minPassword {
		return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"password": []string{"is too short (minimum is 8 characters)"}}}}
	}
	h, err := s.hashPassword(password)
	if err != nil {
		return err
	}
	u := &store.User{Username: c.p.String("username"), Name: c.p.String("name"), Email: c.p.String("email"), Password: h, Admin: c.p.Bool("admin", false)}
	err = c.update(func(tx *store.Tx) error {
		if !goodName(u.Username) {
			return badRequest("username is invalid")
		}
		if tx.User(u.Username) != nil || tx.Group(u.Username) != nil {
			return message(http.StatusConflict, "Username has already been taken")
		}
		s.addUser(tx, u)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, s.shownUser(u, true))
}
