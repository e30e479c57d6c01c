package heptapodtest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

var variableKey = regexp.MustCompile(`^[A-Za-z0-9_]{1,255}$`)

func shownVariable(v store.Variable) map[string]any {
	kind := "env_var"
	if v.File {
		kind = "file"
	}
	return map[string]any{
		"key": v.Key, "value": v.Value, "variable_type": kind, "protected": v.Protected,
		"masked": v.Masked, "raw": v.Raw, "hidden": false, "environment_scope": v.Scope, "description": nil,
	}
}

// readVariable takes over what the request says of a variable.
func readVariable(p params, v *store.Variable) error {
	if p.Has("value") {
		v.Value = p.String("value")
	}
	switch p.Or("variable_type", "") {
	case "file":
		v.File = true
	case "env_var":
		v.File = false
	case "":
	default:
		return badRequest("variable_type does not have a valid value")
	}
	v.Masked, v.Protected, v.Raw = p.Bool("masked", v.Masked), p.Bool("protected", v.Protected), p.Bool("raw", v.Raw)
	v.Scope = p.Or("environment_scope", v.Scope)
	if v.Scope == "" {
		v.Scope = "*"
	}
	// A masked value is a single line of eight characters or more, else the
	// runner could not find it in its output.
	if v.Masked && (len(v.Value) < 8 || strings.ContainsAny(v.Value, " \t\r\n")) {
		return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"value": []string{"is invalid"}}}}
	}
	return nil
}

// variables runs fn on a project's variables and stores what it leaves.
func (c *call) variables(status int, fn func(p *store.Project, at int) (any, error)) error {
	var out any
	err := c.update(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Maintainer)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(p.Variables, func(v store.Variable) bool { return v.Key == c.r.PathValue("key") })
		if c.r.PathValue("key") != "" && at < 0 {
			return notFound("Variable")
		}
		if out, err = fn(p, at); err != nil {
			return err
		}
		tx.Projects.Put(p)
		return nil
	})
	if err != nil {
		return err
	}
	if status == http.StatusNoContent {
		return c.empty(status)
	}
	return c.json(status, out)
}

func (s *Server) listVariables(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Maintainer)
		if err != nil {
			return err
		}
		for _, v := range p.Variables {
			out = append(out, shownVariable(v))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) createVariable(c *call) error {
	return c.variables(http.StatusCreated, func(p *store.Project, _ int) (any, error) {
		v := store.Variable{Key: c.p.String("key")}
		if !variableKey.MatchString(v.Key) {
			return nil, &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"key": []string{"can contain only letters, digits and '_'."}}}}
		}
		if !c.p.Has("value") {
			return nil, missing("value")
		}
		if err := readVariable(c.p, &v); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(p.Variables, func(o store.Variable) bool { return o.Key == v.Key && o.Scope == v.Scope }) {
			return nil, taken("key")
		}
		p.Variables = append(p.Variables, v)
		return shownVariable(v), nil
	})
}

func (s *Server) getVariable(c *call) error {
	return c.variables(http.StatusOK, func(p *store.Project, at int) (any, error) { return shownVariable(p.Variables[at]), nil })
}

func (s *Server) editVariable(c *call) error {
	return c.variables(http.StatusOK, func(p *store.Project, at int) (any, error) {
		if err := readVariable(c.p, &p.Variables[at]); err != nil {
			return nil, err
		}
		return shownVariable(p.Variables[at]), nil
	})
}

func (s *Server) deleteVariable(c *call) error {
	return c.variables(http.StatusNoContent, func(p *store.Project, at int) (any, error) {
		p.Variables = slices.Delete(p.Variables, at, at+1)
		return nil, nil
	})
}
