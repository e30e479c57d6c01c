package heptapodtest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/internal/ci"
)

// lint checks a CI configuration as it would be on the default branch.
func (s *Server) lint(c *call) error {
	var p *store.Project
	err := c.view(func(tx *store.Tx) (err error) {
		p, err = c.project(tx, store.Developer)
		return err
	})
	if err != nil {
		return err
	}
	ref := c.p.Or("ref", p.DefaultBranch)
	var sha string
	if ref != "" {
		sha, _, _, _ = s.resolve(c.r.Context(), p, ref) // "" in an empty repository
	}
	content := []byte(c.p.String("content"))
	if c.r.Method == http.MethodPost && !c.p.Has("content") {
		return missing("content")
	}
	if c.r.Method == http.MethodGet {
		if sha == "" {
			return notFound("Repository")
		}
		if content, err = s.repos.File(c.r.Context(), p.Path, sha, or(p.ConfigPath, defaultConfigPath)); err != nil {
			content = nil
		}
	}
	out := map[string]any{"valid": true, "errors": []string{}, "warnings": []string{}, "includes": []any{}, "merged_yaml": string(content)}
	wrong := func(err error) error {
		out["valid"], out["errors"] = false, strings.Split(err.Error(), "\n")
		return c.json(http.StatusOK, out)
	}
	if len(strings.TrimSpace(string(content))) == 0 {
		return wrong(errors.New("Please provide content of .gitlab-ci.yml"))
	}
	var user int64
	if c.who.user != nil {
		user = c.who.user.ID
	}
	pl := &store.Pipeline{Source: "push", Ref: ref, SHA: sha, UserID: user}
	ev := s.ciEvent(c.r.Context(), p, pl)
	config, err := s.parseConfig(c.r.Context(), p, event{user: user, sha: sha}, content, &ev)
	if err != nil {
		return wrong(err)
	}
	made, err := config.Pipeline(ev)
	if err != nil && !errors.Is(err, ci.ErrNoPipeline) {
		return wrong(err)
	}
	if made != nil {
		if len(made.Warnings) > 0 {
			out["warnings"] = made.Warnings
		}
		jobs := []map[string]any{}
		for _, j := range made.Jobs {
			jobs = append(jobs, map[string]any{"name": j.Name, "stage": j.Stage, "script": j.Script, "when": j.When, "allow_failure": j.AllowFailure, "tag_list": list(j.Tags)})
		}
		out["jobs"] = jobs
	}
	return c.json(http.StatusOK, out)
}
