package heptapodtest

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/registrytoken"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// What a policy may say: app/models/container_expiration_policy.rb.
var (
	policyCadences = []string{"1d", "7d", "14d", "1month", "3month"}
	policyAges     = []string{"7d", "14d", "30d", "60d", "90d"}
	policyKeeps    = []int{1, 5, 10, 25, 50, 100}
)

// policyOf is a project's policy; each has one from the beginning, switched off.
func policyOf(p *store.Project) *store.ExpirationPolicy {
	if p.Expiration != nil {
		return p.Expiration
	}
	return &store.ExpirationPolicy{Cadence: "1d", KeepN: 10, OlderThan: "90d", NameRegexDelete: ".*"}
}

func shownPolicy(p *store.Project) map[string]any {
	e := policyOf(p)
	orNull := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	out := map[string]any{
		"cadence": e.Cadence, "enabled": e.Enabled, "keep_n": nil, "older_than": orNull(e.OlderThan), "name_regex": orNull(e.NameRegexDelete),
		"name_regex_keep": orNull(e.NameRegexKeep), "next_run_at": stamp(e.NextRunAt),
	}
	if e.KeepN > 0 {
		out["keep_n"] = e.KeepN
	}
	return out
}

// editPolicy takes over container_expiration_policy_attributes; null clears a
// value. A bad one is refused in the words of the model.
func (s *Server) editPolicy(p *store.Project, given params) error {
	e := *policyOf(p)
	refuse := func(key, text string) error {
		return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"container_expiration_policy." + key: []string{text}}}}
	}
	for key := range given {
		switch key {
		case "cadence":
			e.Cadence = given.String(key)
		case "keep_n":
			e.KeepN = given.Int(key, 0)
		case "older_than":
			e.OlderThan = given.String(key)
		case "name_regex", "name_regex_delete":
			e.NameRegexDelete = given.String(key)
		case "name_regex_keep":
			e.NameRegexKeep = given.String(key)
		case "enabled":
			e.Enabled = given.Bool(key, e.Enabled)
		}
	}
	switch {
	case !slices.Contains(policyCadences, e.Cadence):
		return refuse("cadence", "is not included in the list")
	case given.Has("keep_n") && !slices.Contains(policyKeeps, e.KeepN):
		return refuse("keep_n", "is not included in the list")
	case e.OlderThan != "" && !slices.Contains(policyAges, e.OlderThan):
		return refuse("older_than", "is not included in the list")
	case e.Enabled && e.NameRegexDelete == "":
		return refuse("name_regex", "can't be blank")
	}
	for key, text := range map[string]string{"name_regex": e.NameRegexDelete, "name_regex_keep": e.NameRegexKeep} {
		if _, err := regexp.Compile(text); err != nil {
			return refuse(key, "not valid RE2 syntax")
		}
	}
	if e.Enabled {
		e.NextRunAt = s.now().Add(24 * time.Hour)
	}
	p.Expiration = &e
	return nil
}

// deleteImageTag takes a tag off its image.
func (s *Server) deleteImageTag(c *call) error {
	err := c.view(func(tx *store.Tx) error {
		_, err := c.project(tx, store.Developer)
		return err
	})
	if err != nil {
		return err
	}
	path, err := s.repository(c)
	if err != nil {
		return err
	}
	gone, err := s.untag(c.r.Context(), path, c.r.PathValue("tag"))
	switch {
	case err != nil:
		return err
	case !gone:
		return notFound("Tag")
	}
	return c.json(http.StatusOK, nil)
}

// untag has the registry forget a tag. One that is not there is false.
func (s *Server) untag(ctx context.Context, path, tag string) (bool, error) {
	scope := registrytoken.Scope{Type: "repository", Name: path, Actions: []string{"pull", "delete"}}
	header, err := s.callRegistry(ctx, http.MethodDelete, scope, path+"/manifests/"+tag, nil)
	return header != nil, err
}
