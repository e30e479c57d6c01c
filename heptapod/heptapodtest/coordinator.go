package heptapodtest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/internal/ci"
)

// lastUpdate is the header that names the state of the queue; a runner sends
// the value back as last_update.
const lastUpdate = "X-GitLab-Last-Update"

// requestJob gives a runner a job: 201 with the job, or 204 when there is none
// after a while. The request is held until a job may have become available; it
// ends at once when the runner goes away, or when somebody changes it.
func (s *Server) requestJob(c *call) error {
	wait, cancel := context.WithTimeout(c.r.Context(), max(s.cfg.LongPoll, 0))
	defer cancel()
	runner := hash(c.runnerToken())
	edits := s.edits.of(runner)
	for held := false; ; held = true {
		moment := s.queue.mark()
		c.w.Header().Set(lastUpdate, moment.name)
		// Of many that a bell wakes, those behind the one that found the queue
		// empty need not look.
		if !held || !moment.settled() {
			job, err := s.claim(c, moment)
			if err != nil {
				return err
			}
			if job != nil {
				return s.hand(c, job)
			}
		}
		if s.edits.of(runner) != edits {
			return c.empty(http.StatusNoContent)
		}
		select {
		case <-moment.next:
		case <-wait.Done():
			return c.empty(http.StatusNoContent)
		case <-s.work.Done():
			return c.empty(http.StatusNoContent)
		}
	}
}

// claimed is a job that a runner was given, and what its payload is made of.
type claimed struct {
	job      *store.Job
	spec     ci.Job
	pipeline *store.Pipeline
	project  *store.Project
	group    *store.Group
	user     *store.User
	runner   *store.Runner
	needed   []*store.Job // jobs whose archives it gets
	upstream []*store.Job // those of them in other pipelines
	dotenv   []store.Variable
	token    string
	mercury  bool // the runner knows Mercurial
}

// errNoJob takes a claim back that came too late: most polls write nothing.
var errNoJob = errors.New("no job")

// claim takes the oldest job that the runner may run. One transaction: no two
// runners get one job.
func (s *Server) claim(c *call, now moment) (*claimed, error) {
	// Most polls find nothing: they should not wait for the disk.
	var out *claimed
	known := false
	err := s.db.View(func(tx *store.Tx) error {
		r, err := c.asRunner(tx)
		if err != nil {
			return err
		}
		manager := s.knownManager(c, tx, r)
		known = manager != 0
		s.contacts.runnerSeen(r.ID, manager, s.now())
		waiting := false
		for j := range tx.PendingJobs() {
			if out = claimable(tx, r, j); out != nil {
				return nil
			}
			waiting = true
		}
		if !waiting {
			now.settle()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if out == nil && known {
		return nil, nil
	}
	err = s.change(func(tx *store.Tx) error {
		out = nil
		r, err := c.asRunner(tx)
		if err != nil {
			return err
		}
		s.contacts.runnerSeen(r.ID, c.manager(tx, r).ID, s.now())
		waiting, dropped := false, false
		for j := range tx.PendingJobs() {
			waiting = true
			if out = claimable(tx, r, j); out == nil {
				continue
			}
			tx.Spec(j.ID, &out.spec)
			// A job that needs what the runner lacks, or what is not there, fails on it.
			switch {
			case unsupported(c.p, out.spec) != "":
				s.finish(tx, j, store.Failed, "runner_unsupported", 0)
			case !s.findUpstream(tx, out):
				s.finish(tx, j, store.Failed, "missing_dependency_failure", 0)
			default:
				s.give(tx, c, out)
				return nil
			}
			out, dropped = nil, true
		}
		if !waiting {
			now.settle()
		}
		if known && !dropped {
			return errNoJob
		}
		return nil
	})
	if errors.Is(err, errNoJob) {
		return nil, nil
	}
	return out, err
}

// claimable is the job for the runner, nil when it may not have it.
func claimable(tx *store.Tx, r *store.Runner, j *store.Job) *claimed {
	p, pl := tx.Projects.Get(j.ProjectID), tx.Pipelines.Get(j.PipelineID)
	if r.Paused || p == nil || pl == nil || !takes(tx, r, p, pl, j) {
		return nil
	}
	return &claimed{job: j, pipeline: pl, project: p, runner: r}
}

// knownManager is the machine that calls, 0 when it is new.
func (s *Server) knownManager(c *call, tx *store.Tx, r *store.Runner) int64 {
	system := c.p.Or("system_id", "<legacy>")
	if m := tx.Manager(r.ID, system); m != nil {
		return m.ID
	}
	return 0
}

// give makes the job the runner's.
func (s *Server) give(tx *store.Tx, c *call, out *claimed) {
	j, now := out.job, s.now()
	features := c.p.Object("info").Object("features")
	out.token = "glcbt-64_" + random(20)
	j.Status, j.StartedAt, j.RunnerID, j.SystemID = store.Running, now, out.runner.ID, c.p.String("system_id")
	j.TokenHash, j.Acked, j.Graceful = hash(out.token), false, features.Bool("cancel_gracefully", false)
	tx.Jobs.Put(j)
	s.contacts.jobSeen(j.ID, now)
	s.advance(tx, out.pipeline)
	out.group, out.user = tx.Groups.Get(out.project.GroupID), tx.Users.Get(j.UserID)
	out.needed = append(dependencies(tx, j, out.spec), out.upstream...)
	for _, n := range out.needed {
		out.dotenv = append(out.dotenv, n.Dotenv...)
	}
	out.mercury = knowsMercurial(c)
}

// knowsMercurial tells a Heptapod Runner, whose helper has hg, from a stock one.
func knowsMercurial(c *call) bool {
	info := c.p.Object("info")
	says := strings.ToLower(info.String("name") + " " + info.String("version") + " " + info.String("revision") + " " + c.r.UserAgent())
	return strings.Contains(says, "heptapod")
}

// unsupported names a feature that the job needs and the runner does not
// announce. A runner that announces nothing at all is taken for able.
func unsupported(p params, spec ci.Job) string {
	info := p.Object("info")
	if !info.Has("features") {
		return ""
	}
	features := info.Object("features")
	var needs []string
	if a := spec.Artifacts; a != nil {
		if len(a.Reports) > 0 {
			needs = append(needs, "upload_multiple_artifacts")
		}
		if len(a.Exclude) > 0 {
			needs = append(needs, "artifacts_exclude")
		}
	}
	for _, n := range needs {
		if !features.Bool(n, false) {
			return n
		}
	}
	return ""
}

// dependencies are the jobs whose archives a job gets: those that dependencies
// names; with needs those needed with artifacts; else all of earlier stages.
func dependencies(tx *store.Tx, j *store.Job, spec ci.Job) []*store.Job {
	wanted := map[string]bool{}
	for _, d := range spec.Dependencies {
		wanted[d] = true
	}
	needed := map[string]bool{}
	for _, n := range spec.Needs {
		needed[n.Job] = n.Artifacts
	}
	// A name stands for all jobs that parallel made of it.
	named := func(set map[string]bool, name string) bool { return set[name] || set[ci.GroupName(name)] }
	var out []*store.Job
	for _, other := range latest(tx, j.PipelineID) {
		if other.ID == j.ID || !store.Finished(other.Status) {
			continue
		}
		switch {
		case spec.HasNeeds && !named(needed, other.Name):
		case spec.HasDeps && !named(wanted, other.Name):
		case !spec.HasNeeds && other.StageIndex >= j.StageIndex:
		default:
			out = append(out, other)
		}
	}
	return out
}

// hand answers with the job's payload. A job that cannot be handed over goes
// back to the queue.
func (s *Server) hand(c *call, out *claimed) error {
	body, err := s.payload(c.r.Context(), out)
	if err == nil {
		err = c.r.Context().Err()
	}
	if err == nil {
		var data []byte
		if data, err = json.Marshal(body); err == nil {
			c.w.Header().Set("Content-Type", "application/json")
			c.w.WriteHeader(http.StatusCreated)
			_, _ = c.w.Write(data) // a runner that is gone leaves a job that is reaped
			return nil
		}
	}
	gone := c.r.Context().Err() != nil
	if undo := s.change(func(tx *store.Tx) error {
		j := tx.Jobs.Get(out.job.ID)
		if j == nil || j.TokenHash != out.job.TokenHash || j.Status != store.Running {
			return nil
		}
		if gone {
			s.requeue(tx, j)
		} else {
			// It would fail the same way for the next runner.
			s.finish(tx, j, store.Failed, "scheduler_failure", 0)
		}
		return nil
	}); undo != nil {
		s.log.Error("job is stuck", "job", out.job.ID, "error", undo)
	}
	return err
}

// requeue takes a job from a runner that never answered for it.
func (s *Server) requeue(tx *store.Tx, j *store.Job) {
	j.Status, j.QueuedAt, j.RunnerID, j.SystemID, j.TokenHash, j.Acked = store.Pending, s.now(), 0, "", "", false
	j.StartedAt = time.Time{}
	tx.Jobs.Put(j)
	s.contacts.jobGone(j.ID)
	if pl := tx.Pipelines.Get(j.PipelineID); pl != nil {
		s.advance(tx, pl)
	}
}
