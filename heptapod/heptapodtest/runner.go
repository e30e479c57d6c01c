package heptapodtest

import (
	"fmt"
	"slices"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// RunnerRequest describes a runner to be made.
type RunnerRequest struct {
	Type        string   `json:"runner_type"` // instance_type (default), group_type, project_type
	Description string   `json:"description"`
	Note        string   `json:"maintenance_note"`
	Tags        []string `json:"tag_list"`
	// TaggedOnly refuses jobs without tags; it needs tags.
	TaggedOnly  bool    `json:"tagged_only"`
	Locked      bool    `json:"locked"`
	Paused      bool    `json:"paused"`
	AccessLevel string  `json:"access_level"` // not_protected (default), ref_protected
	MaxTimeout  int     `json:"maximum_timeout"`
	GroupID     int64   `json:"group_id"`
	ProjectIDs  []int64 `json:"project_ids"`
}

// Runner is a runner that was just made: its token is kept nowhere.
type Runner struct {
	ID    int64  `json:"id"`
	Token string `json:"token"`
}

// CreateRunner makes a runner and returns its authentication token, glrt-….
func (s *Server) CreateRunner(req RunnerRequest) (Runner, error) {
	var out Runner
	err := s.db.Update(func(tx *store.Tx) error {
		var creator int64
		if root := tx.User("root"); root != nil {
			creator = root.ID
		}
		r, token, err := s.addRunner(tx, req, creator, false)
		if err != nil {
			return fmt.Errorf("create runner: %w", err)
		}
		out = Runner{ID: r.ID, Token: token}
		return nil
	})
	return out, err
}

// NewRunnerToken makes an instance runner for jobs with some of the tags, and
// for those without.
func (s *Server) NewRunnerToken(tags ...string) (string, error) {
	r, err := s.CreateRunner(RunnerRequest{Description: "test", Tags: tags})
	return r.Token, err
}

func (s *Server) addRunner(tx *store.Tx, req RunnerRequest, creator int64, legacy bool) (*store.Runner, string, error) {
	switch req.Type {
	case "":
		req.Type = store.InstanceRunner
	case store.InstanceRunner:
	case store.GroupRunner:
		if tx.Groups.Get(req.GroupID) == nil {
			return nil, "", notFound("Group")
		}
	case store.ProjectRunner:
		for _, id := range req.ProjectIDs {
			if tx.Projects.Get(id) == nil {
				return nil, "", notFound("Project")
			}
		}
		if len(req.ProjectIDs) == 0 {
			return nil, "", missing("project_id")
		}
	default:
		return nil, "", badRequest("runner_type does not have a valid value")
	}
	r := &store.Runner{
		Type: req.Type, Description: req.Description, Note: req.Note, Tags: cleanTags(req.Tags), RunUntagged: !req.TaggedOnly,
		Locked: req.Locked, Paused: req.Paused, AccessLevel: req.AccessLevel, MaxTimeout: req.MaxTimeout,
		GroupID: req.GroupID, ProjectIDs: req.ProjectIDs, CreatorID: creator, CreatedAt: s.now(), Legacy: legacy,
	}
	if err := checkRunner(r); err != nil {
		return nil, "", err
	}
	token := s.newRunnerToken(r)
	tx.Runners.Put(r)
	return r, token, nil
}

// newRunnerToken gives a runner a token. What a user made
// begins with glrt-, what registered itself does not.
func (s *Server) newRunnerToken(r *store.Runner) string {
	body := random(20)
	token := "glrt-" + body
	if r.Legacy {
		token = body
	}
	r.TokenHash, r.ShortToken = hash(token), body[:9]
	return token
}

func cleanTags(tags []string) []string {
	out := slices.Clone(tags)
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(t string) bool { return t == "" })
}

// checkRunner holds what every runner obeys.
func checkRunner(r *store.Runner) error {
	switch r.AccessLevel {
	case "":
		r.AccessLevel = "not_protected"
	case "not_protected", "ref_protected":
	default:
		return badRequest("access_level does not have a valid value")
	}
	switch {
	case !r.RunUntagged && len(r.Tags) == 0:
		return &problem{400, map[string]any{"message": map[string]any{"tags_list": []string{"can not be empty when runner is not allowed to pick untagged jobs"}}}}
	case r.MaxTimeout != 0 && r.MaxTimeout < 600:
		return &problem{400, map[string]any{"message": map[string]any{"maximum_timeout": []string{"needs to be at least 10 minutes"}}}}
	case len(r.Note) > 1024:
		return &problem{400, map[string]any{"message": map[string]any{"maintenance_note": []string{"is too long (maximum is 1024 characters)"}}}}
	}
	return nil
}

// takes reports whether a runner may run a job of the project.
func takes(tx *store.Tx, r *store.Runner, p *store.Project, pl *store.Pipeline, j *store.Job) bool {
	switch r.Type {
	case store.InstanceRunner:
		if p.NoShared {
			return false
		}
	case store.GroupRunner:
		g := tx.Groups.Get(p.GroupID)
		for g != nil && g.ID != r.GroupID {
			g = tx.Groups.Get(g.ParentID)
		}
		if g == nil {
			return false
		}
	case store.ProjectRunner:
		if !slices.Contains(r.ProjectIDs, p.ID) {
			return false
		}
	}
	if r.AccessLevel == "ref_protected" && !isProtected(p, pl.Ref, pl.Tag) {
		return false
	}
	if len(j.Tags) == 0 {
		return r.RunUntagged
	}
	// The runner must have all tags of the job.
	for _, t := range j.Tags {
		if !slices.Contains(r.Tags, t) {
			return false
		}
	}
	return true
}
