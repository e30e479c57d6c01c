package heptapodtest

import (
	"fmt"
	"net/http"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// jobStatus tells the runner what became of its job, on every answer.
const jobStatus = "Job-Status"

// jobTokens are the places where runners put a job's token: 19.4 in JOB-TOKEN,
// 17.5 sometimes in PRIVATE-TOKEN, and PUT has it in the body.
func (c *call) jobTokens() []string {
	return []string{c.p.String("token"), c.r.Header.Get("JOB-TOKEN"), c.r.Header.Get("PRIVATE-TOKEN"), c.r.URL.Query().Get("job_token")}
}

// held finds the job that the runner calls for. 403 when there is none, since a
// 404 comes from anywhere on the way and a runner has to know; 403 for a wrong
// token, and also for the right one once the job is over: a job's token dies
// with it. ended receives a job that is over and whose token was right.
func (c *call) held(tx *store.Tx, ended **store.Job) (*store.Job, error) {
	j := tx.Jobs.Get(c.id("id"))
	if j == nil {
		return nil, forbidden()
	}
	right := false
	for _, t := range c.jobTokens() {
		right = right || t != "" && j.TokenHash != "" && hash(t) == j.TokenHash
	}
	if !right {
		return nil, forbidden()
	}
	c.w.Header().Set(jobStatus, j.Status)
	if j.Status != store.Running && j.Status != store.Canceling {
		if ended != nil {
			*ended = j
		}
		return nil, message(http.StatusForbidden, "403 Forbidden - Job is not running")
	}
	return j, nil
}

// alive remembers that the runner was heard of.
func (s *Server) alive(tx *store.Tx, j *store.Job) {
	s.contacts.jobSeen(j.ID, s.now())
	if !j.Acked {
		j.Acked = true
		tx.Jobs.Put(j)
	}
}

// updateJob takes PUT jobs/:id: the first sign of a runner that commits in two
// phases, its keep-alive, and the end of the job.
func (s *Server) updateJob(c *call) error {
	defer s.traces.lock(c.id("id"))()
	state := c.p.String("state")
	var ended *store.Job
	answer := func(code int) error {
		c.w.Header().Set(updateInterval, "3")
		return c.text(code, fmt.Sprint(code))
	}
	switch state {
	case "", "running", "pending":
		err := s.db.View(func(tx *store.Tx) error {
			j, err := c.held(tx, &ended)
			if err == nil && j.Acked {
				s.contacts.jobSeen(j.ID, s.now())
				return nil
			}
			if err == nil {
				return errAck
			}
			return err
		})
		if err == errAck {
			err = s.change(func(tx *store.Tx) error {
				j, err := c.held(tx, &ended)
				if err == nil {
					s.alive(tx, j)
				}
				return err
			})
		}
		if err != nil {
			return err
		}
		return answer(http.StatusOK)
	case store.Success, store.Failed:
	default:
		return badRequest("state does not have a valid value")
	}
	code := http.StatusOK
	err := s.change(func(tx *store.Tx) error {
		j, err := c.held(tx, &ended)
		if err != nil {
			return err
		}
		s.alive(tx, j)
		if !j.TraceInvalid {
			same, err := s.traceMatches(c, j)
			if err != nil {
				return err
			}
			if !same {
				// 412 once: the runner sends the whole trace again from 0.
				j.TraceInvalid, code = true, http.StatusPreconditionFailed
				tx.Jobs.Put(j)
				return nil
			}
		}
		status, reason := state, ""
		if status == store.Failed {
			reason = or(c.p.String("failure_reason"), "unknown_failure")
		}
		if j.Status == store.Canceling {
			// Whatever the runner says of a job that is being canceled, it is canceled.
			status, reason = store.Canceled, ""
		}
		// Job-Status stays what it was: failed in the answer to its own last
		// word makes a runner believe that it was aborted.
		s.finish(tx, j, status, reason, c.p.Int("exit_code", 0))
		return nil
	})
	if ended != nil && (ended.Status == state || ended.Status == store.Canceled && ended.Graceful) {
		// The same end again: the answer to the first one was lost.
		return answer(http.StatusOK)
	}
	if err != nil {
		return err
	}
	return answer(code)
}

// traceMatches compares what the runner says that it sent with what is there.
// Old runners say nothing.
func (s *Server) traceMatches(c *call, j *store.Job) (bool, error) {
	output := c.p.Object("output")
	sum := or(output.String("checksum"), c.p.String("checksum"))
	if sum == "" {
		return true, nil
	}
	size, crc, err := s.db.TraceSum(j.ID)
	if err != nil {
		return false, err
	}
	// The checksum is the IEEE CRC-32 of the whole trace: crc32:xxxxxxxx.
	return sum == fmt.Sprintf("crc32:%08x", crc) && (!output.Has("bytesize") || output.Int("bytesize", -1) == int(size)), nil
}

// errAck says that a runner was heard of for the first time.
var errAck = fmt.Errorf("job is not acknowledged yet")
