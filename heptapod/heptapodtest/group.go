package heptapodtest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

func groupKind(g *store.Group) string {
	if g.OwnerID != 0 {
		return "user"
	}
	return "group"
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func (s *Server) shownGroup(tx *store.Tx, g *store.Group) map[string]any {
	var parent any
	if g.ParentID != 0 {
		parent = g.ParentID
	}
	return map[string]any{
		"id": g.ID, "name": g.Name, "path": lastPart(g.Path), "full_path": g.Path, "full_name": strings.ReplaceAll(g.Path, "/", " / "),
		"description": g.Description, "visibility": g.Visibility, "parent_id": parent,
		"web_url": s.URL + "/groups/" + g.Path, "created_at": stamp(g.CreatedAt), "avatar_url": nil,
	}
}

func shownNamespace(g *store.Group) map[string]any {
	return map[string]any{"id": g.ID, "name": g.Name, "path": lastPart(g.Path), "kind": groupKind(g), "full_path": g.Path, "parent_id": nil}
}

func seesGroup(tx *store.Tx, u *store.User, g *store.Group) bool {
	switch {
	case g.Visibility == store.Public, g.Visibility == store.Internal && u != nil:
		return true
	case u == nil:
		return false
	}
	return groupLevel(tx, u, g) > store.NoAccess
}

// group finds the group that the path's {id} names.
func (c *call) group(tx *store.Tx, want int) (*store.Group, error) {
	name := c.r.PathValue("id")
	var g *store.Group
	if n, err := strconv.ParseInt(name, 10, 64); err == nil {
		g = tx.Groups.Get(n)
	} else {
		g = tx.Group(name)
	}
	if g == nil || g.OwnerID != 0 || !seesGroup(tx, c.who.member(), g) {
		return nil, notFound("Group")
	}
	if want > store.Guest && (groupLevel(tx, c.who.member(), g) < want) {
		return nil, forbidden()
	}
	return g, nil
}

// addGroup makes a group at a full path and those above it that are missing,
// owned by u.
func (s *Server) addGroup(tx *store.Tx, u *store.User, path, visibility string) *store.Group {
	if g := tx.Group(path); g != nil {
		return g
	}
	var parent int64
	if above, _, nested := cutLast(path); nested {
		parent = s.addGroup(tx, u, above, visibility).ID
	}
	g := &store.Group{
		Path: path, Name: lastPart(path), ParentID: parent, Visibility: visibility,
		Members: map[int64]int{u.ID: store.Owner}, CreatedAt: s.now(),
	}
	tx.Groups.Put(g)
	return g
}

func cutLast(path string) (above, last string, nested bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func (s *Server) listGroups(c *call) error {
	search := strings.ToLower(c.p.String("search"))
	top, attributes := c.p.Bool("top_level_only", false), c.p.Bool("with_custom_attributes", false) && c.who.admin()
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		for _, g := range tx.Groups.All() {
			if g.OwnerID != 0 || !seesGroup(tx, c.who.member(), g) || !strings.Contains(strings.ToLower(g.Path), search) || top && g.ParentID != 0 {
				continue
			}
			shown := s.shownGroup(tx, g)
			if attributes {
				shown["custom_attributes"] = shownAttributes(g)
			}
			out = append(out, shown)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) getGroup(c *call) error {
	var out map[string]any
	err := c.view(func(tx *store.Tx) error {
		g, err := c.group(tx, store.Guest)
		if err == nil {
			out = s.shownGroup(tx, g)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) createGroup(c *call) error {
	name, path := c.p.String("name"), c.p.String("path")
	if name == "" {
		return missing("name")
	}
	if !goodName(path) {
		return badRequest("path is missing or invalid")
	}
	visibility, err := visibilityOf(c.p.Or("visibility", store.Private))
	if err != nil {
		return err
	}
	var out map[string]any
	err = c.update(func(tx *store.Tx) error {
		g := &store.Group{
			Path: path, Name: name, Description: c.p.String("description"), Visibility: visibility,
			Members: map[int64]int{c.who.user.ID: store.Owner}, CreatedAt: s.now(),
		}
		if id := c.p.Int("parent_id", 0); id != 0 {
			parent := tx.Groups.Get(int64(id))
			if parent == nil || parent.OwnerID != 0 || !seesGroup(tx, c.who.user, parent) {
				return notFound("Group")
			}
			if groupLevel(tx, c.who.user, parent) < store.Maintainer {
				return forbidden()
			}
			g.ParentID, g.Path = parent.ID, parent.Path+"/"+path
		}
		if tx.Group(g.Path) != nil || tx.Project(g.Path) != nil {
			return taken("path")
		}
		tx.Groups.Put(g)
		out = s.shownGroup(tx, g)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, out)
}

func (s *Server) deleteGroup(c *call) error {
	err := c.update(func(tx *store.Tx) error {
		g, err := c.group(tx, store.Owner)
		if err != nil {
			return err
		}
		for _, p := range tx.Projects.All() {
			if p.GroupID == g.ID {
				return message(http.StatusBadRequest, "400 Bad request - the group still has projects")
			}
		}
		for _, below := range tx.Groups.All() {
			if below.ParentID == g.ID {
				return message(http.StatusBadRequest, "400 Bad request - the group still has groups")
			}
		}
		tx.Groups.Delete(g.ID)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusAccepted, map[string]any{"message": "202 Accepted"})
}

func visibilityOf(v string) (string, error) {
	switch v {
	case store.Private, store.Internal, store.Public:
		return v, nil
	}
	return "", badRequest("visibility does not have a valid value")
}
