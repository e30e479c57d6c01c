package heptapodtest

import (
	"net/http"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

func (s *Server) shownMember(u *store.User, level int) map[string]any {
	m := s.shownUser(u, false)
	m["access_level"] = level
	m["expires_at"] = nil
	return m
}

// members tells an endpoint whose members it is about.
func (s *Server) members(of string, fn func(*call) error) func(*call) error {
	return func(c *call) error {
		c.r.SetPathValue("of", of)
		return fn(c)
	}
}

// members returns the map of members that the request is about, and what
// stores it again.
func (c *call) members(tx *store.Tx, want int) (*map[int64]int, func(), error) {
	if c.r.PathValue("of") == "groups" {
		g, err := c.group(tx, want)
		if err != nil {
			return nil, nil, err
		}
		return &g.Members, func() { tx.Groups.Put(g) }, nil
	}
	p, err := c.project(tx, want)
	if err != nil {
		return nil, nil, err
	}
	return &p.Members, func() { tx.Projects.Put(p) }, nil
}

func (s *Server) listMembers(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		members, _, err := c.members(tx, store.Guest)
		if err != nil {
			return err
		}
		for _, u := range tx.Users.All() {
			if level := (*members)[u.ID]; level > 0 {
				out = append(out, s.shownMember(u, level))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) addMember(c *call) error {
	level := c.p.Int("access_level", 0)
	switch level {
	case store.Guest, store.Reporter, store.Developer, store.Maintainer, store.Owner:
	default:
		return badRequest("access_level does not have a valid value")
	}
	var out map[string]any
	err := c.update(func(tx *store.Tx) error {
		members, put, err := c.members(tx, store.Maintainer)
		if err != nil {
			return err
		}
		u := tx.Users.Get(int64(c.p.Int("user_id", 0)))
		if u == nil {
			return notFound("User")
		}
		if (*members)[u.ID] > 0 {
			return message(http.StatusConflict, "Member already exists")
		}
		if *members == nil {
			*members = map[int64]int{}
		}
		(*members)[u.ID] = level
		put()
		out = s.shownMember(u, level)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, out)
}

func (s *Server) removeMember(c *call) error {
	err := c.update(func(tx *store.Tx) error {
		members, put, err := c.members(tx, store.Maintainer)
		if err != nil {
			return err
		}
		if (*members)[c.id("user")] == 0 {
			return notFound("Member")
		}
		delete(*members, c.id("user"))
		put()
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
