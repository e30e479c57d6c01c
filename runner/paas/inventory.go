package paas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"

	"github.com/heptaup/hepta/internal/fault"
)

// HostInfo is a host at its provider, with what is known of its job.
type HostInfo struct {
	Host
	Runner string // the name of its section
	Job    int64
	Phase  Phase  // as the state file says; empty when the job is not in it
	Status string // of the job, as the forge says; empty when it says nothing
	Remove func(context.Context) error
}

// Over reports whether the forge says that the job of the host is over.
func (h HostInfo) Over() bool { return standing(h.Status) == Over }

// Inventory lists the hosts of all runners of a configuration, by what their
// providers have. It only looks, also at the state file, while a manager may be
// at work. What could not be asked is in the error, beside what was found.
func (m *Manager) Inventory(ctx context.Context, cfg Config) (list []HostInfo, err error) {
	s, err := peekState(cfg.StateFile)
	if err != nil {
		return nil, err
	}
	for _, r := range cfg.Runners {
		found, trouble := m.hostsOf(ctx, r, s)
		if trouble != nil {
			err = errors.Join(err, fmt.Errorf("runner %s: %w", r.Name, trouble))
		}
		list = append(list, found...)
	}
	return list, err
}

// peekState reads a state file that another process may have.
func peekState(path string) (*state, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state file: %w", err)
	}
	s, err := decodeState(data)
	if err != nil {
		return nil, fmt.Errorf("read state file %s: %w", path, err)
	}
	return s, nil
}

func (m *Manager) hostsOf(ctx context.Context, r Runner, s *state) (list []HostInfo, err error) {
	open := m.Hosts
	if open == nil {
		open = Cloud
	}
	c := &Coordinator{URL: r.URL, HTTP: m.HTTP}
	p, err := open(ctx, r, c)
	if err != nil {
		return nil, err
	}
	tenants := []string{""}
	if r.Clever != nil && r.Clever.Tenants {
		var trouble error
		tenants, trouble = c.Tenants(ctx, *r.Clever)
		err = errors.Join(err, trouble)
		tenants = slices.Compact(slices.Sorted(slices.Values(append(tenants, s.tenants[r.Short()]...))))
	}
	var jobs []int64
	for _, tenant := range tenants {
		hosts, trouble := p.List(ctx, tenant, namePrefix+r.Short()+"-")
		err = errors.Join(err, trouble)
		for _, h := range hosts {
			job, ours := JobOf(r.Short(), h.Name)
			if !ours {
				continue
			}
			jobs = append(jobs, job)
			list = append(list, HostInfo{
				Host: h, Runner: r.Name, Job: job, Phase: s.records[Key{r.Short(), job}].Phase,
				Remove: func(ctx context.Context) error { return p.Delete(ctx, h) },
			})
		}
	}
	status, trouble := c.JobStatuses(ctx, r.Token, r.reader(), jobs)
	for i := range list {
		list[i].Status = status[list[i].Job]
	}
	slices.SortFunc(list, func(a, b HostInfo) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.ID, b.ID)) })
	return list, errors.Join(err, trouble)
}

// Tenants are the top-level groups that have an organisation, by their custom
// attributes.
func (c *Coordinator) Tenants(ctx context.Context, k Clever) (list []string, err error) {
	for page := "1"; page != ""; {
		q := call{
			method: http.MethodGet, path: "/groups?top_level_only=true&with_custom_attributes=true&per_page=100&page=" + page,
			header: http.Header{"Private-Token": {k.AttributeToken.Reveal()}},
		}
		a, err := c.send(ctx, q)
		if err != nil {
			return list, fmt.Errorf("list groups: %w", err)
		}
		var groups []struct {
			Path       string                        `json:"full_path"`
			Parent     *int64                        `json:"parent_id"`
			Attributes []struct{ Key, Value string } `json:"custom_attributes"`
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &groups) != nil {
			return list, &fault.Error{
				Op: "list groups", Err: a.refusal(q), Remedy: "The token in cc_gitlab_namespace_attributes_token must belong to an administrator.",
			}
		}
		for _, g := range groups {
			for _, attribute := range g.Attributes {
				if g.Parent == nil && attribute.Key == k.OrgaAttribute && attribute.Value != "" {
					list = append(list, g.Path)
				}
			}
		}
		page = a.header.Get("X-Next-Page")
	}
	return list, nil
}
