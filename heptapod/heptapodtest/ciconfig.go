package heptapodtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/semver"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
	"github.com/heptaup/hepta/internal/ci"
)

// served are the files that ServeInclude was given.
type served struct {
	mu     sync.RWMutex
	byName map[string][]byte
}

// ServeInclude gives the content of a file that the forge itself does not have:
// name is what an include says, an address of include:remote, a name of
// include:template, or include:component's address as it is written. Files of
// projects, and components of projects of this forge, need no such call.
func (s *Server) ServeInclude(name string, content []byte) {
	s.included.mu.Lock()
	defer s.included.mu.Unlock()
	if s.included.byName == nil {
		s.included.byName = map[string][]byte{}
	}
	s.included.byName[name] = slices.Clone(content)
}

func (s *Server) servedInclude(name string) ([]byte, bool) {
	s.included.mu.RLock()
	defer s.included.mu.RUnlock()
	content, ok := s.included.byName[name]
	return content, ok
}

// ciEvent is what the CI language has to know of an event at a commit.
func (s *Server) ciEvent(ctx context.Context, p *store.Project, pl *store.Pipeline) ci.Event {
	ev := ci.Event{
		Source: pl.Source, Ref: pl.Ref, Tag: pl.Tag, Default: p.DefaultBranch, Variables: map[string]string{},
		// Listing a repository costs a process: only when something asks.
		Files: sync.OnceValue(func() []string {
			list, err := s.repos.Files(ctx, p.Path, pl.SHA)
			if err != nil {
				s.log.Warn("list files for rules", "project", p.Path, "error", err)
			}
			return list
		}),
		ChangedSince: func(ref string) ([]string, error) {
			base, _, _, err := s.resolve(ctx, p, ref)
			if err != nil {
				return nil, err
			}
			return s.repos.ChangedSince(ctx, p.Path, base, pl.SHA)
		},
	}
	masked := map[string]bool{}
	for _, v := range s.pipelineScope(p, pl) {
		ev.Variables[v.Key] = v.Value
		masked[v.Key] = v.Masked
	}
	ev.Masked = func(name string) bool { return masked[name] }
	ev.User = s.userVariables(pl.UserID)
	return ev
}

// userVariables tell rules who made the pipeline.
func (s *Server) userVariables(id int64) map[string]string {
	var v scope
	err := s.db.View(func(tx *store.Tx) error {
		v.user(tx.Users.Get(id))
		return nil
	})
	if err != nil {
		s.log.Warn("look up a user for rules", "user", id, "error", err)
	}
	all := map[string]string{}
	for _, one := range v {
		all[one.Key] = one.Value
	}
	return all
}

// host is host[:port] of the forge's address.
func (s *Server) host() string {
	_, host, _ := strings.Cut(s.URL, "://")
	return host
}

// changedBy are the paths that a push changed, nil where there is nothing to
// compare with.
func (s *Server) changedBy(ctx context.Context, p *store.Project, pl *store.Pipeline) []string {
	if pl.Tag || pl.Source != "push" || pl.BeforeSHA == "" || pl.BeforeSHA == vcs.Zero {
		return nil
	}
	list, err := s.repos.Changed(ctx, p.Path, pl.BeforeSHA, pl.SHA)
	if err != nil {
		return nil // the commit before is gone
	}
	if list == nil {
		list = []string{}
	}
	return list
}

// parseConfig reads a CI configuration of a commit with everything that it
// includes, as far as the user may read that.
func (s *Server) parseConfig(ctx context.Context, p *store.Project, e event, src []byte, ev *ci.Event) (*ci.Config, error) {
	return ci.ParseWith(src, or(p.ConfigPath, defaultConfigPath), ci.ParseOptions{
		Event: ev, Files: ev.Files,
		Include: func(i ci.Include) ([]byte, error) { return s.include(ctx, p, e, i) },
	})
}

// include reads one included file.
func (s *Server) include(ctx context.Context, p *store.Project, e event, i ci.Include) ([]byte, error) {
	switch i.Kind {
	case "remote", "template":
		if content, ok := s.servedInclude(i.File); ok {
			return content, nil
		}
		return nil, ci.ErrNotServed
	case "artifact":
		if e.bridge == 0 {
			return nil, ci.ErrNotServed
		}
		return s.artifactOf(e.bridge, i.Ref, i.File)
	case "component":
		if content, ok := s.servedInclude(i.String()); ok {
			return content, nil
		}
	}
	if i.Project == "" {
		return s.repos.File(ctx, p.Path, e.sha, i.File)
	}
	return s.foreign(ctx, e.user, i)
}

// foreign reads a file of another project.
func (s *Server) foreign(ctx context.Context, user int64, i ci.Include) ([]byte, error) {
	path := i.Project
	if host, rest, ok := strings.Cut(path, "/"); ok && (i.Kind == "component" || host == s.host()) {
		if host != s.host() {
			return nil, ci.ErrNotServed
		}
		path = rest
	}
	var other *store.Project
	err := s.db.View(func(tx *store.Tx) error {
		found := tx.Project(path)
		if found != nil && can(tx, identity{user: tx.Users.Get(user)}, found, store.Reporter) {
			other = found
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if other == nil {
		return nil, fmt.Errorf("project %s: %w", path, ci.ErrNoProject)
	}
	id, err := s.includedRevision(ctx, other, i)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ci.ErrNoReference, err)
	}
	if i.Kind != "component" {
		return s.repos.File(ctx, other.Path, id, i.File)
	}
	content, err := s.repos.File(ctx, other.Path, id, "templates/"+i.File+".yml")
	if errors.Is(err, fs.ErrNotExist) {
		content, err = s.repos.File(ctx, other.Path, id, "templates/"+i.File+"/template.yml")
	}
	return content, err
}

var partialVersion = regexp.MustCompile(`^\d+(\.\d+)?$`)

// includedRevision is the commit that a ref of an include means. A component
// may name its newest release, or only the first parts of one.
func (s *Server) includedRevision(ctx context.Context, p *store.Project, i ci.Include) (string, error) {
	if i.Ref == "" || i.Ref == "HEAD" {
		i.Ref = p.DefaultBranch
	}
	id, _, _, err := s.resolve(ctx, p, i.Ref)
	if err == nil || i.Kind != "component" && i.Kind != "local" || i.Ref != "~latest" && !partialVersion.MatchString(i.Ref) {
		return id, err
	}
	refs, listErr := s.repos.Refs(ctx, p.Path)
	if listErr != nil {
		return "", listErr
	}
	best := ""
	for _, r := range refs {
		v := "v" + strings.TrimPrefix(r.Name, "v")
		if !r.Tag || !semver.IsValid(v) || semver.Prerelease(v) != "" || i.Ref != "~latest" && !strings.HasPrefix(v, "v"+i.Ref+".") {
			continue
		}
		if best == "" || semver.Compare(v, best) > 0 {
			best, id, err = v, r.ID, nil
		}
	}
	return id, err
}
