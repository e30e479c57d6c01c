package heptapodtest

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/internal/ci"
	"github.com/heptaup/hepta/internal/ci/expand"
)

// A bridge is a job with trigger: instead of a runner, the forge takes it, and
// makes a child pipeline or one of another project.

const (
	sourceParent   = "parent_pipeline"
	sourcePipeline = "pipeline"
	// maxChildren is how deep child pipelines may nest.
	maxChildren = 2
)

// bridges makes the pipelines of bridges that are ready, until the forge closes.
func (s *Server) bridges() {
	for {
		now := s.changed.mark()
		var ready []int64
		err := s.db.View(func(tx *store.Tx) error {
			for _, j := range tx.PendingBridges() {
				ready = append(ready, j.ID)
			}
			return nil
		})
		for _, id := range ready {
			if err == nil {
				err = s.bridge(s.work, id)
			}
		}
		if err != nil && s.work.Err() == nil {
			s.log.Error("trigger jobs", "error", err)
		}
		select {
		case <-now.next:
		case <-s.work.Done():
			return
		}
	}
}

// bridge makes the pipeline of one bridge.
func (s *Server) bridge(ctx context.Context, id int64) error {
	var (
		spec     ci.Job
		p, other *store.Project
		from     *store.Pipeline
		depth    int
		user     int64
		known    []expand.Variable // what the job itself would get
	)
	err := s.db.View(func(tx *store.Tx) error {
		j := tx.Jobs.Get(id)
		if j == nil {
			return nil
		}
		tx.Spec(id, &spec)
		p, from, user = tx.Projects.Get(j.ProjectID), tx.Pipelines.Get(j.PipelineID), j.UserID
		for up := from; up != nil && up.Source == sourceParent; depth++ {
			up = tx.Pipelines.Get(jobPipeline(tx, up.BridgeID))
		}
		if p != nil && from != nil {
			known = s.variables(&claimed{job: j, spec: spec, pipeline: from, project: p, group: tx.Groups.Get(p.GroupID), user: tx.Users.Get(user), runner: &store.Runner{}})
		}
		if other = p; spec.Trigger != nil && spec.Trigger.Project != "" {
			other = tx.Project(spec.Trigger.Project)
			if other != nil && !can(tx, identity{user: tx.Users.Get(user)}, other, store.Developer) {
				other = nil
			}
		}
		return nil
	})
	if err != nil || p == nil || from == nil || spec.Trigger == nil {
		return err
	}
	fail := func(reason string) error {
		return s.change(func(tx *store.Tx) error {
			if j := tx.Jobs.Get(id); j != nil && j.Status == store.Pending {
				s.finish(tx, j, store.Failed, reason, 0)
			}
			return nil
		})
	}
	e := event{source: sourceParent, ref: from.Ref, tag: from.Tag, sha: from.SHA, before: from.BeforeSHA, user: user, config: spec.Trigger.Config, bridge: id}
	switch {
	case other == nil:
		return fail("downstream_bridge_project_not_found")
	case spec.Trigger.Project != "":
		e.source, e.config = sourcePipeline, nil
		if e.sha, e.ref, e.tag, err = s.resolve(ctx, other, or(spec.Trigger.Branch, other.DefaultBranch)); err != nil || e.ref == "" {
			return fail("downstream_pipeline_creation_failed")
		}
	case depth >= maxChildren:
		return fail("reached_max_descendant_pipelines_depth")
	}
	e.variables = forwarded(spec, from, known)
	d, err := s.draft(ctx, other, e)
	if err != nil {
		return fmt.Errorf("trigger job %d: %w", id, err)
	}
	if d.pipeline == nil || len(d.jobs) == 0 {
		return fail("downstream_pipeline_creation_failed")
	}
	err = s.change(func(tx *store.Tx) error {
		j, now := tx.Jobs.Get(id), tx.Projects.Get(other.ID)
		if j == nil || j.Status != store.Pending || now == nil {
			return nil // canceled meanwhile
		}
		s.keep(tx, now, d)
		tx.Projects.Put(now)
		j.DownstreamID, j.StartedAt = d.pipeline.ID, s.now()
		if spec.Trigger.Depend {
			j.Status = store.Running
			tx.Jobs.Put(j)
			s.advance(tx, tx.Pipelines.Get(j.PipelineID))
			s.inherit(tx, tx.Pipelines.Get(d.pipeline.ID))
		} else {
			s.finish(tx, j, store.Success, "", 0)
		}
		return nil
	})
	if err == nil && d.pipeline.ID != 0 {
		s.keepAround(ctx, other, d.pipeline)
	}
	return err
}

func jobPipeline(tx *store.Tx, job int64) int64 {
	if j := tx.Jobs.Get(job); j != nil {
		return j.PipelineID
	}
	return 0
}

// forwarded are the variables that a downstream pipeline gets: those of the job
// expanded by what the job knows, of its own pipeline too.
func forwarded(spec ci.Job, from *store.Pipeline, known []expand.Variable) []store.Variable {
	var list []store.Variable
	if spec.Trigger.PipelineVariables {
		list = append(list, from.Variables...)
	}
	if spec.Trigger.JobVariables {
		values := make(map[string]string, len(known))
		for _, v := range known {
			values[v.Key] = v.Value
		}
		get := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
		for _, v := range spec.Variables {
			if !v.Raw {
				v.Value = expand.String(v.Value, get)
			}
			list = append(list, store.Variable{Key: v.Key, Value: v.Value, Raw: v.Raw})
		}
	}
	return list
}

// inherit gives a bridge that depends on its pipeline that pipeline's end.
func (s *Server) inherit(tx *store.Tx, pl *store.Pipeline) {
	if pl == nil || pl.BridgeID == 0 || !store.Finished(pl.Status) {
		return
	}
	j := tx.Jobs.Get(pl.BridgeID)
	if j == nil || j.Status != store.Running || j.DownstreamID != pl.ID {
		return
	}
	status := pl.Status
	if status == store.Skipped {
		status = store.Success
	}
	reason := ""
	if status == store.Failed {
		reason = "downstream_pipeline_failed"
	}
	s.finish(tx, j, status, reason, 0)
}

// cancelChild cancels the child pipeline of a bridge.
func (s *Server) cancelChild(tx *store.Tx, j *store.Job) {
	child := tx.Pipelines.Get(j.DownstreamID)
	if child == nil || child.Source != sourceParent || store.Finished(child.Status) {
		return
	}
	for _, one := range latest(tx, child.ID) {
		s.cancel(tx, one)
	}
	s.advance(tx, child)
}

// artifactOf reads a file out of what a job of the parent pipeline made.
func (s *Server) artifactOf(bridge int64, job, path string) ([]byte, error) {
	var file string
	err := s.db.View(func(tx *store.Tx) error {
		for _, j := range latest(tx, jobPipeline(tx, bridge)) {
			if a := j.Archive(); j.Name == job && a != nil {
				file = a.File
			}
		}
		return nil
	})
	if err != nil || file == "" {
		return nil, fmt.Errorf("artifacts of %s: %w", job, fs.ErrNotExist)
	}
	f, err := s.db.Artifact(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(f, info.Size())
	if err != nil {
		return nil, err
	}
	content, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(io.LimitReader(content, 1<<20))
}

// listBridges shows the jobs of a pipeline that made other pipelines.
func (s *Server) listBridges(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		_, pl, err := c.pipeline(tx, store.Reporter)
		if err != nil {
			return err
		}
		for _, j := range slices.Backward(latest(tx, pl.ID)) {
			if !j.Bridge {
				continue
			}
			m := s.shownJob(tx, j)
			m["downstream_pipeline"] = nil
			if down := tx.Pipelines.Get(j.DownstreamID); down != nil {
				if p := tx.Projects.Get(down.ProjectID); p != nil {
					m["downstream_pipeline"] = s.shownPipeline(p, down)
				}
			}
			out = append(out, m)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func notBridges(jobs []*store.Job) []*store.Job {
	return slices.DeleteFunc(jobs, func(j *store.Job) bool { return j.Bridge })
}
