package hepta

import (
	"context"
	"slices"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/runner"
)

// runnerManager is what the containers of the stack's jobs are known by. Files
// that no container shows are read under the stack's lock, where that is
// allowed; what cannot be read is not known.
func (s *Stack) runnerManager(ctx context.Context, locks bool) runner.Manager {
	m, shown, err := s.shownManager(ctx)
	if err == nil && !shown && locks {
		err = s.changeRunners("runner prune")(ctx, func(r *runner.Roster) (err error) {
			m, err = r.Manager(ctx)
			return err
		})
	}
	if err != nil {
		s.opts.Log.Warn("which jobs are of the stack's runners", "error", err)
	}
	return m
}

// shownManager reads it in what containers of the stack show, if one does.
func (s *Stack) shownManager(ctx context.Context) (m runner.Manager, shown bool, err error) {
	r, err := s.runners(s.unlockedAPI)
	if err != nil {
		return m, false, err
	}
	e, err := s.engine(ctx)
	if err != nil {
		return m, false, err
	}
	o, err := e.Observe(ctx, &converge.Stack{Name: s.cfg.Stack, Data: s.cfg.Data, Reads: []converge.Read{{Paths: runner.ManagerFiles}}})
	if err != nil {
		return m, false, err
	}
	m, err = r.ManagerOf(opaque.Hide(o))
	_, shown = o.Files[runner.FileConfig]
	return m, shown, err
}

// stopsRunner reports whether a plan stops the container of the runners, and
// with it the jobs that take longer than they may.
func (s *Stack) stopsRunner(plan *Plan) bool {
	return plan != nil && slices.ContainsFunc(plan.Operations, func(op Operation) bool {
		return op.Kind == converge.StopContainer && op.Name() == s.cfg.Stack+"-"+runner.Service
	})
}

// tellLeftJobs tells which containers of jobs a runner has left that was
// stopped. That they cannot be looked for is no failure of what stopped it.
func (s *Stack) tellLeftJobs(ctx context.Context, manager func() runner.Manager) {
	docker, err := s.docker(ctx)
	if err != nil {
		return
	}
	text := ""
	runs, err := runner.JobsRun(ctx, docker)
	if err == nil && runs {
		text, err = runner.LeftRunning(ctx, docker, manager())
	}
	if err != nil {
		s.opts.Log.Warn("look for containers of jobs", "error", err)
	}
	if text != "" {
		s.opts.Progress.Send(progress.Event{State: progress.Info, Kind: progress.Note, Resource: "stack " + s.cfg.Stack, Text: text})
	}
}
