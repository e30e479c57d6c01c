package heptapodtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

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
	config    []byte // instead of the commit's own, of a child pipeline
	bridge    int64  // the job that asks for it
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
		Status: store.Created, Variables: e.variables, CreatedAt: s.now(), BridgeID: e.bridge,
		Commit: store.Commit{Title: commit.Title, Message: commit.Message, Author: commit.Author, Timestamp: commit.Timestamp, Branch: commit.Branch},
	}
	name := p.ConfigPath
	if name == "" {
		name = defaultConfigPath
	}
	src := e.config
	if src == nil {
		src, err = s.repos.File(ctx, p.Path, e.sha, name)
	}
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
	if e.tag {
		if pl.TagMessage, err = s.repos.TagMessage(ctx, p.Path, e.ref); err != nil {
			return nil, err
		}
	}
	ev := s.ciEvent(ctx, p, pl)
	config, err := s.parseConfig(ctx, p, e, src, &ev)
	if err != nil {
		return broken(pl, err), nil
	}
	ev.Changed = s.changedBy(ctx, p, pl)
	made, err := config.Pipeline(ev)
	if errors.Is(err, ci.ErrNoPipeline) {
		return &draft{why: "Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to the pipeline."}, nil
	}
	if err != nil {
		return broken(pl, err), nil
	}
	pl.Stages, pl.Warnings, pl.Name = made.Stages, made.Warnings, made.Name
	pl.Warnings = append(pl.Warnings, s.dependencyProxyWarnings(made.Jobs)...)
	pl.OnNewCommit, pl.OnJobFailure = made.Cancel.OnNewCommit, made.Cancel.OnJobFailure
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

var skipText = regexp.MustCompile(`(?i)\[(ci[ _-]skip|skip[ _-]ci)\]`)

func skips(message string) bool { return skipText.MatchString(message) }

func jobOf(p *store.Project, pl *store.Pipeline, spec ci.Job) *store.Job {
	j := &store.Job{
		ProjectID: p.ID, UserID: pl.UserID, Name: spec.Name, Stage: spec.Stage, Status: store.Created,
		When: spec.When, AllowFailure: spec.AllowFailure, DAG: spec.HasNeeds, Tags: spec.Tags,
		RetryMax: spec.RetryMax, Interruptible: spec.Interrupt, StartIn: spec.StartInSecs, ResourceGroup: spec.ResourceGroup, Bridge: spec.Trigger != nil, CreatedAt: pl.CreatedAt,
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
// branch of which no job has started that may not be interrupted, or what else
// each of them says by workflow:auto_cancel.
func (s *Server) supersede(tx *store.Tx, by *store.Pipeline) {
	if by.Source != "push" || by.Tag {
		return
	}
	for _, old := range tx.OpenPipelines() {
		if old.ProjectID != by.ProjectID || old.Ref != by.Ref || old.Tag || old.ID >= by.ID {
			continue
		}
		jobs := latest(tx, old.ID)
		switch old.OnNewCommit {
		case "none":
			continue
		case "interruptible":
			jobs = slices.DeleteFunc(jobs, func(j *store.Job) bool { return !j.Interruptible })
		default:
			if slices.ContainsFunc(jobs, func(j *store.Job) bool { return !j.StartedAt.IsZero() && !j.Interruptible }) {
				continue
			}
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
