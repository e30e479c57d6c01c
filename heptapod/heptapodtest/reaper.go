package heptapodtest

import (
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// reap looks after jobs whose runner is silent and those that wait for their
// time, until the forge closes.
func (s *Server) reap() {
	every := min(s.cfg.AckWithin, s.cfg.SilentAfter) / 4
	every = max(min(every, 5*time.Second), 10*time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	flushed := s.now()
	for {
		select {
		case <-tick.C:
		case <-s.work.Done():
			return
		}
		if err := s.Reap(); err != nil && s.work.Err() == nil {
			s.log.Error("reaping failed", "error", err)
		}
		if now := s.now(); now.Sub(flushed) > time.Minute {
			flushed = now
			if err := s.flushContacts(); err != nil && s.work.Err() == nil {
				s.log.Error("contacts are not stored", "error", err)
			}
			if err := s.ExpireTags(s.work); err != nil && s.work.Err() == nil {
				s.log.Error("tags are not cleaned up", "error", err)
			}
		}
	}
}

// Reap ends what the runners forgot, by the forge's clock: a job that was taken
// and never heard of again goes to another runner, one that was silent for too
// long fails. And it starts delayed jobs whose time has come. All that also
// happens by itself.
func (s *Server) Reap() error {
	now := s.now()
	overdue := func(j *store.Job) bool {
		seen, ok := s.contacts.ofJob(j.ID)
		if !ok {
			s.contacts.jobSeen(j.ID, now)
			return false
		}
		if !j.Acked {
			return now.Sub(seen) > s.cfg.AckWithin
		}
		return now.Sub(seen) > s.cfg.SilentAfter
	}
	any := false
	err := s.db.View(func(tx *store.Tx) error {
		for _, j := range tx.LiveJobs() {
			any = any || overdue(j)
		}
		for _, j := range tx.ScheduledJobs() {
			any = any || !now.Before(j.DueAt)
		}
		return nil
	})
	if err != nil || !any {
		return err
	}
	return s.change(func(tx *store.Tx) error {
		for _, j := range tx.LiveJobs() {
			switch {
			case !overdue(j):
			case j.Status == store.Canceling:
				s.finish(tx, j, store.Canceled, "", 0)
			case !j.Acked:
				s.requeue(tx, j)
			default:
				s.finish(tx, j, store.Failed, "stuck_or_timeout_failure", 0)
			}
		}
		for _, j := range tx.ScheduledJobs() {
			if !now.Before(j.DueAt) {
				s.enqueue(tx, j)
			}
		}
		return nil
	})
}
