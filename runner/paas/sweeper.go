package paas

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/heptaup/hepta/internal/fault"
)

// sweep looks from time to time for hosts of the runner that nobody claims. In
// each organisation where one may be: that of one tenant being out of reach
// concerns no other.
func (l *lane) sweep() {
	seen := map[string]map[string]Sighting{}
	for pause := time.Duration(0); sleep(l.polling, pause); pause = l.Pace.Sweep {
		tenants := []string{""}
		if l.Clever != nil && l.Clever.Tenants {
			tenants = l.Journal.Tenants(l.short)
		}
		left := 0
		for _, tenant := range tenants {
			seen[tenant] = l.sweepTenant(tenant, seen[tenant])
			left += len(seen[tenant])
		}
		l.counts.set(l.Name, "orphans", left)
	}
}

func (l *lane) sweepTenant(tenant string, seen map[string]Sighting) map[string]Sighting {
	p, err := l.provider(l.calls)
	var hosts []Host
	if err == nil {
		hosts, err = p.List(l.calls, tenant, namePrefix+l.short+"-")
	}
	if err != nil {
		if l.ctx.Err() == nil {
			l.counts.add(l.Name, "call_errors")
			l.log.Warn("hosts cannot be listed", "tenant", tenant, "error", err)
		}
		return seen
	}
	cfg := l.cfg.Load()
	if cfg.KeepFinished || !cfg.RemoveFailedLaunch {
		return nil // hosts that are kept look the same
	}
	jobs := &liveJobs{lane: l}
	remove, orphans := Sweep(l.short, hosts, l.Journal.Records(), seen, time.Now(), l.Pace.Grace, l.Pace.PerSweep, jobs.over)
	if len(orphans) > 0 && jobs.err != nil {
		var names []string
		for _, o := range orphans {
			names = append(names, o.Name)
		}
		slices.Sort(names)
		l.log.Error("hosts belong to nobody, and whether their jobs run cannot be told: they are left alone", "hosts", names,
			"error", jobs.err, "remedy", fault.Remedy(jobs.err))
	}
	for _, h := range remove {
		l.log.Warn("host belongs to nobody and is removed", "host", h.ID, "name", h.Name)
		if err := p.Delete(l.calls, h); err != nil && l.ctx.Err() == nil {
			l.log.Warn("remove host failed: it is tried again", "host", h.ID, "error", err)
			orphans[h.ID] = seen[h.ID]
			continue
		}
		l.counts.add(l.Name, "orphans_removed")
	}
	return orphans
}

// liveJobs are the jobs that a runner's hosts may be working on, asked for when
// the first question comes.
type liveJobs struct {
	*lane
	asked bool
	live  map[int64]bool
	err   error
}

// over says whether it is sure that a job of the runner does not run.
func (j *liveJobs) over(job int64) bool {
	if !j.asked {
		j.asked = true
		j.live, j.err = j.coordinator.LiveJobs(j.calls, j.Token, j.reader())
	}
	return j.err == nil && !j.live[job]
}

// reader is the token that may ask what runs.
func (l *lane) reader() Secret {
	switch {
	case l.Watch != nil:
		return l.Watch.Token
	case l.Clever != nil:
		return l.Clever.AttributeToken
	}
	return Secret{}
}

// LiveJobs are the jobs of a runner that are not over. reader is an access
// token of somebody who may see the runner.
func (c *Coordinator) LiveJobs(ctx context.Context, runner, reader Secret) (map[int64]bool, error) {
	if reader.Empty() {
		return nil, &fault.Error{
			Op: "list running jobs", Why: "no access token is configured",
			Remedy: "Set the token of [runners.paas_job_trace_watch] to one that may read the API and see the runner, or remove the hosts by hand.",
		}
	}
	k := call{method: http.MethodPost, path: "/runners/verify", body: map[string]any{"token": runner.Reveal()}}
	a, err := c.send(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("list running jobs: %w", err)
	}
	var id struct{ ID int64 }
	if a.status/100 != 2 || json.Unmarshal(a.body, &id) != nil || id.ID == 0 {
		return nil, fmt.Errorf("list running jobs: %w", a.refusal(k))
	}
	live := map[int64]bool{}
	for _, status := range []string{"running", "pending", "canceling"} {
		for page := "1"; page != ""; {
			k := call{
				method: http.MethodGet, path: fmt.Sprintf("/runners/%d/jobs?status=%s&per_page=100&page=%s", id.ID, status, page),
				header: http.Header{"Private-Token": {reader.Reveal()}},
			}
			a, err := c.send(ctx, k)
			if err != nil {
				return nil, fmt.Errorf("list running jobs: %w", err)
			}
			if a.status == http.StatusBadRequest && status != "running" {
				break // older than this state
			}
			var list []struct{ ID int64 }
			if a.status != http.StatusOK || json.Unmarshal(a.body, &list) != nil {
				return nil, &fault.Error{
					Op: "list running jobs", Err: a.refusal(k),
					Remedy: "The token of [runners.paas_job_trace_watch] must be allowed to read the API and to see the runner.",
				}
			}
			for _, job := range list {
				live[job.ID] = true
			}
			page = a.header.Get("X-Next-Page")
		}
	}
	return live, nil
}
