package paas

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Fail tells the coordinator, and in the trace the job's author, that the job
// failed before its host could say anything. It can be repeated after any part
// of it was done. The offset is the trace's end, known also when an error
// follows.
func (c *Coordinator) Fail(ctx context.Context, r Record) (offset int64, err error) {
	// Other reasons make the forge show a banner about a retry that misleads.
	return c.fail(ctx, r, map[string]any{"state": "failed", "failure_reason": "script_failure", "exit_code": 103})
}

// FailSystem is Fail for a job that its host had begun: the forge tells such a
// failure from one of the job's script, and may try again.
func (c *Coordinator) FailSystem(ctx context.Context, r Record) (offset int64, err error) {
	return c.fail(ctx, r, map[string]any{"state": "failed", "failure_reason": "runner_system_failure"})
}

func (c *Coordinator) fail(ctx context.Context, r Record, word map[string]any) (offset int64, err error) {
	offset = r.TraceOffset
	// A job that waits to be accepted cannot fail: it is accepted first.
	s, err := c.Accept(ctx, r)
	if err != nil || s == Over {
		return offset, err
	}
	if r.Failure != "" {
		if offset, err = c.append(ctx, r, inRed(r.Failure)); err != nil {
			return offset, err
		}
	}
	k, a, err := c.put(ctx, r, word)
	switch {
	case err != nil:
		return offset, fmt.Errorf("fail job %d: %w", r.Job, err)
	case a.status == http.StatusOK, a.status == http.StatusAccepted:
		return offset, nil
	case refusesRunner(a), told(a) == Over: // it is not running
		return offset, nil
	}
	return offset, fmt.Errorf("fail job %d: %w", r.Job, a.refusal(k))
}

// inRed colours text for the view of the trace.
func inRed(text string) []byte {
	return []byte("\x1b[31;1m" + strings.TrimRight(text, "\n") + "\x1b[0m\n")
}

// append adds text to the trace once: when the trace already ends where it
// would, an earlier attempt got through and its answer was lost.
func (c *Coordinator) append(ctx context.Context, r Record, text []byte) (int64, error) {
	at := r.TraceOffset
	for range 3 {
		k := call{
			method: http.MethodPatch, path: fmt.Sprintf("/jobs/%d/trace", r.Job), body: text,
			header: http.Header{
				"Job-Token": {r.Token.Reveal()}, "Content-Type": {"text/plain"},
				"Content-Range": {fmt.Sprintf("%d-%d", at, at+int64(len(text))-1)},
			},
		}
		a, err := c.send(ctx, k)
		if err != nil {
			return at, fmt.Errorf("write trace of job %d: %w", r.Job, err)
		}
		end, known := traceEnd(a.header.Get("Range"))
		switch {
		case a.status == http.StatusAccepted && known:
			return end, nil
		case a.status == http.StatusAccepted:
			return at + int64(len(text)), nil
		case refusesRunner(a):
			return at, nil // there is nobody left to read it
		case a.status == http.StatusRequestedRangeNotSatisfiable && known && end == r.TraceOffset+int64(len(text)):
			return end, nil
		case a.status == http.StatusRequestedRangeNotSatisfiable && known && end != at:
			at = end
		default:
			return at, fmt.Errorf("write trace of job %d: %w", r.Job, a.refusal(k))
		}
	}
	return at, fmt.Errorf("write trace of job %d: its end keeps moving", r.Job)
}

// traceEnd reads "0-<size>".
func traceEnd(header string) (int64, bool) {
	_, size, ok := strings.Cut(header, "-")
	n, err := strconv.ParseInt(size, 10, 64)
	return n, ok && err == nil && n >= 0
}

// Started reports whether anybody but us has written to the job's trace. The token
// is one that reads traces. A trace that cannot be had is an error: it says
// nothing about the job.
func (c *Coordinator) Started(ctx context.Context, r Record, project int64, token Secret) (bool, error) {
	k := call{
		method: http.MethodGet, path: fmt.Sprintf("/projects/%d/jobs/%d/trace", project, r.Job),
		header: http.Header{"Private-Token": {token.Reveal()}},
	}
	a, err := c.send(ctx, k)
	if err != nil {
		return false, fmt.Errorf("read trace of job %d: %w", r.Job, err)
	}
	if a.status == http.StatusOK {
		return int64(len(a.body)) > r.TraceOffset, nil
	}
	return false, fmt.Errorf("read trace of job %d: %w", r.Job, a.refusal(k))
}
