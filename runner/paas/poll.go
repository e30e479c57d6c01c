package paas

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"
)

// features are what the runner on the host can do, and the two phases of
// taking a job, which are done here. Nobody serves terminals on a host.
func features() map[string]bool {
	f := map[string]bool{"shared": false, "proxy": false, "session": false, "terminal": false}
	for _, name := range []string{
		"variables", "raw_variables", "image", "services", "artifacts", "artifacts_exclude", "upload_multiple_artifacts",
		"upload_raw_artifacts", "cache", "refspecs", "masking", "multi_build_steps", "return_exit_code", "two_phase_job_commit",
	} {
		f[name] = true
	}
	return f
}

// Poll is one runner's place in the queue of its coordinator.
type Poll struct {
	Coordinator *Coordinator
	Token       Secret // the runner's
	// Hurry keeps the coordinator from holding the request until there is a job.
	Hurry bool

	mark string // where the queue stood at the last answer
}

// Next asks for a job; nil means that there is none now. It is not safe for
// concurrent use. After a job is answered it is ours: unless it is written down
// before anything else, it is lost to a coordinator that does not wait for the
// acceptance of jobs.
func (p *Poll) Next(ctx context.Context) (*Job, error) {
	c := p.Coordinator
	mark := p.mark
	if p.Hurry {
		mark = ""
	}
	body := map[string]any{
		"token": p.Token.Reveal(), "last_update": mark,
		"info": map[string]any{"name": userAgent, "executor": "docker", "features": features()},
	}
	if c.SystemID != "" {
		body["system_id"] = c.SystemID
	}
	k := call{
		method: http.MethodPost, path: "/jobs/request", body: body, limit: cmp.Or(c.PollLimit, 90*time.Second),
		header: http.Header{"Runner-Token": {p.Token.Reveal()}},
	}
	a, err := c.send(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("request job: %w", err)
	}
	if mark := a.header.Get("X-GitLab-Last-Update"); mark != "" {
		p.mark = mark
	}
	switch a.status {
	case http.StatusCreated:
		job, err := ParseJob(a.body)
		if err != nil {
			return nil, fmt.Errorf("request job: a job was given and cannot be used: %w", err)
		}
		return &job, nil
	case http.StatusNoContent, http.StatusConflict: // another runner was faster
		return nil, nil
	}
	return nil, fmt.Errorf("request job: %w", a.refusal(k))
}
