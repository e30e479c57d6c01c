package heptapodtest

import (
	"net/http"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
)

func (s *Server) hgProject(c *call, tx *store.Tx, want int) (*store.Project, error) {
	p, err := c.project(tx, want)
	if err == nil && p.VCS != string(vcs.Hg) {
		err = badRequest("not a Mercurial project")
	}
	return p, err
}

func (s *Server) getHGRC(c *call) error {
	var out store.HGRC
	err := c.view(func(tx *store.Tx) error {
		p, err := s.hgProject(c, tx, store.Maintainer)
		if err == nil {
			out = p.HGRC
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// putHGRC erases the keys that are not sent.
func (s *Server) putHGRC(c *call) error {
	set := func(name string) *bool {
		if !c.p.Has(name) {
			return nil
		}
		v := c.p.Bool(name, false)
		return &v
	}
	rc := store.HGRC{
		Inherit: set("inherit"), AllowBookmarks: set("allow_bookmarks"),
		AllowMultipleHeads: set("allow_multiple_heads"), AutoPublish: c.p.String("auto_publish"),
	}
	switch rc.AutoPublish {
	case "", "nothing", "non-topic", "all":
	default:
		return badRequest("auto_publish does not have a valid value")
	}
	err := c.update(func(tx *store.Tx) error {
		p, err := s.hgProject(c, tx, store.Maintainer)
		if err != nil {
			return err
		}
		p.HGRC = rc
		tx.Projects.Put(p)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, rc)
}
