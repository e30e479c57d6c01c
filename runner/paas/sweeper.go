package paas

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/fault"
)

// sweeps is what a lane remembers from one look for hosts to the next.
type sweeps struct {
	seen map[string]map[string]Sighting // by tenant and host
	told map[string]string              // by tenant: the hosts that people were told of
}

// tenantsKept is how long the list of groups with an organisation is believed.
const tenantsKept = time.Hour

// sweep looks from time to time for hosts of the runner that nobody claims. In
// each organisation where one may be: that of one tenant being out of reach
// concerns no other.
func (l *lane) sweep() {
	s := sweeps{map[string]map[string]Sighting{}, map[string]string{}}
	var groups []string // that have an organisation, as the forge says: a new state file knows none
	var asked time.Time
	for pause := time.Duration(0); sleep(l.polling, pause); pause = l.Pace.Sweep {
		tenants := []string{""}
		if l.Clever != nil && l.Clever.Tenants {
			if asked.IsZero() || time.Since(asked) > tenantsKept {
				list, err := l.coordinator.Tenants(l.calls, *l.Clever)
				if err == nil {
					groups, asked = list, time.Now()
				} else if l.ctx.Err() == nil {
					l.log.Warn("the groups that have an organisation cannot be listed: hosts are looked for in those that are remembered", "error", err)
				}
			}
			tenants = slices.Compact(slices.Sorted(slices.Values(append(l.Journal.Tenants(l.short), groups...))))
		}
		left := 0
		for _, tenant := range tenants {
			l.sweepTenant(s, tenant)
			left += len(s.seen[tenant])
		}
		l.counts.set(l.Name, "orphans", left)
	}
}

func (l *lane) sweepTenant(s sweeps, tenant string) {
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
		return
	}
	cfg := l.cfg.Load()
	if cfg.KeepFinished || !cfg.RemoveFailedLaunch {
		delete(s.seen, tenant) // hosts that are kept look the same
		return
	}
	jobs := &sweptJobs{lane: l}
	for _, h := range hosts {
		if job, ours := JobOf(l.short, h.Name); ours {
			jobs.wanted = append(jobs.wanted, job)
		}
	}
	remove, orphans := Sweep(l.short, hosts, l.Journal.Records(), s.seen[tenant], time.Now(), l.Pace.Grace, l.Pace.PerSweep, jobs.over)
	l.tellOfOrphans(s, tenant, jobs, orphans)
	for _, h := range remove {
		l.log.Warn("host belongs to nobody and is removed", "host", h.ID, "name", h.Name)
		if err := p.Delete(l.calls, h); err != nil && l.ctx.Err() == nil {
			l.log.Warn("remove host failed: it is tried again", "host", h.ID, "error", err)
			orphans[h.ID] = s.seen[tenant][h.ID]
			continue
		}
		l.counts.add(l.Name, "orphans_removed")
	}
	s.seen[tenant] = orphans
}

// tellOfOrphans tells people of hosts that stay because the forge does not say
// what became of their jobs, whenever those are others than before.
func (l *lane) tellOfOrphans(s sweeps, tenant string, jobs *sweptJobs, orphans map[string]Sighting) {
	var names []string
	for _, o := range orphans {
		if job, _ := JobOf(l.short, o.Name); jobs.asked && jobs.status[job] == "" {
			names = append(names, o.Name)
		}
	}
	slices.Sort(names)
	text := strings.Join(names, " ")
	if text == s.told[tenant] || l.ctx.Err() != nil {
		return
	}
	s.told[tenant] = text
	if text == "" {
		return
	}
	attrs := []any{"hosts", names, "tenant", tenant}
	remedy := "look at these jobs in the forge; a host whose job is over, or was deleted, goes by 'hepta paas hosts --remove HOST CONFIG'"
	if jobs.err != nil {
		attrs = append(attrs, "error", jobs.err)
		if r := fault.Remedy(jobs.err); r != "" {
			remedy = r
		}
	}
	l.log.Error("hosts belong to nobody, and the forge does not say that their jobs are over: they stay", append(attrs, "remedy", remedy)...)
}

// sweptJobs are the jobs whose hosts nobody claims, asked for when the first
// question comes.
type sweptJobs struct {
	*lane
	wanted []int64
	asked  bool
	status map[int64]string
	err    error
}

// over reports whether the forge says that a job is over. That it says nothing is
// no answer.
func (j *sweptJobs) over(job int64) bool {
	if !j.asked {
		j.asked = true
		j.status, j.err = j.coordinator.JobStatuses(j.calls, j.Token, j.reader(), j.wanted)
	}
	return standing(j.status[job]) == Over
}

// reader is the token that may ask what became of jobs; an administrator's sees
// the jobs of all projects.
func (r Runner) reader() Secret {
	switch {
	case r.Clever != nil && !r.Clever.AttributeToken.Empty():
		return r.Clever.AttributeToken
	case r.Watch != nil:
		return r.Watch.Token
	}
	return Secret{}
}

// statusPages is how many pages of a runner's jobs are looked through, newest
// first.
const statusPages = 50

// JobStatuses are those of some jobs of a runner. reader is an access token of
// somebody who may see the runner. A job that is missing in the answer may have
// been deleted, or may run in a project that reader does not see.
func (c *Coordinator) JobStatuses(ctx context.Context, runner, reader Secret, jobs []int64) (map[int64]string, error) {
	out := map[int64]string{}
	if len(jobs) == 0 {
		return out, nil
	}
	if reader.Empty() {
		return nil, &fault.Error{
			Op: "ask for the jobs of the runner", Why: "no access token is configured",
			Remedy: "Set the token of [runners.paas_job_trace_watch] to one that may read the API and see the runner, or remove hosts whose jobs are over by 'hepta paas hosts --remove HOST CONFIG'.",
		}
	}
	k := call{method: http.MethodPost, path: "/runners/verify", body: map[string]any{"token": runner.Reveal()}}
	a, err := c.send(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("ask for the jobs of the runner: %w", err)
	}
	var id struct{ ID int64 }
	if a.status/100 != 2 || json.Unmarshal(a.body, &id) != nil || id.ID == 0 {
		return nil, fmt.Errorf("ask for the jobs of the runner: %w", a.refusal(k))
	}
	oldest := slices.Min(jobs)
	for page, n := "1", 0; page != "" && n < statusPages && len(out) < len(jobs); n++ {
		k := call{
			method: http.MethodGet, path: fmt.Sprintf("/runners/%d/jobs?order_by=id&sort=desc&per_page=100&page=%s", id.ID, page),
			header: http.Header{"Private-Token": {reader.Reveal()}},
		}
		a, err := c.send(ctx, k)
		if err != nil {
			return out, fmt.Errorf("ask for the jobs of the runner: %w", err)
		}
		var list []struct {
			ID     int64
			Status string
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &list) != nil {
			return out, &fault.Error{
				Op: "ask for the jobs of the runner", Err: a.refusal(k),
				Remedy: "The token of [runners.paas_job_trace_watch] must be allowed to read the API and to see the runner.",
			}
		}
		for _, job := range list {
			if slices.Contains(jobs, job.ID) {
				out[job.ID] = job.Status
			}
		}
		if n := len(list); n == 0 || list[0].ID >= list[n-1].ID && list[n-1].ID < oldest {
			break
		}
		page = a.header.Get("X-Next-Page")
	}
	return out, nil
}
