package heptapodtest

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

func (s *Server) jobURL(p *store.Project, j *store.Job) string {
	return s.URL + "/" + p.Path + "/-/jobs/" + strconv.FormatInt(j.ID, 10)
}

func (s *Server) shownJob(tx *store.Tx, j *store.Job) map[string]any {
	m := map[string]any{
		"id": j.ID, "status": j.Status, "stage": j.Stage, "name": j.Name, "allow_failure": j.AllowFailure, "tag_list": list(j.Tags),
		"created_at": stamp(j.CreatedAt), "started_at": stamp(j.StartedAt), "finished_at": stamp(j.FinishedAt), "erased_at": stamp(j.ErasedAt),
		"duration": nil, "queued_duration": nil, "coverage": nil, "runner": nil, "runner_manager": nil, "user": nil, "retried": j.Retried,
		"artifacts": []any{}, "artifacts_expire_at": nil,
	}
	if j.FailureReason != "" {
		m["failure_reason"] = j.FailureReason
	}
	if j.ExitCode != 0 {
		m["exit_code"] = j.ExitCode
	}
	if !j.StartedAt.IsZero() && !j.FinishedAt.IsZero() {
		m["duration"] = j.FinishedAt.Sub(j.StartedAt).Seconds()
	}
	if !j.StartedAt.IsZero() && !j.QueuedAt.IsZero() {
		m["queued_duration"] = max(j.StartedAt.Sub(j.QueuedAt).Seconds(), 0)
	}
	if r := tx.Runners.Get(j.RunnerID); r != nil {
		m["runner"] = s.shownRunner(tx, r, false)
		if manager := tx.Manager(r.ID, j.SystemID); manager != nil {
			m["runner_manager"] = map[string]any{"id": manager.ID, "system_id": manager.SystemID, "version": manager.Version, "platform": manager.Platform}
		}
	}
	if u := tx.Users.Get(j.UserID); u != nil {
		m["user"] = s.shownUser(u, false)
	}
	if p := tx.Projects.Get(j.ProjectID); p != nil {
		m["web_url"] = s.jobURL(p, j)
		if pl := tx.Pipelines.Get(j.PipelineID); pl != nil {
			m["ref"], m["tag"], m["pipeline"] = pl.Ref, pl.Tag, s.shownPipeline(p, pl)
			m["commit"] = map[string]any{"id": pl.SHA, "title": pl.Commit.Title, "message": pl.Commit.Message}
		}
	}
	var files []map[string]any
	for _, a := range j.Artifacts {
		file := map[string]any{"file_type": a.Type, "file_format": a.Format, "filename": a.Filename, "size": a.Size}
		files = append(files, file)
		if a.Type == "archive" {
			m["artifacts_file"] = map[string]any{"filename": a.Filename, "size": a.Size}
			m["artifacts_expire_at"] = stamp(a.ExpiresAt)
		}
	}
	if files != nil {
		m["artifacts"] = files
	}
	return m
}

// jobIn finds the job that the path names, in the project it names.
func (c *call) jobIn(tx *store.Tx, want int) (*store.Job, error) {
	p, err := c.project(tx, want)
	if err != nil {
		return nil, err
	}
	j := tx.Jobs.Get(c.id("job"))
	if j == nil || j.ProjectID != p.ID {
		return nil, notFound("")
	}
	return j, nil
}

// job is jobIn in a view of its own. Who may read the code may read the jobs.
func (c *call) job(want int) (*store.Job, error) {
	var j *store.Job
	err := c.view(func(tx *store.Tx) (err error) {
		j, err = c.jobIn(tx, max(want, store.Reporter))
		return err
	})
	return j, err
}

func (s *Server) shownJobs(tx *store.Tx, c *call, jobs []*store.Job) []map[string]any {
	out := []map[string]any{}
	scopes := c.p.List("scope")
	for _, j := range jobs {
		if len(scopes) == 0 || slices.Contains(scopes, j.Status) {
			out = append(out, s.shownJob(tx, j))
		}
	}
	return out
}

func (s *Server) listJobs(c *call) error {
	var out []map[string]any
	err := c.view(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Reporter)
		if err != nil {
			return err
		}
		jobs := notBridges(tx.JobsOfProject(p.ID))
		slices.Reverse(jobs)
		out = s.shownJobs(tx, c, jobs)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) listPipelineJobs(c *call) error {
	var out []map[string]any
	err := c.view(func(tx *store.Tx) error {
		_, pl, err := c.pipeline(tx, store.Reporter)
		if err != nil {
			return err
		}
		jobs := latest(tx, pl.ID)
		if c.p.Bool("include_retried", false) {
			jobs = tx.JobsOf(pl.ID)
		}
		jobs = notBridges(jobs)
		slices.Reverse(jobs)
		out = s.shownJobs(tx, c, jobs)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) getJob(c *call) error {
	var out map[string]any
	err := c.view(func(tx *store.Tx) error {
		j, err := c.jobIn(tx, store.Reporter)
		if err == nil {
			out = s.shownJob(tx, j)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// getOwnJob tells a job about itself, by its token.
func (s *Server) getOwnJob(c *call) error {
	if c.who.job == nil {
		return unauthorized()
	}
	var out map[string]any
	if err := c.view(func(tx *store.Tx) error { out = s.shownJob(tx, c.who.job); return nil }); err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// changeJob runs fn on a job and answers with the job that fn returns.
func (s *Server) changeJob(c *call, fn func(tx *store.Tx, j *store.Job) (*store.Job, error)) error {
	var out map[string]any
	err := s.change(func(tx *store.Tx) error {
		j, err := c.jobIn(tx, store.Developer)
		if err != nil {
			return err
		}
		if j, err = fn(tx, j); err == nil {
			out = s.shownJob(tx, j)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, out)
}

func (s *Server) cancelJob(c *call) error {
	return s.changeJob(c, func(tx *store.Tx, j *store.Job) (*store.Job, error) {
		if store.Finished(j.Status) {
			return nil, message(http.StatusForbidden, "403 Forbidden - Job is not cancelable")
		}
		s.cancel(tx, j)
		s.advance(tx, tx.Pipelines.Get(j.PipelineID))
		return j, nil
	})
}

func (s *Server) retryJob(c *call) error {
	return s.changeJob(c, func(tx *store.Tx, j *store.Job) (*store.Job, error) {
		if j.Retried || j.Status != store.Success && j.Status != store.Failed && j.Status != store.Canceled {
			return nil, message(http.StatusForbidden, "403 Forbidden - Job is not retryable")
		}
		return s.retry(tx, j, c.who.user.ID), nil
	})
}

func (s *Server) playJob(c *call) error {
	return s.changeJob(c, func(tx *store.Tx, j *store.Job) (*store.Job, error) {
		if j.Status != store.Manual && j.Status != store.Scheduled {
			return nil, badRequest("Unplayable Job")
		}
		s.play(tx, j, c.who.user.ID)
		return j, nil
	})
}

func (s *Server) eraseJob(c *call) error {
	var gone store.Job
	err := s.changeJob(c, func(tx *store.Tx, j *store.Job) (*store.Job, error) {
		if !store.Finished(j.Status) {
			return nil, message(http.StatusForbidden, "403 Forbidden - Job is not erasable!")
		}
		gone = *j
		j.Artifacts, j.Dotenv, j.ErasedAt = nil, nil, s.now()
		tx.Jobs.Put(j)
		return j, nil
	})
	if err == nil && gone.ID != 0 {
		s.dropFiles(&gone)
	}
	return err
}
