package heptapodtest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

func (p params) runner() RunnerRequest {
	req := RunnerRequest{
		Type: p.String("runner_type"), Description: p.String("description"), Note: p.String("maintenance_note"), Tags: p.List("tag_list"),
		TaggedOnly: !p.Bool("run_untagged", true), Locked: p.Bool("locked", false),
		Paused: p.Bool("paused", !p.Bool("active", true)), AccessLevel: p.String("access_level"),
		MaxTimeout: p.Int("maximum_timeout", 0), GroupID: int64(p.Int("group_id", 0)),
	}
	if id := p.Int("project_id", 0); id != 0 {
		req.ProjectIDs = []int64{int64(id)}
	}
	return req
}

// runnerStatus is online for two hours after the last contact, as GitLab has it.
func (s *Server) runnerStatus(contact time.Time) string {
	switch {
	case contact.IsZero():
		return "never_contacted"
	case s.now().Sub(contact) < 2*time.Hour:
		return "online"
	}
	return "offline"
}

func (s *Server) shownRunner(tx *store.Tx, r *store.Runner, details bool) map[string]any {
	contact := s.contacts.ofRunner(r)
	status := s.runnerStatus(contact)
	m := map[string]any{
		"id": r.ID, "description": r.Description, "active": !r.Paused, "paused": r.Paused, "is_shared": r.Type == store.InstanceRunner,
		"runner_type": r.Type, "name": nil, "online": status == "online", "status": status, "ip_address": nil,
		"created_at": stamp(r.CreatedAt), "job_execution_status": "idle",
	}
	for _, j := range tx.JobsOfRunner(r.ID) {
		if j.Status == store.Running || j.Status == store.Canceling {
			m["job_execution_status"] = "active"
		}
	}
	managers := tx.ManagersOf(r.ID)
	if len(managers) > 0 {
		m["ip_address"] = managers[len(managers)-1].Address
	}
	if !details {
		return m
	}
	m["tag_list"], m["run_untagged"], m["locked"] = append([]string{}, r.Tags...), r.RunUntagged, r.Locked
	m["access_level"], m["maintenance_note"], m["maximum_timeout"] = r.AccessLevel, r.Note, nil
	if r.MaxTimeout > 0 {
		m["maximum_timeout"] = r.MaxTimeout
	}
	m["contacted_at"], m["groups"] = stamp(contact), []any{}
	for _, k := range []string{"version", "revision", "platform", "architecture"} {
		m[k] = nil
	}
	if len(managers) > 0 {
		last := managers[len(managers)-1]
		m["version"], m["revision"], m["platform"], m["architecture"] = last.Version, last.Revision, last.Platform, last.Architecture
	}
	projects := []map[string]any{}
	for _, id := range r.ProjectIDs {
		if p := tx.Projects.Get(id); p != nil {
			projects = append(projects, map[string]any{"id": p.ID, "name": p.Name, "path": lastPart(p.Path), "path_with_namespace": p.Path})
		}
	}
	m["projects"] = projects
	return m
}

// owns reports whether someone may see and change a runner.
func owns(tx *store.Tx, who identity, r *store.Runner) bool {
	if who.admin() {
		return true
	}
	switch r.Type {
	case store.GroupRunner:
		return groupLevel(tx, who.user, tx.Groups.Get(r.GroupID)) >= store.Owner
	case store.ProjectRunner:
		return slices.ContainsFunc(r.ProjectIDs, func(id int64) bool {
			p := tx.Projects.Get(id)
			return p != nil && level(tx, who.user, p) >= store.Maintainer
		})
	}
	return false
}

// createUserRunner takes POST user/runners: 201 with id, token and
// token_expires_at; an instance runner needs an administrator.
func (s *Server) createUserRunner(c *call) error {
	req := c.p.runner()
	if req.Type == "" {
		return missing("runner_type")
	}
	var out map[string]any
	err := c.update(func(tx *store.Tx) error {
		r, token, err := s.addRunner(tx, req, c.who.user.ID, false)
		if err != nil {
			return err
		}
		if !owns(tx, c.who, r) {
			return forbidden()
		}
		out = issued(r, token)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, out)
}

func (s *Server) listAllRunners(c *call) error {
	return s.runners(c, func(*store.Tx, *store.Runner) bool { return true })
}

func (s *Server) listRunners(c *call) error {
	return s.runners(c, func(tx *store.Tx, r *store.Runner) bool {
		return r.Type != store.InstanceRunner && owns(tx, c.who, r)
	})
}

func (s *Server) listProjectRunners(c *call) error {
	var p *store.Project
	err := c.view(func(tx *store.Tx) (err error) { p, err = c.project(tx, store.Maintainer); return err })
	if err != nil {
		return err
	}
	return s.runners(c, func(tx *store.Tx, r *store.Runner) bool {
		return r.Type == store.InstanceRunner && !p.NoShared || slices.Contains(r.ProjectIDs, p.ID)
	})
}

func (s *Server) runners(c *call, which func(*store.Tx, *store.Runner) bool) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		all := tx.Runners.All()
		slices.Reverse(all)
		for _, r := range all {
			status := s.runnerStatus(s.contacts.ofRunner(r))
			switch {
			case !which(tx, r):
			case c.p.Has("type") && c.p.String("type") != r.Type:
			case c.p.Has("paused") && c.p.Bool("paused", false) != r.Paused:
			case c.p.Has("status") && !slices.Contains([]string{status, map[bool]string{true: "paused", false: "active"}[r.Paused]}, c.p.String("status")):
			case slices.ContainsFunc(c.p.List("tag_list"), func(t string) bool { return !slices.Contains(r.Tags, t) }):
			default:
				out = append(out, s.shownRunner(tx, r, false))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

// runner runs fn on the runner that the path names.
func (c *call) runner(tx *store.Tx) (*store.Runner, error) {
	r := tx.Runners.Get(c.id("id"))
	if r == nil {
		return nil, notFound("Runner")
	}
	if !owns(tx, c.who, r) {
		return nil, message(http.StatusForbidden, "403 Forbidden - No access granted")
	}
	return r, nil
}

func (s *Server) getRunner(c *call) error {
	var out map[string]any
	err := c.view(func(tx *store.Tx) error {
		r, err := c.runner(tx)
		if err == nil {
			out = s.shownRunner(tx, r, true)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// editRunner changes a runner. Its requests for jobs are answered then, also
// where there is none for it.
func (s *Server) editRunner(c *call) error {
	var out map[string]any
	var key string
	err := c.update(func(tx *store.Tx) error {
		r, err := c.runner(tx)
		if err != nil {
			return err
		}
		key = r.TokenHash
		r.Description, r.Note = c.p.Or("description", r.Description), c.p.Or("maintenance_note", r.Note)
		if c.p.Has("tag_list") {
			r.Tags = cleanTags(c.p.List("tag_list"))
		}
		r.RunUntagged, r.Locked = c.p.Bool("run_untagged", r.RunUntagged), c.p.Bool("locked", r.Locked)
		r.Paused = c.p.Bool("paused", !c.p.Bool("active", !r.Paused))
		r.AccessLevel, r.MaxTimeout = c.p.Or("access_level", r.AccessLevel), c.p.Int("maximum_timeout", r.MaxTimeout)
		if err := checkRunner(r); err != nil {
			return err
		}
		tx.Runners.Put(r)
		out = s.shownRunner(tx, r, true)
		return nil
	})
	if err != nil {
		return err
	}
	s.edits.add(key)
	s.queue.ring()
	return c.json(http.StatusOK, out)
}

// deleteRunner removes the runner that find finds, 204: the one that calls, for
// DELETE runners, or the one that the path names.
func (s *Server) deleteRunner(find func(*call, *store.Tx) (*store.Runner, error)) func(*call) error {
	return func(c *call) error {
		err := c.update(func(tx *store.Tx) error {
			r, err := find(c, tx)
			if err == nil {
				s.removeRunner(tx, r)
			}
			return err
		})
		if err != nil {
			return err
		}
		return c.empty(http.StatusNoContent)
	}
}

func (s *Server) removeRunner(tx *store.Tx, r *store.Runner) {
	for _, m := range tx.ManagersOf(r.ID) {
		tx.Managers.Delete(m.ID)
	}
	tx.Runners.Delete(r.ID)
}

// resetRunnerToken gives the runner that find finds another token, 201.
func (s *Server) resetRunnerToken(find func(*call, *store.Tx) (*store.Runner, error)) func(*call) error {
	return func(c *call) error {
		var out map[string]any
		err := c.update(func(tx *store.Tx) error {
			r, err := find(c, tx)
			if err != nil {
				return err
			}
			out = map[string]any{"token": s.newRunnerToken(r), "token_expires_at": nil}
			tx.Runners.Put(r)
			return nil
		})
		if err != nil {
			return err
		}
		return c.json(http.StatusCreated, out)
	}
}

func (s *Server) listManagers(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		r, err := c.runner(tx)
		if err != nil {
			return err
		}
		for _, m := range tx.ManagersOf(r.ID) {
			contact := s.contacts.ofManager(m)
			out = append(out, map[string]any{
				"id": m.ID, "system_id": m.SystemID, "version": m.Version, "revision": m.Revision, "platform": m.Platform,
				"architecture": m.Architecture, "ip_address": m.Address, "created_at": stamp(m.CreatedAt),
				"contacted_at": stamp(contact), "status": s.runnerStatus(contact),
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) listRunnerJobs(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		r, err := c.runner(tx)
		if err != nil {
			return err
		}
		jobs := tx.JobsOfRunner(r.ID)
		slices.Reverse(jobs)
		for _, j := range jobs {
			if status := c.p.String("status"); status == "" || strings.EqualFold(status, j.Status) {
				out = append(out, s.shownJob(tx, j))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}
