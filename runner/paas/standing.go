package paas

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Standing is what a coordinator thinks of a job.
type Standing int

// The standings.
const (
	Unsure    Standing = iota // nothing was learnt
	Waiting                   // ours, and to be accepted before it starts
	Live                      // ours, and running
	Canceling                 // to be ended; the coordinator waits for the word
	Over                      // finished, canceled, taken away or removed: nothing is owed for it
)

func (s Standing) String() string {
	return [...]string{"unsure", "waiting", "live", "canceling", "over"}[s]
}

// Heartbeat tells the coordinator that the job is being cared for and learns
// how it stands. waiting is whether the job is, or may be, waiting to be
// accepted; a coordinator that does not know of that is asked in the older way.
func (c *Coordinator) Heartbeat(ctx context.Context, r Record, waiting bool) (Standing, error) {
	if waiting {
		k, a, err := c.put(ctx, r, map[string]any{"state": "pending"})
		if err != nil {
			return Unsure, fmt.Errorf("keep job %d: %w", r.Job, err)
		}
		switch s := told(a); {
		case s != Unsure:
			return s, nil
		case a.status == http.StatusOK:
			return Waiting, nil
		case a.status == http.StatusForbidden && !a.foreign, a.status == http.StatusBadRequest:
			// It runs already, or it is over: the older way tells which.
		case a.status == http.StatusConflict: // another manager has it
			return Over, nil
		default:
			return Unsure, fmt.Errorf("keep job %d: %w", r.Job, a.refusal(k))
		}
	}
	return c.running(ctx, r, "keep")
}

// Accept makes a waiting job start; one that is not waiting stays as it is.
func (c *Coordinator) Accept(ctx context.Context, r Record) (Standing, error) {
	return c.running(ctx, r, "accept")
}

func (c *Coordinator) running(ctx context.Context, r Record, verb string) (Standing, error) {
	k, a, err := c.put(ctx, r, map[string]any{"state": "running"})
	if err != nil {
		return Unsure, fmt.Errorf("%s job %d: %w", verb, r.Job, err)
	}
	switch s := told(a); {
	case s != Unsure && s != Waiting:
		return s, nil
	case a.status == http.StatusOK, a.status == http.StatusAccepted:
		return Live, nil
	case refusesRunner(a):
		return Over, nil
	}
	return Unsure, fmt.Errorf("%s job %d: %w", verb, r.Job, a.refusal(k))
}

// refusesRunner reports whether the forge says to the runner of a job that it
// is not its job: over, deleted, or given to another one. Forges say so by 403
// alone, also of jobs that they do not know, since a 404 comes from anywhere on
// the way; and by 409 of a job that another manager has.
func refusesRunner(a *answer) bool {
	return a.status == http.StatusForbidden && !a.foreign || a.status == http.StatusConflict
}

// Look learns whether the job runs, without a sign of life: that is the host's
// to give once it has the job. That the job's token opens nothing is no word
// about the job, though it ends with the job: it is also said of running jobs
// by a forge that lost the key to its tokens, by rules about tokens of jobs and
// by whatever stands before the forge. So the forge is asked once more, as a
// runner asks.
func (c *Coordinator) Look(ctx context.Context, r Record) (Standing, error) {
	k := call{method: http.MethodGet, path: "/job", header: http.Header{"Job-Token": {r.Token.Reveal()}}}
	a, err := c.send(ctx, k)
	if err != nil {
		return Unsure, fmt.Errorf("look at job %d: %w", r.Job, err)
	}
	switch a.status {
	case http.StatusOK:
		var job struct{ Status string }
		if err := json.Unmarshal(a.body, &job); err != nil {
			return Unsure, fmt.Errorf("look at job %d: not valid JSON", r.Job)
		}
		if s := standing(job.Status); s != Unsure {
			return s, nil
		}
		return Live, nil
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return c.running(ctx, r, "look at")
	}
	return Unsure, fmt.Errorf("look at job %d: %w", r.Job, a.refusal(k))
}

func (c *Coordinator) put(ctx context.Context, r Record, body map[string]any) (call, *answer, error) {
	body["token"] = r.Token.Reveal()
	if c.SystemID != "" {
		body["system_id"] = c.SystemID
	}
	k := call{
		method: http.MethodPut, path: fmt.Sprint("/jobs/", r.Job), body: body, header: http.Header{"Job-Token": {r.Token.Reveal()}},
	}
	a, err := c.send(ctx, k)
	return k, a, err
}

// told is what the Job-Status header says. The forge sends it with what it did
// and with what it refuses, not with what it could not do.
func told(a *answer) Standing {
	switch a.status {
	case http.StatusOK, http.StatusAccepted, http.StatusBadRequest, http.StatusForbidden, http.StatusConflict:
		return standing(a.header.Get("Job-Status"))
	}
	return Unsure
}

func standing(status string) Standing {
	switch status {
	case "canceling":
		return Canceling
	case "canceled", "failed", "success", "skipped":
		return Over
	case "running":
		return Live
	case "pending", "waiting_for_runner_ack":
		return Waiting
	}
	return Unsure
}
