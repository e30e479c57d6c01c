package heptapodtest

import (
	"sync"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// contacts remembers when a runner, a runner's machine or a job's runner was
// last heard of. It changes with every poll, so it is kept in memory and
// written now and then: nothing is promised to anyone by it.
type contacts struct {
	mu      sync.Mutex
	runner  map[int64]time.Time
	manager map[int64]time.Time
	job     map[int64]time.Time
}

func newContacts() *contacts {
	return &contacts{runner: map[int64]time.Time{}, manager: map[int64]time.Time{}, job: map[int64]time.Time{}}
}

func (c *contacts) runnerSeen(runner, manager int64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runner[runner] = at
	if manager != 0 {
		c.manager[manager] = at
	}
}

func (c *contacts) jobSeen(job int64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.job[job] = at
}

func (c *contacts) jobGone(job int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.job, job)
}

func (c *contacts) ofRunner(r *store.Runner) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.runner[r.ID]; ok {
		return at
	}
	return r.ContactedAt
}

func (c *contacts) ofManager(m *store.Manager) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.manager[m.ID]; ok {
		return at
	}
	return m.ContactedAt
}

func (c *contacts) ofJob(job int64) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.job[job]
	return at, ok
}

// startContacts gives jobs that a runner held when the forge ended the time
// that a fresh one has.
func (s *Server) startContacts(tx *store.Tx) {
	for _, j := range tx.LiveJobs() {
		s.contacts.jobSeen(j.ID, s.now())
	}
}

func (s *Server) flushContacts() error {
	return s.db.Update(func(tx *store.Tx) error {
		for _, r := range tx.Runners.All() {
			if at := s.contacts.ofRunner(r); at.After(r.ContactedAt) {
				r.ContactedAt = at
				tx.Runners.Put(r)
			}
		}
		for _, m := range tx.Managers.All() {
			if at := s.contacts.ofManager(m); at.After(m.ContactedAt) {
				m.ContactedAt = at
				tx.Managers.Put(m)
			}
		}
		return nil
	})
}
