package heptapodtest

import (
	"slices"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/internal/ci"
	"github.com/heptaup/hepta/internal/ci/flow"
)

// change runs fn like Update and then wakes those who wait for pipelines and,
// where a job was queued, for jobs.
func (s *Server) change(fn func(*store.Tx) error) error {
	queued := false
	err := s.db.Update(func(tx *store.Tx) error {
		err := fn(tx)
		queued = tx.Queued()
		return err
	})
	if err == nil {
		if queued {
			s.queue.ring()
		}
		s.changed.ring()
	}
	return err
}

// latest returns the jobs of a pipeline without those that were retried.
func latest(tx *store.Tx, pipeline int64) []*store.Job {
	return slices.DeleteFunc(tx.JobsOf(pipeline), func(j *store.Job) bool { return j.Retried })
}

func flowJobs(jobs []*store.Job) []flow.Job {
	out := make([]flow.Job, len(jobs))
	for i, j := range jobs {
		out[i] = flow.Job{Name: j.Name, Stage: j.StageIndex, Status: j.Status, When: j.When, AllowFailure: j.AllowFailure, DAG: j.DAG}
		for _, n := range j.Needs {
			out[i].Needs = append(out[i].Needs, flow.Need{Job: n.Job, Optional: n.Optional})
		}
	}
	return out
}

// advance decides what the jobs of a pipeline may do now, and its status.
func (s *Server) advance(tx *store.Tx, pl *store.Pipeline) {
	jobs := latest(tx, pl.ID)
	if len(jobs) == 0 {
		return
	}
	machine := flowJobs(jobs)
	for _, i := range flow.Advance(machine) {
		jobs[i].Status = machine[i].Status
		switch jobs[i].Status {
		case store.Pending:
			s.ready(tx, jobs[i])
			machine[i].Status = jobs[i].Status
		case store.Scheduled:
			jobs[i].DueAt = s.now().Add(time.Duration(jobs[i].StartIn) * time.Second)
		case store.Skipped:
			jobs[i].FinishedAt = s.now()
		}
		tx.Jobs.Put(jobs[i])
	}
	pl.Status = flow.Enter(pl.Status, flow.Composite(machine, false))
	pl.UpdatedAt = s.now()
	if pl.Status == store.Running && pl.StartedAt.IsZero() {
		pl.StartedAt = pl.UpdatedAt
	}
	if pl.FinishedAt = (time.Time{}); store.Finished(pl.Status) {
		pl.FinishedAt = pl.UpdatedAt
	}
	tx.Pipelines.Put(pl)
	s.inherit(tx, pl)
}

// finish ends a job; a failed one that may be retried gets a successor.
func (s *Server) finish(tx *store.Tx, j *store.Job, status, reason string, exit int) {
	j.Status, j.FailureReason, j.ExitCode, j.FinishedAt = status, reason, exit, s.now()
	s.contacts.jobGone(j.ID)
	if status == store.Failed {
		var spec ci.Job
		tx.Spec(j.ID, &spec)
		if slices.Contains(spec.AllowExitCodes, exit) {
			j.AllowFailure = true
		}
		if j.Attempt < j.RetryMax && retries(spec, reason, exit) {
			next := s.again(tx, j)
			next.Attempt, next.AllowFailure = j.Attempt+1, spec.AllowFailure
			tx.Jobs.Put(next)
		}
	}
	tx.Jobs.Put(j)
	s.release(tx, j)
	if pl := tx.Pipelines.Get(j.PipelineID); pl != nil {
		if status == store.Failed && !j.AllowFailure && !j.Retried && pl.OnJobFailure == "all" {
			for _, other := range latest(tx, pl.ID) {
				s.cancel(tx, other)
			}
		}
		s.advance(tx, pl)
	}
}

// retries reports whether a failure is one for which the file wants a retry.
func retries(spec ci.Job, reason string, exit int) bool {
	if len(spec.RetryExitCodes) > 0 && slices.Contains(spec.RetryExitCodes, exit) {
		return true
	}
	if len(spec.RetryWhen) > 0 {
		return slices.Contains(spec.RetryWhen, reason) || slices.Contains(spec.RetryWhen, "always")
	}
	return len(spec.RetryExitCodes) == 0
}

// again puts a new job in the place of one that is over.
func (s *Server) again(tx *store.Tx, old *store.Job) *store.Job {
	now := s.now()
	next := &store.Job{
		PipelineID: old.PipelineID, ProjectID: old.ProjectID, UserID: old.UserID, Name: old.Name, Stage: old.Stage,
		StageIndex: old.StageIndex, Status: store.Created, ResourceGroup: old.ResourceGroup, Bridge: old.Bridge, When: old.When, AllowFailure: old.AllowFailure, Needs: old.Needs,
		DAG: old.DAG, Tags: old.Tags, RetryMax: old.RetryMax, Interruptible: old.Interruptible, StartIn: old.StartIn,
		CreatedAt: now, Played: old.Played,
	}
	tx.Jobs.Put(next)
	tx.CopySpec(old.ID, next.ID)
	old.Retried = true
	tx.Jobs.Put(old)
	s.ready(tx, next)
	tx.Jobs.Put(next)
	return next
}

// reopen decides skipped followers of a job anew.
func (s *Server) reopen(tx *store.Tx, pipeline int64, name string) {
	jobs := latest(tx, pipeline)
	for _, i := range flow.Reopen(flowJobs(jobs), name) {
		jobs[i].Status = store.Created
		jobs[i].FinishedAt = time.Time{}
		tx.Jobs.Put(jobs[i])
	}
}

// cancel ends a job, or asks its runner to. A runner that knows canceling
// runs the job's after_script first; from any other the job's token is taken.
func (s *Server) cancel(tx *store.Tx, j *store.Job) {
	switch {
	case store.Finished(j.Status) || j.Status == store.Canceling:
		return
	case j.Bridge && j.DownstreamID != 0:
		j.Status, j.FinishedAt = store.Canceled, s.now()
		tx.Jobs.Put(j)
		s.cancelChild(tx, j)
	case j.Status == store.Running && j.Graceful:
		j.Status = store.Canceling
	default:
		j.Status, j.FinishedAt = store.Canceled, s.now()
		s.contacts.jobGone(j.ID)
	}
	tx.Jobs.Put(j)
	s.release(tx, j)
}

// ready lets a job wait for a runner, or for its resource group while another
// job of the project has that.
func (s *Server) ready(tx *store.Tx, j *store.Job) {
	j.Status, j.QueuedAt = store.Pending, s.now()
	if j.ResourceGroup == "" {
		return
	}
	for _, other := range tx.JobsOfProject(j.ProjectID) {
		if other.ID != j.ID && other.ResourceGroup == j.ResourceGroup && holds(other.Status) {
			j.Status = store.WaitingForResource
			return
		}
	}
}

// holds reports whether a job of this status has its resource group.
func holds(status string) bool {
	return status == store.Pending || status == store.Running || status == store.Canceling
}

// release hands the resource group of a job that is over to the one that has
// waited longest.
func (s *Server) release(tx *store.Tx, j *store.Job) {
	if j.ResourceGroup == "" || holds(j.Status) {
		return
	}
	for _, next := range tx.JobsOfProject(j.ProjectID) {
		if next.ResourceGroup == j.ResourceGroup && next.Status == store.WaitingForResource && next.ID != j.ID {
			if s.ready(tx, next); next.Status != store.Pending {
				return
			}
			tx.Jobs.Put(next)
			if pl := tx.Pipelines.Get(next.PipelineID); pl != nil && next.PipelineID != j.PipelineID {
				s.advance(tx, pl)
			}
			return
		}
	}
}

// play starts a manual job, or a delayed one before its time.
func (s *Server) play(tx *store.Tx, j *store.Job, user int64) {
	j.Played, j.UserID = true, user
	s.enqueue(tx, j)
}

// enqueue lets a job that was held back wait for a runner.
func (s *Server) enqueue(tx *store.Tx, j *store.Job) {
	s.ready(tx, j)
	tx.Jobs.Put(j)
	s.reopen(tx, j.PipelineID, j.Name)
	s.advance(tx, tx.Pipelines.Get(j.PipelineID))
}

// retry runs a job that is over once more.
func (s *Server) retry(tx *store.Tx, j *store.Job, user int64) *store.Job {
	next := s.again(tx, j)
	next.UserID = user
	tx.Jobs.Put(next)
	s.reopen(tx, j.PipelineID, j.Name)
	s.advance(tx, tx.Pipelines.Get(j.PipelineID))
	return next
}
