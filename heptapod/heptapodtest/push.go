package heptapodtest

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
)

func refKey(r vcs.Ref) string {
	if r.Tag {
		return "refs/tags/" + r.Name
	}
	return "refs/heads/" + r.Name
}

// scan compares a project's refs with those seen before and makes the
// pipelines of what changed. What it saw and what it made are stored together:
// a push whose scan broke off is found by the next one.
func (s *Server) scan(ctx context.Context, project, user int64) error {
	defer s.pushes.lock(project)()
	var p *store.Project
	var before map[string]string
	err := s.db.View(func(tx *store.Tx) error {
		p, before = tx.Projects.Get(project), tx.Heads(project)
		return nil
	})
	if err != nil || p == nil {
		return err
	}
	refs, err := s.repos.Refs(ctx, p.Path)
	if err != nil {
		return fmt.Errorf("scan %s: %w", p.Path, err)
	}
	after := make(map[string]string, len(refs))
	var news []vcs.Ref
	for _, r := range refs {
		after[refKey(r)] = r.ID
		if before[refKey(r)] != r.ID {
			news = append(news, r)
		}
	}
	if len(news) == 0 && len(after) == len(before) {
		return nil
	}
	if p.DefaultBranch == "" {
		p.DefaultBranch = defaultBranch(vcs.Kind(p.VCS), refs)
	}
	if user == 0 {
		user = p.CreatorID
	}
	var drafts []*draft
	for _, r := range news {
		e := event{source: "push", ref: r.Name, tag: r.Tag, sha: r.ID, before: before[refKey(r)], user: user}
		if e.before == "" {
			e.before = vcs.Zero
		}
		d, err := s.draft(ctx, p, e)
		if err != nil {
			return fmt.Errorf("scan %s: %w", p.Path, err)
		}
		if d.pipeline != nil {
			drafts = append(drafts, d)
		}
	}
	err = s.change(func(tx *store.Tx) error {
		now := tx.Projects.Get(p.ID)
		if now == nil {
			return nil // deleted meanwhile
		}
		if now.DefaultBranch == "" {
			now.DefaultBranch = p.DefaultBranch
		}
		for _, d := range drafts {
			s.keep(tx, now, d)
		}
		tx.Projects.Put(now)
		tx.PutHeads(p.ID, after)
		return nil
	})
	if err != nil {
		return fmt.Errorf("scan %s: %w", p.Path, err)
	}
	for _, d := range drafts {
		s.keepAround(ctx, p, d.pipeline)
	}
	return nil
}

// keepAround makes the ref that holds a pipeline's commit, whatever happens to
// its branch. A Mercurial commit stays by itself; its snapshot is made when a
// runner needs it.
func (s *Server) keepAround(ctx context.Context, p *store.Project, pl *store.Pipeline) {
	if p.VCS != string(vcs.Git) || pl.Status == store.Skipped || pl.YAMLErrors != "" {
		return
	}
	if _, err := s.snapshot(ctx, p, pl.ID); err != nil {
		s.log.Warn("commit of a pipeline is not kept", "project", p.Path, "pipeline", pl.ID, "error", err)
	}
}

// snapshot returns the Git commit that a runner fetches for a pipeline.
func (s *Server) snapshot(ctx context.Context, p *store.Project, pipeline int64) (string, error) {
	var pl *store.Pipeline
	err := s.db.View(func(tx *store.Tx) error { pl = tx.Pipelines.Get(pipeline); return nil })
	if err != nil {
		return "", err
	}
	if pl == nil {
		return "", fmt.Errorf("snapshot pipeline %d: %w", pipeline, ErrNotFound)
	}
	if pl.Snapshot != "" {
		return pl.Snapshot, nil
	}
	sha, err := s.repos.Snapshot(ctx, p.Path, pl.SHA, pl.ID)
	if err != nil {
		return "", fmt.Errorf("snapshot %s of %s: %w", pl.SHA, p.Path, err)
	}
	return sha, s.db.Update(func(tx *store.Tx) error {
		if pl := tx.Pipelines.Get(pipeline); pl != nil {
			pl.Snapshot = sha
			tx.Pipelines.Put(pl)
		}
		return nil
	})
}

// rescan looks for pushes whose scan the end of the process cut off.
func (s *Server) rescan() {
	var ids []int64
	err := s.db.View(func(tx *store.Tx) error {
		for _, p := range tx.Projects.All() {
			ids = append(ids, p.ID)
		}
		return nil
	})
	if err != nil {
		s.log.Error("scan failed", "error", err)
		return
	}
	for _, id := range ids {
		if s.work.Err() != nil {
			return
		}
		if err := s.scan(s.work, id, 0); err != nil && s.work.Err() == nil {
			s.log.Error("scan failed", "error", err)
		}
	}
}

// defaultBranch is the branch that a first push makes the default one;
// Mercurial's is branch/default.
func defaultBranch(kind vcs.Kind, refs []vcs.Ref) string {
	var names []string
	for _, r := range refs {
		if !r.Tag {
			names = append(names, r.Name)
		}
	}
	for _, want := range []string{"branch/default", "main", "master"} {
		if (want == "branch/default") == (kind == vcs.Hg) && slices.Contains(names, want) {
			return want
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

var commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// resolve finds the commit that a name means, a branch before a tag before an id.
func (s *Server) resolve(ctx context.Context, p *store.Project, name string) (id, ref string, tag bool, err error) {
	refs, err := s.repos.Refs(ctx, p.Path)
	if err != nil {
		return "", "", false, err
	}
	for _, wantTag := range []bool{false, true} {
		for _, r := range refs {
			if r.Tag == wantTag && (r.Name == name || refKey(r) == name) {
				return r.ID, r.Name, r.Tag, nil
			}
		}
	}
	if commitID.MatchString(name) {
		if c, err := s.repos.Commit(ctx, p.Path, name); err == nil {
			return c.ID, "", false, nil
		}
	}
	return "", "", false, fmt.Errorf("find %q in %s: %w", name, p.Path, ErrNotFound)
}
