package heptapodtest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
)

// repositoryURL is the HTTP clone URL. Mercurial projects have none of the .git.
func (s *Server) repositoryURL(p *store.Project) string {
	if p.VCS == string(vcs.Git) {
		return s.URL + "/" + p.Path + ".git"
	}
	return s.URL + "/" + p.Path
}

// withUser puts credentials into a URL.
func withUser(raw string, user *url.Userinfo) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.User = user
	return u.String()
}

// sshURL is the ssh clone URL; Mercurial has no short form, and Git's knows no port.
func (s *Server) sshURL(p *store.Project) string {
	host := s.cfg.SSHHost
	if s.cfg.SSHPort != 22 {
		host = net.JoinHostPort(host, strconv.Itoa(s.cfg.SSHPort))
	}
	switch {
	case p.VCS == string(vcs.Hg):
		return "ssh://git@" + host + "/" + p.Path
	case s.cfg.SSHPort != 22:
		return "ssh://git@" + host + "/" + p.Path + ".git"
	}
	return "git@" + host + ":" + p.Path + ".git"
}

func (s *Server) shownProject(tx *store.Tx, who identity, p *store.Project) map[string]any {
	g := tx.Groups.Get(p.GroupID)
	var branch any
	if p.DefaultBranch != "" {
		branch = p.DefaultBranch
	}
	m := map[string]any{
		"id": p.ID, "name": p.Name, "path": lastPart(p.Path), "path_with_namespace": p.Path, "description": p.Description,
		"name_with_namespace": strings.ReplaceAll(p.Path, "/", " / "),
		"default_branch":      branch, "visibility": p.Visibility, "archived": p.Archived, "empty_repo": p.DefaultBranch == "",
		"web_url": s.URL + "/" + p.Path, "http_url_to_repo": s.repositoryURL(p), "ssh_url_to_repo": s.sshURL(p),
		"created_at": stamp(p.CreatedAt), "last_activity_at": stamp(p.CreatedAt), "creator_id": p.CreatorID,
		"jobs_enabled": true, "builds_access_level": "enabled", "shared_runners_enabled": !p.NoShared,
		"build_timeout": p.Timeout, "ci_config_path": p.ConfigPath, "ci_default_git_depth": p.Depth,
		"container_registry_enabled": s.registry.get() != "", "topics": []string{}, "tag_list": []string{},
		"forks_count": 0, "star_count": 0, "open_issues_count": 0, "import_status": "none",
	}
	if !s.cfg.Plain {
		m["vcs_type"] = p.VCS
	}
	if host := s.registryHost(); host != "" {
		m["container_registry_image_prefix"] = host + "/" + strings.ToLower(p.Path)
	}
	if g != nil {
		m["namespace"] = shownNamespace(g)
	}
	if who.user != nil {
		m["container_expiration_policy"] = shownPolicy(p)
		m["permissions"] = map[string]any{"project_access": map[string]any{"access_level": level(tx, who.user, p), "notification_level": 3}, "group_access": nil}
	}
	return m
}

// kindOf reads vcs_type: hg by default; hg_git is the
// legacy of conversions; this forge does not keep such projects.
func (s *Server) kindOf(name string) (vcs.Kind, error) {
	switch {
	case s.cfg.Plain && (name == "" || name == "git"), name == "git":
		return vcs.Git, nil
	case s.cfg.Plain:
		return "", badRequest("vcs_type is invalid")
	case name == "", name == "hg":
		return vcs.Hg, nil
	case name == "hg_git":
		return "", badRequest("vcs_type hg_git is not kept here: use hg or git")
	}
	return "", badRequest("vcs_type does not have a valid value")
}

// addProject makes the record and the repository.
func (s *Server) addProject(ctx context.Context, tx *store.Tx, p *store.Project) error {
	if tx.Project(p.Path) != nil || tx.Group(p.Path) != nil {
		return taken("path")
	}
	if p.Name == "" {
		p.Name = lastPart(p.Path)
	}
	p.CreatedAt = s.now()
	p.Timeout, p.Depth = 3600, 20
	tx.Projects.Put(p)
	if _, there := s.repos.Exists(p.Path); there {
		// Left by a creation that broke off before it was acknowledged.
		if err := s.repos.Remove(ctx, p.Path); err != nil {
			return fmt.Errorf("make repository: %w", err)
		}
	}
	if err := s.repos.Create(ctx, p.Path, vcs.Kind(p.VCS)); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	return nil
}

func (s *Server) createProject(c *call) error {
	name := c.p.String("name")
	path := c.p.Or("path", strings.ReplaceAll(strings.ToLower(name), " ", "-"))
	if path == "" {
		return badRequest("name, path are missing, at least one parameter must be provided")
	}
	if !goodName(path) {
		return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"path": []string{"can contain only letters, digits, '_', '-' and '.'"}}}}
	}
	kind, err := s.kindOf(c.p.String("vcs_type"))
	if err != nil {
		return err
	}
	visibility, err := visibilityOf(c.p.Or("visibility", store.Private))
	if err != nil {
		return err
	}
	p := &store.Project{
		Name: name, Description: c.p.String("description"), VCS: string(kind), Visibility: visibility, CreatorID: c.who.user.ID,
		ConfigPath: c.p.String("ci_config_path"), NoShared: !c.p.Bool("shared_runners_enabled", true),
	}
	var out map[string]any
	err = c.update(func(tx *store.Tx) error {
		g := tx.Group(c.who.user.Username)
		if id := c.p.Int("namespace_id", 0); id != 0 {
			g = tx.Groups.Get(int64(id))
		}
		if g == nil || !seesGroup(tx, c.who.user, g) {
			return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"namespace": []string{"is not valid"}}}}
		}
		if groupLevel(tx, c.who.user, g) < store.Developer {
			return forbidden()
		}
		p.GroupID, p.Path = g.ID, g.Path+"/"+path
		if err := s.addProject(c.r.Context(), tx, p); err != nil {
			return err
		}
		out = s.shownProject(tx, c.who, p)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, out)
}

func (s *Server) listProjects(c *call) error {
	search := strings.ToLower(c.p.String("search"))
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		all := tx.Projects.All()
		for i := len(all) - 1; i >= 0; i-- {
			p := all[i]
			switch {
			case !can(tx, c.who, p, store.Guest):
			case !strings.Contains(strings.ToLower(p.Name+" "+lastPart(p.Path)), search) && !(c.p.Bool("search_namespaces", false) && strings.Contains(strings.ToLower(p.Path), search)):
			case c.p.Bool("owned", false) && (c.who.user == nil || p.CreatorID != c.who.user.ID):
			case c.p.Bool("membership", false) && level(tx, c.who.user, p) == store.NoAccess:
			case c.p.String("visibility") != "" && c.p.String("visibility") != p.Visibility:
			default:
				out = append(out, s.shownProject(tx, c.who, p))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) getProject(c *call) error {
	var out map[string]any
	err := c.view(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Guest)
		if err == nil {
			out = s.shownProject(tx, c.who, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) editProject(c *call) error {
	var out map[string]any
	err := c.update(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Maintainer)
		if err != nil {
			return err
		}
		if p.Visibility, err = visibilityOf(c.p.Or("visibility", p.Visibility)); err != nil {
			return err
		}
		p.Name, p.Description = c.p.Or("name", p.Name), c.p.Or("description", p.Description)
		p.ConfigPath, p.DefaultBranch = c.p.Or("ci_config_path", p.ConfigPath), c.p.Or("default_branch", p.DefaultBranch)
		p.NoShared = !c.p.Bool("shared_runners_enabled", !p.NoShared)
		p.Timeout, p.Depth = c.p.Int("build_timeout", p.Timeout), c.p.Int("ci_default_git_depth", p.Depth)
		if c.p.Has("container_expiration_policy_attributes") {
			if err := s.editPolicy(p, c.p.Object("container_expiration_policy_attributes")); err != nil {
				return err
			}
		}
		tx.Projects.Put(p)
		out = s.shownProject(tx, c.who, p)
		return nil
	})
	if err != nil {
		return err
	}
	s.queue.ring()
	return c.json(http.StatusOK, out)
}

func (s *Server) deleteProject(c *call) error {
	var gone *store.Project
	var jobs []*store.Job
	err := c.update(func(tx *store.Tx) error {
		p, err := c.project(tx, store.Owner)
		if err != nil {
			return err
		}
		gone, jobs = p, tx.JobsOfProject(p.ID)
		for _, j := range jobs {
			tx.RemoveJob(j.ID)
			s.contacts.jobGone(j.ID)
		}
		for _, pl := range tx.PipelinesOf(p.ID) {
			tx.Pipelines.Delete(pl.ID)
		}
		for _, t := range tx.DeployTokensOf(p.ID) {
			tx.DeployTokens.Delete(t.ID)
		}
		tx.PutHeads(p.ID, nil)
		tx.Projects.Delete(p.ID)
		return nil
	})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		s.dropFiles(j)
	}
	if err := s.repos.Remove(c.r.Context(), gone.Path); err != nil {
		s.log.Warn("repository of a deleted project is left", "project", gone.Path, "error", err)
	}
	s.changed.ring()
	return c.json(http.StatusAccepted, map[string]any{"message": "202 Accepted"})
}

// dropFiles removes what a job left on disk. Its record no longer leads there.
func (s *Server) dropFiles(j *store.Job) {
	if err := s.db.DropTrace(j.ID); err != nil {
		s.log.Warn("trace is left", "job", j.ID, "error", err)
	}
	for _, a := range j.Artifacts {
		if err := s.db.DropArtifact(a.File); err != nil {
			s.log.Warn("artifact is left", "job", j.ID, "error", err)
		}
	}
}

// vcsTypeStats is 200 on Heptapod and 404 on
// GitLab: the best way to tell them apart.
func (s *Server) vcsTypeStats(c *call) error {
	if s.cfg.Plain {
		return notFound("Project")
	}
	stats := map[string]int{"hg": 0, "git": 0, "hg_git": 0}
	err := c.view(func(tx *store.Tx) error {
		for _, p := range tx.Projects.All() {
			stats[p.VCS]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, stats)
}
