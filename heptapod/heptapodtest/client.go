package heptapodtest

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/tracelog"
)

// Project is a project of the forge.
type Project struct {
	ID   int64
	Path string
	VCS  string // hg or git

	s     *Server
	clone string
}

// Pipeline is a pipeline at one moment.
type Pipeline struct {
	ID         int64
	IID        int64
	Ref        string
	SHA        string
	Status     string
	YAMLErrors string
	Warnings   []string // about what it runs in another way than is written, or not at all
	Jobs       []Job    // without those that were retried
}

// Job is a job at one moment.
type Job struct {
	ID            int64
	Name          string
	Stage         string
	Status        string
	FailureReason string
	ExitCode      int
	// Downstream is the pipeline that a job with trigger has made, 0 for others.
	Downstream int64

	s *Server
}

// AddProject makes a project, private, owned by root, and the groups on its
// path that are missing. vcs is hg or git.
func (s *Server) AddProject(ctx context.Context, path, vcs string) (*Project, error) {
	kind, err := s.kindOf(vcs)
	if err != nil {
		return nil, fmt.Errorf("create project %s: %w", path, err)
	}
	above, last, nested := cutLast(path)
	if !nested {
		return nil, fmt.Errorf("create project %s: want group/project", path)
	}
	for part := range strings.SplitSeq(path, "/") {
		if !goodName(part) {
			return nil, fmt.Errorf("create project %s: %q is not a valid name", path, part)
		}
	}
	p := &store.Project{Path: path, Name: last, VCS: string(kind), Visibility: store.Private}
	err = s.db.Update(func(tx *store.Tx) error {
		root := tx.User("root")
		p.CreatorID, p.GroupID = root.ID, s.addGroup(tx, root, above, store.Private).ID
		return s.addProject(ctx, tx, p)
	})
	if err != nil {
		return nil, fmt.Errorf("create project %s: %w", path, err)
	}
	return &Project{ID: p.ID, Path: p.Path, VCS: p.VCS, s: s, clone: s.repositoryURL(p)}, nil
}

// CreateProject is AddProject for tests.
func (s *Server) CreateProject(t TB, path, vcs string) *Project {
	t.Helper()
	p, err := s.AddProject(context.Background(), path, vcs)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

// URL is the clone URL without credentials.
func (p *Project) URL() string { return p.clone }

// CloneURL is a clone URL that carries the user's name and a token of theirs
// that reads and writes repositories.
func (p *Project) CloneURL(user string) (string, error) {
	token, err := p.s.MintToken(TokenRequest{User: user, Name: "clone", Scopes: []string{"read_repository", "write_repository"}})
	if err != nil {
		return "", err
	}
	return withUser(p.clone, url.UserPassword(user, token)), nil
}

// SetVariable sets a CI variable of a project.
func (s *Server) SetVariable(project, key, value string, masked bool) error {
	return s.db.Update(func(tx *store.Tx) error {
		p := tx.Project(project)
		if p == nil {
			return fmt.Errorf("set variable of %s: %w", project, ErrNotFound)
		}
		v := store.Variable{Key: key, Value: value, Masked: masked, Scope: "*"}
		for i := range p.Variables {
			if p.Variables[i].Key == key {
				p.Variables[i] = v
				tx.Projects.Put(p)
				return nil
			}
		}
		p.Variables = append(p.Variables, v)
		tx.Projects.Put(p)
		return nil
	})
}

// AddMember gives a user an access level in a project: 20 reads, 30 pushes, 40 maintains.
func (s *Server) AddMember(project, user string, level int) error {
	return s.db.Update(func(tx *store.Tx) error {
		p, u := tx.Project(project), tx.User(user)
		if p == nil || u == nil {
			return fmt.Errorf("add %s to %s: %w", user, project, ErrNotFound)
		}
		if p.Members == nil {
			p.Members = map[int64]int{}
		}
		p.Members[u.ID] = level
		tx.Projects.Put(p)
		return nil
	})
}

func (s *Server) pipelineOf(tx *store.Tx, pl *store.Pipeline) *Pipeline {
	out := &Pipeline{ID: pl.ID, IID: pl.IID, Ref: pl.Ref, SHA: pl.SHA, Status: pl.Status, YAMLErrors: pl.YAMLErrors, Warnings: pl.Warnings}
	for _, j := range latest(tx, pl.ID) {
		out.Jobs = append(out.Jobs, Job{ID: j.ID, Name: j.Name, Stage: j.Stage, Status: j.Status, FailureReason: j.FailureReason, ExitCode: j.ExitCode, Downstream: j.DownstreamID, s: s})
	}
	return out
}

// Pipeline returns the n-th pipeline of a project, from 1, as it is now.
func (s *Server) Pipeline(_ context.Context, project string, n int) (*Pipeline, error) {
	return s.findPipeline(project, func(pl *store.Pipeline) bool { return pl.IID == int64(n) })
}

func (s *Server) findPipeline(project string, is func(*store.Pipeline) bool) (*Pipeline, error) {
	var out *Pipeline
	err := s.db.View(func(tx *store.Tx) error {
		p := tx.Project(project)
		if p == nil {
			return fmt.Errorf("find project %s: %w", project, ErrNotFound)
		}
		all := tx.PipelinesOf(p.ID)
		for i := len(all) - 1; i >= 0; i-- {
			if is(all[i]) {
				out = s.pipelineOf(tx, all[i])
				return nil
			}
		}
		return fmt.Errorf("find pipeline of %s: %w", project, ErrNotFound)
	})
	return out, err
}

// WaitPipeline waits until the latest pipeline of a ref is over, or waits for
// somebody to start a manual job. What was last seen is returned together with
// the context's error.
func (s *Server) WaitPipeline(ctx context.Context, project, ref string) (*Pipeline, error) {
	return s.Await(ctx, project, ref, func(p *Pipeline) bool {
		return store.Finished(p.Status) || p.Status == store.Manual
	})
}

// Await waits until the latest pipeline of a ref is as ready wants it.
func (s *Server) Await(ctx context.Context, project, ref string, ready func(*Pipeline) bool) (*Pipeline, error) {
	var last *Pipeline
	err := s.changed.await(ctx, func() (bool, error) {
		pl, err := s.findPipeline(project, func(pl *store.Pipeline) bool { return pl.Ref == ref && pl.Source != sourceParent })
		if err == nil {
			last = pl
			return ready(pl), nil
		}
		return false, nil
	})
	if err != nil {
		return last, fmt.Errorf("wait for pipeline of %s in %s: %w", ref, project, err)
	}
	return last, nil
}

// Job returns the job of that name.
func (p *Pipeline) Job(name string) (*Job, error) {
	for i := range p.Jobs {
		if p.Jobs[i].Name == name {
			return &p.Jobs[i], nil
		}
	}
	return nil, fmt.Errorf("find job %s in pipeline %d: %w", name, p.ID, ErrNotFound)
}

// RawTrace is what the runner sent so far.
func (j *Job) RawTrace() ([]byte, error) {
	f, err := j.s.db.Trace(j.ID)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Trace is what the runner sent so far, as plain text.
func (j *Job) Trace() (string, error) {
	raw, err := j.RawTrace()
	return tracelog.Text(string(raw)), err
}
