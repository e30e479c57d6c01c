package heptapodtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
	"github.com/heptaup/hepta/internal/ci"
)

// event is what asks for a pipeline.
type event struct {
	source    string // push, api, web
	ref       string
	tag       bool
	sha       string
	before    string
	user      int64
	variables []store.Variable
}

// draft is a pipeline that is not stored yet; without pipeline the event makes
// none, and why says the reason.
type draft struct {
	pipeline *store.Pipeline
	jobs     []*store.Job
	specs    []ci.Job
	why      string
}

const defaultConfigPath = ".gitlab-ci.yml"

// draft reads the commit's CI configuration and decides what the event makes.
func (s *Server) draft(ctx context.Context, p *store.Project, e event) (*draft, error) {
	commit, err := s.repos.Commit(ctx, p.Path, e.sha)
	if err != nil {
		return nil, err
	}
	pl := &store.Pipeline{
		ProjectID: p.ID, UserID: e.user, Source: e.source, Ref: e.ref, Tag: e.tag, SHA: e.sha, BeforeSHA: e.before,
		Status: store.Created, Variables: e.variables, CreatedAt: s.now(),
		Commit: store.Commit{Title: commit.Title, Message: commit.Message, Author: commit.Author, Timestamp: commit.Timestamp, Branch: commit.Branch},
	}
	name := p.ConfigPath
	if name == "" {
		name = defaultConfigPath
	}
	src, err := s.repos.File(ctx, p.Path, e.sha, name)
	if errors.Is(err, fs.ErrNotExist) {
		return &draft{why: "Missing CI config file"}, nil
	}
	if err != nil {
		return nil, err
	}
	if e.source == "push" && skips(commit.Message) {
		// A commit that says [ci skip] makes a pipeline without jobs.
		pl.Status, pl.FinishedAt = store.Skipped, pl.CreatedAt
		return &draft{pipeline: pl}, nil
	}
	sources := src
	config, err := ci.ParseWith(src, name, ci.ParseOptions{Include: func(path string) ([]byte, error) {
		data, err := s.repos.File(ctx, p.Path, e.sha, strings.TrimPrefix(path, "/"))
		sources = append(bytes.Clone(sources), data...)
		return data, err
	}})
	if err != nil {
		return broken(pl, err), nil
	}
	ev := ci.Event{
		Source: e.source, Ref: e.ref, Tag: e.tag, Default: p.DefaultBranch,
		Variables: map[string]string{},
	}
	for _, v := range s.pipelineScope(p, pl) {
		ev.Variables[v.Key] = v.Value
	}
	// Listing a repository costs a process each: only where a rule may ask.
	if bytes.Contains(sources, []byte("changes")) && !e.tag && e.source == "push" && e.before != vcs.Zero {
		if ev.Changed, err = s.repos.Changed(ctx, p.Path, e.before, e.sha); err != nil {
			// The commit before is gone: nothing to compare with.
			ev.Changed = nil
		} else if ev.Changed == nil {
			ev.Changed = []string{}
		}
	}
	if bytes.Contains(sources, []byte("exists")) {
		if ev.Exists, err = s.repos.Files(ctx, p.Path, e.sha); err != nil {
			return nil, err
		}
	}
	made, err := config.Pipeline(ev)
	if errors.Is(err, ci.ErrNoPipeline) {
		return &draft{why: "Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to the pipeline."}, nil
	}
	if err != nil {
		return broken(pl, err), nil
	}
	pl.Stages, pl.Warnings = made.Stages, made.Warnings
	d := &draft{pipeline: pl, specs: made.Jobs}
	for _, spec := range made.Jobs {
		d.jobs = append(d.jobs, jobOf(p, pl, spec))
	}
	return d, nil
}

// broken is the pipeline that shows what is wrong with a configuration.
func broken(pl *store.Pipeline, err error) *draft {
	pl.Status, pl.YAMLErrors, pl.FinishedAt = store.Failed, err.Error(), pl.CreatedAt
	return &draft{pipeline: pl}
}

func skips(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "[ci skip]") || strings.Contains(m, "[skip ci]")
}

func jobOf(p *store.Project, pl *store.Pipeline, spec ci.Job) *store.Job {
	j := &store.Job{
		ProjectID: p.ID, UserID: pl.UserID, Name: spec.Name, Stage: spec.Stage, Status: store.Created,
		When: spec.When, AllowFailure: spec.AllowFailure, DAG: spec.HasNeeds, Tags: spec.Tags,
		RetryMax: spec.RetryMax, Interruptible: spec.Interrupt, StartIn: spec.StartInSecs, CreatedAt: pl.CreatedAt,
	}
	for i, name := range pl.Stages {
		if name == spec.Stage {
			j.StageIndex = i
		}
	}
	for _, n := range spec.Needs {
		j.Needs = append(j.Needs, store.Need{Job: n.Job, Artifacts: n.Artifacts, Optional: n.Optional})
	}
	return j
}

// keep stores a draft and starts what can start. The project's record changes;
// storing it is the caller's.
func (s *Server) keep(tx *store.Tx, p *store.Project, d *draft) {
	p.LastIID++
	d.pipeline.IID, d.pipeline.UpdatedAt = p.LastIID, s.now()
	tx.Pipelines.Put(d.pipeline)
	for i, j := range d.jobs {
		j.PipelineID = d.pipeline.ID
		tx.Jobs.Put(j)
		tx.PutSpec(j.ID, &d.specs[i])
	}
	if len(d.jobs) > 0 {
		s.supersede(tx, d.pipeline)
		s.advance(tx, d.pipeline)
	}
}

// supersede cancels what a push makes redundant: older pipelines of the same
// branch of which no job has started that may not be interrupted.
func (s *Server) supersede(tx *store.Tx, by *store.Pipeline) {
	if by.Source != "push" || by.Tag {
		return
	}
	for _, old := range tx.OpenPipelines() {
		if old.ProjectID != by.ProjectID || old.Ref != by.Ref || old.Tag || old.ID >= by.ID {
			continue
		}
		jobs := latest(tx, old.ID)
		if slices.ContainsFunc(jobs, func(j *store.Job) bool { return !j.StartedAt.IsZero() && !j.Interruptible }) {
			continue
		}
		for _, j := range jobs {
			s.cancel(tx, j)
		}
		s.advance(tx, old)
	}
}

// errNoPipeline carries why an event makes no pipeline.
type errNoPipeline string

func (e errNoPipeline) Error() string { return string(e) }

// runPipeline makes the pipeline that somebody asks for.
func (s *Server) runPipeline(ctx context.Context, p *store.Project, e event, ref string) (*store.Pipeline, error) {
	var err error
	if e.sha, e.ref, e.tag, err = s.resolve(ctx, p, ref); err != nil || e.ref == "" {
		return nil, errNoPipeline("Reference not found")
	}
	e.before = vcs.Zero
	d, err := s.draft(ctx, p, e)
	if err != nil {
		return nil, fmt.Errorf("run pipeline of %s: %w", p.Path, err)
	}
	if d.pipeline == nil {
		return nil, errNoPipeline(d.why)
	}
	err = s.change(func(tx *store.Tx) error {
		now := tx.Projects.Get(p.ID)
		if now == nil {
			return notFound("Project")
		}
		s.keep(tx, now, d)
		tx.Projects.Put(now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.keepAround(ctx, p, d.pipeline)
	return d.pipeline, nil
}
