package heptapodtest

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

func (s *Server) pipelineURL(p *store.Project, pl *store.Pipeline) string {
	return s.URL + "/" + p.Path + "/-/pipelines/" + strconv.FormatInt(pl.ID, 10)
}

func (s *Server) shownPipeline(p *store.Project, pl *store.Pipeline) map[string]any {
	return map[string]any{
		"id": pl.ID, "iid": pl.IID, "project_id": pl.ProjectID, "sha": pl.SHA, "ref": pl.Ref, "status": pl.Status,
		"source": pl.Source, "created_at": stamp(pl.CreatedAt), "updated_at": stamp(pl.UpdatedAt), "web_url": s.pipelineURL(p, pl), "name": nilIfEmpty(pl.Name),
	}
}

func nilIfEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (s *Server) shownPipelineFully(tx *store.Tx, p *store.Project, pl *store.Pipeline) map[string]any {
	m := s.shownPipeline(p, pl)
	m["before_sha"], m["tag"], m["yaml_errors"], m["coverage"] = pl.BeforeSHA, pl.Tag, nil, nil
	if pl.YAMLErrors != "" {
		m["yaml_errors"] = pl.YAMLErrors
	}
	m["started_at"], m["finished_at"], m["committed_at"] = stamp(pl.StartedAt), stamp(pl.FinishedAt), nil
	m["duration"], m["queued_duration"], m["user"] = nil, nil, nil
	if !pl.StartedAt.IsZero() && !pl.FinishedAt.IsZero() {
		m["duration"] = int(pl.FinishedAt.Sub(pl.StartedAt).Seconds())
	}
	if u := tx.Users.Get(pl.UserID); u != nil {
		m["user"] = s.shownUser(u, false)
	}
	m["detailed_status"] = map[string]any{"text": pl.Status, "label": pl.Status, "group": pl.Status}
	return m
}

// pipeline finds the pipeline that the path names, in the project it names.
func (c *call) pipeline(tx *store.Tx, want int) (*store.Project, *store.Pipeline, error) {
	p, err := c.project(tx, want)
	if err != nil {
		return nil, nil, err
	}
	pl := tx.Pipelines.Get(c.id("pipeline"))
	if pl == nil || pl.ProjectID != p.ID {
		return nil, nil, notFound("Pipeline")
	}
	return p, pl, nil
}

func (s *Server) listPipelines(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Reporter)
		if err != nil {
			return err
		}
		all := tx.PipelinesOf(p.ID)
		if c.p.String("sort") != "asc" {
			slices.Reverse(all)
		}
		for _, pl := range all {
			switch {
			case pl.Source == sourceParent && c.p.String("source") != sourceParent:
			case c.p.Has("ref") && c.p.String("ref") != pl.Ref:
			case c.p.Has("sha") && c.p.String("sha") != pl.SHA:
			case c.p.Has("status") && c.p.String("status") != pl.Status:
			case c.p.Has("source") && c.p.String("source") != pl.Source:
			default:
				out = append(out, s.shownPipeline(p, pl))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) getPipeline(c *call) error {
	var out map[string]any
	err := c.view(func(tx *store.Tx) error {
		if c.r.PathValue("pipeline") == "latest" {
			p, err := c.project(tx, store.Reporter)
			if err != nil {
				return err
			}
			ref := c.p.Or("ref", p.DefaultBranch)
			for _, pl := range tx.PipelinesOf(p.ID) {
				if pl.Ref == ref && pl.Source != sourceParent {
					out = s.shownPipelineFully(tx, p, pl)
				}
			}
			if out == nil {
				return notFound("Pipeline")
			}
			return nil
		}
		p, pl, err := c.pipeline(tx, store.Reporter)
		if err == nil {
			out = s.shownPipelineFully(tx, p, pl)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// givenVariables reads variables of a request: a list of key and value, or an object.
func givenVariables(p params) ([]store.Variable, error) {
	var out []store.Variable
	items, _ := p["variables"].([]any)
	for _, item := range items {
		o, ok := item.(map[string]any)
		v := store.Variable{Key: params(o).String("key"), Value: params(o).String("value"), File: params(o).String("variable_type") == "file"}
		if !ok || !variableKey.MatchString(v.Key) {
			return nil, badRequest("variables[key] is invalid")
		}
		out = append(out, v)
	}
	for key := range p.Object("variables") {
		out = append(out, store.Variable{Key: key, Value: p.Object("variables").String(key)})
	}
	return out, nil
}

func (s *Server) createPipeline(c *call) error {
	if c.p.String("ref") == "" {
		return missing("ref")
	}
	given, err := givenVariables(c.p)
	if err != nil {
		return err
	}
	var p *store.Project
	err = c.view(func(tx *store.Tx) error {
		p, err = c.project(tx, store.Developer)
		return err
	})
	if err != nil {
		return err
	}
	pl, err := s.runPipeline(c.r.Context(), p, event{source: "api", user: c.who.user.ID, variables: given}, c.p.String("ref"))
	var none errNoPipeline
	if errors.As(err, &none) {
		return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"base": []string{string(none)}}}}
	}
	if err != nil {
		return err
	}
	if pl.YAMLErrors != "" {
		return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"base": []string{pl.YAMLErrors}}}}
	}
	var out map[string]any
	if err := c.view(func(tx *store.Tx) error { out = s.shownPipelineFully(tx, p, pl); return nil }); err != nil {
		return err
	}
	return c.json(http.StatusCreated, out)
}

// changePipeline runs fn on the jobs of a pipeline and answers with what it became.
func (s *Server) changePipeline(c *call, status int, fn func(tx *store.Tx, pl *store.Pipeline, jobs []*store.Job)) error {
	var out map[string]any
	err := s.change(func(tx *store.Tx) error {
		p, pl, err := c.pipeline(tx, store.Developer)
		if err != nil {
			return err
		}
		fn(tx, pl, latest(tx, pl.ID))
		pl = tx.Pipelines.Get(pl.ID)
		s.advance(tx, pl)
		out = s.shownPipelineFully(tx, p, pl)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(status, out)
}

func (s *Server) cancelPipeline(c *call) error {
	return s.changePipeline(c, http.StatusOK, func(tx *store.Tx, _ *store.Pipeline, jobs []*store.Job) {
		for _, j := range jobs {
			s.cancel(tx, j)
		}
	})
}

func (s *Server) retryPipeline(c *call) error {
	return s.changePipeline(c, http.StatusCreated, func(tx *store.Tx, pl *store.Pipeline, jobs []*store.Job) {
		for _, j := range jobs {
			if j.Status == store.Failed || j.Status == store.Canceled {
				next := s.again(tx, j)
				next.UserID = c.who.user.ID
				// It waits its turn like any other job.
				next.Status = store.Created
				tx.Jobs.Put(next)
				s.reopen(tx, pl.ID, j.Name)
			}
		}
	})
}

func (s *Server) deletePipeline(c *call) error {
	var jobs []*store.Job
	err := s.change(func(tx *store.Tx) error {
		_, pl, err := c.pipeline(tx, store.Owner)
		if err != nil {
			return err
		}
		jobs = tx.JobsOf(pl.ID)
		for _, j := range jobs {
			tx.RemoveJob(j.ID)
			s.contacts.jobGone(j.ID)
		}
		tx.Pipelines.Delete(pl.ID)
		return nil
	})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		s.dropFiles(j)
	}
	return c.empty(http.StatusNoContent)
}

func (s *Server) listPipelineVariables(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		_, pl, err := c.pipeline(tx, store.Developer)
		if err != nil {
			return err
		}
		for _, v := range pl.Variables {
			out = append(out, shownVariable(v))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}
