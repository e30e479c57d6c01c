package heptapodtest

import (
	"maps"
	"net/http"
	"slices"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// Custom attributes are what administrators, and nobody else, note about a group.

func shownAttribute(key, value string) map[string]any {
	return map[string]any{"key": key, "value": value}
}

func shownAttributes(g *store.Group) []map[string]any {
	out := []map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(g.Attributes)) {
		out = append(out, shownAttribute(key, g.Attributes[key]))
	}
	return out
}

func (s *Server) listAttributes(c *call) error {
	var out []map[string]any
	err := c.view(func(tx *store.Tx) error {
		g, err := c.group(tx, store.Guest)
		if err == nil {
			out = shownAttributes(g)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) getAttribute(c *call) error {
	key := c.r.PathValue("key")
	var out map[string]any
	err := c.view(func(tx *store.Tx) error {
		g, err := c.group(tx, store.Guest)
		if err != nil {
			return err
		}
		value, there := g.Attributes[key]
		if !there {
			return notFound("CustomAttribute")
		}
		out = shownAttribute(key, value)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) setAttribute(c *call) error {
	key, value := c.r.PathValue("key"), c.p.String("value")
	if value == "" {
		return missing("value")
	}
	err := c.update(func(tx *store.Tx) error {
		g, err := c.group(tx, store.Guest)
		if err != nil {
			return err
		}
		if g.Attributes == nil {
			g.Attributes = map[string]string{}
		}
		g.Attributes[key] = value
		tx.Groups.Put(g)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, shownAttribute(key, value))
}

func (s *Server) deleteAttribute(c *call) error {
	key := c.r.PathValue("key")
	err := c.update(func(tx *store.Tx) error {
		g, err := c.group(tx, store.Guest)
		if err != nil {
			return err
		}
		if _, there := g.Attributes[key]; !there {
			return notFound("CustomAttribute")
		}
		delete(g.Attributes, key)
		tx.Groups.Put(g)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
