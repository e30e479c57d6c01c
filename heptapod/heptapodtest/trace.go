package heptapodtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

const (
	// updateInterval is how many seconds the runner waits between two pieces.
	updateInterval = "X-GitLab-Trace-Update-Interval"
	// traceLimit bounds one piece; a runner sends 1 MiB at most.
	traceLimit = 8 << 20
)

// appendTrace takes PATCH jobs/:id/trace. 202 with the total size in Range when
// the piece begins where the trace ends; else 416 with that size, and the
// runner goes on from there.
func (s *Server) appendTrace(c *call) error {
	id := c.id("id")
	defer s.traces.lock(id)()
	first, err := rangeStart(c.r.Header.Get("Content-Range"))
	if err != nil {
		return err
	}
	var job store.Job
	err = s.db.View(func(tx *store.Tx) error {
		j, err := c.held(tx, nil)
		if err == nil {
			job = *j
		}
		return err
	})
	if err != nil {
		return err
	}
	// The body counts as a whole: of a piece that breaks off nothing is kept.
	data, err := io.ReadAll(io.LimitReader(c.r.Body, traceLimit+1))
	if err != nil {
		return badRequest("unreadable body")
	}
	if len(data) > traceLimit {
		return message(http.StatusRequestEntityTooLarge, "413 Request Entity Too Large")
	}
	size, err := s.db.TraceSize(id)
	if err != nil {
		return err
	}
	if job.TraceInvalid && first == 0 && size > 0 {
		// Asked to send it again, the runner begins at 0.
		if err := s.db.DropTrace(id); err != nil {
			return err
		}
		size = 0
	}
	c.w.Header().Set(updateInterval, "3")
	if first != size {
		c.w.Header().Set("Range", fmt.Sprintf("0-%d", size))
		return c.empty(http.StatusRequestedRangeNotSatisfiable)
	}
	if len(data) > 0 {
		if size, err = s.db.Append(id, data); err != nil {
			return err
		}
	}
	if job.Acked {
		s.contacts.jobSeen(id, s.now())
	} else if err := s.change(func(tx *store.Tx) error {
		j, err := c.held(tx, nil)
		if err == nil {
			s.alive(tx, j)
		}
		return err
	}); err != nil {
		return err
	}
	s.changed.ring()
	// The size, not the last index.
	c.w.Header().Set("Range", fmt.Sprintf("0-%d", size))
	return c.text(http.StatusAccepted, "0-"+strconv.FormatInt(size, 10))
}

// rangeStart reads "<first>-<last>", which has no unit and no total. The last
// index is not believed: the body says how long it is.
func rangeStart(header string) (int64, error) {
	if header == "" {
		return 0, message(http.StatusBadRequest, "400 Bad request - Missing header Content-Range")
	}
	first, last, ok := strings.Cut(header, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || n < 0 || strings.Trim(last, "-0123456789") != "" {
		return 0, message(http.StatusBadRequest, "400 Bad request - Invalid header Content-Range")
	}
	return n, nil
}

// getTrace serves a job's trace to users, as the runner sent it.
func (s *Server) getTrace(c *call) error {
	j, err := c.job(store.Guest)
	if err != nil {
		return err
	}
	r, err := s.db.Trace(j.ID)
	if err != nil {
		return err
	}
	defer r.Close()
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := io.Copy(c.w, r); err != nil && !errors.Is(err, http.ErrHandlerTimeout) {
		s.log.Debug("trace was not sent", "job", j.ID, "error", err)
	}
	return nil
}
