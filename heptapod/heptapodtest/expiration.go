package heptapodtest

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/registrytoken"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// What a policy may say: app/models/container_expiration_policy.rb.
var (
	policyAges  = []string{"7d", "14d", "30d", "60d", "90d"}
	policyKeeps = []int{1, 5, 10, 25, 50, 100}
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
	case cadences[e.Cadence] == 0:
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
		e.NextRunAt = s.now().Add(cadences[e.Cadence])
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

// ExpireTags does what the forge does once an hour
// (ContainerExpirationPolicyWorker): it removes the tags that enabled policies
// name whose time has come. It also happens by itself.
func (s *Server) ExpireTags(ctx context.Context) error {
	var due []*store.Project
	err := s.db.View(func(tx *store.Tx) error {
		for _, p := range tx.Projects.All() {
			if e := p.Expiration; e != nil && e.Enabled && !s.now().Before(e.NextRunAt) {
				due = append(due, p)
			}
		}
		return nil
	})
	if err != nil || s.registry.get() == "" {
		return err
	}
	for _, p := range due {
		paths, err := s.repositoriesOf(ctx, p)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := s.expireTags(ctx, p.Expiration, path); err != nil {
				return err
			}
		}
		err = s.db.Update(func(tx *store.Tx) error {
			if now := tx.Projects.Get(p.ID); now != nil && now.Expiration != nil {
				now.Expiration.NextRunAt = s.now().Add(cadences[now.Expiration.Cadence])
				tx.Projects.Put(now)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const day = 24 * time.Hour

var cadences = map[string]time.Duration{"1d": day, "7d": 7 * day, "14d": 14 * day, "1month": 30 * day, "3month": 90 * day}

// expireTags goes by app/services/projects/container_repository/cleanup_tags_base_service.rb:
// latest stays, names are matched as a whole, then the newest keep_n stay, then
// those that are not older_than. Tags without an age stay.
func (s *Server) expireTags(ctx context.Context, e *store.ExpirationPolicy, path string) error {
	goes, err := regexp.Compile(`\A(?:` + e.NameRegexDelete + `)\z`)
	if err != nil {
		return err
	}
	stays, err := regexp.Compile(`\A(?:` + e.NameRegexKeep + `)\z`)
	if err != nil {
		return err
	}
	names, err := s.tagsOf(ctx, path)
	if err != nil {
		return err
	}
	type tag struct {
		name    string
		created time.Time
	}
	var tags []tag
	for _, name := range names {
		if name == "latest" || !goes.MatchString(name) || e.NameRegexKeep != "" && stays.MatchString(name) {
			continue
		}
		image, err := s.readImage(ctx, path, name)
		if err != nil {
			return err
		}
		if image != nil && image.created != nil {
			tags = append(tags, tag{name, *image.created})
		}
	}
	slices.SortFunc(tags, func(a, b tag) int { return b.created.Compare(a.created) })
	for _, t := range tags[min(e.KeepN, len(tags)):] {
		days, _ := strconv.Atoi(strings.TrimSuffix(e.OlderThan, "d")) // one of policyAges, or none
		if !t.created.Before(s.now().Add(-time.Duration(days) * day)) {
			continue
		}
		if _, err := s.untag(ctx, path, t.name); err != nil {
			return err
		}
	}
	return nil
}
