package vcs

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

var (
	fullID  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	shortID = regexp.MustCompile(`^[0-9a-f]{4,39}$`)
)

// backend is what one kind of repository answers. Revisions are full ids that
// resolve gave; no other text of a caller reaches a command line unguarded.
type backend interface {
	refs(ctx context.Context) ([]Ref, error)
	// expand completes an id, or confirms a full one; fs.ErrNotExist when
	// there is no such commit or more than one.
	expand(ctx context.Context, id string) (string, error)
	commits(ctx context.Context, id string, limit int) ([]Commit, error)
	file(ctx context.Context, id, name string) ([]byte, error)
	files(ctx context.Context, id string) ([]string, error)
	changed(ctx context.Context, from, to string) ([]string, error)
	tagMessage(ctx context.Context, tag string) (string, error)
	// ancestor is the newest common one of two revisions.
	ancestor(ctx context.Context, a, b string) (string, error)
}

func (s *store) backend(path string) (backend, error) {
	dir, kind, err := s.locate(path)
	if err != nil {
		return nil, err
	}
	if kind == Git {
		return gitRepo{s, dir}, nil
	}
	return hgRepo{s, dir}, nil
}

// resolve turns a full or short id, a ref's name, or "" and "HEAD" for the
// default branch into a full id. Branches win over tags, refs over short ids.
func resolve(ctx context.Context, b backend, rev string) (string, error) {
	if fullID.MatchString(rev) {
		return b.expand(ctx, rev)
	}
	refs, err := b.refs(ctx)
	if err != nil {
		return "", err
	}
	if rev == "" || rev == "HEAD" {
		if len(refs) > 0 && !refs[0].Tag {
			return refs[0].ID, nil
		}
		return "", fmt.Errorf("no default branch yet: %w", fs.ErrNotExist)
	}
	branch, isBranch := strings.CutPrefix(rev, "refs/heads/")
	tag, isTag := strings.CutPrefix(rev, "refs/tags/")
	for _, tags := range []bool{false, true} {
		for _, r := range refs {
			if r.Tag == tags && (!tags && !isTag && r.Name == branch || tags && !isBranch && r.Name == tag) {
				return r.ID, nil
			}
		}
	}
	if shortID.MatchString(rev) {
		return b.expand(ctx, rev)
	}
	return "", fmt.Errorf("revision %q: %w", rev, fs.ErrNotExist)
}

func (s *store) at(ctx context.Context, path, rev string) (backend, string, error) {
	b, err := s.backend(path)
	if err != nil {
		return nil, "", err
	}
	id, err := resolve(ctx, b, rev)
	if err != nil {
		return nil, "", fmt.Errorf("resolve in %s: %w", path, err)
	}
	return b, id, nil
}

// Refs lists the default branch first, then branches and then tags by name.
func (s *store) Refs(ctx context.Context, path string) ([]Ref, error) {
	b, err := s.backend(path)
	if err != nil {
		return nil, err
	}
	refs, err := b.refs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list refs of %s: %w", path, err)
	}
	return refs, nil
}

// Commit reads one revision; fs.ErrNotExist when there is none.
func (s *store) Commit(ctx context.Context, path, rev string) (Commit, error) {
	list, err := s.Commits(ctx, path, rev, 1)
	if err != nil {
		return Commit{}, err
	}
	if len(list) == 0 {
		return Commit{}, fmt.Errorf("read commit %q of %s: %w", rev, path, fs.ErrNotExist)
	}
	return list[0], nil
}

// Commits lists rev and its ancestors, newest first; a limit below 1 means 20.
func (s *store) Commits(ctx context.Context, path, rev string, limit int) ([]Commit, error) {
	b, id, err := s.at(ctx, path, rev)
	if err != nil {
		return nil, err
	}
	if limit < 1 {
		limit = 20
	}
	list, err := b.commits(ctx, id, limit)
	if err != nil {
		return nil, fmt.Errorf("list commits of %s: %w", path, err)
	}
	return list, nil
}

func (s *store) File(ctx context.Context, path, rev, name string) ([]byte, error) {
	b, id, err := s.at(ctx, path, rev)
	if err != nil {
		return nil, err
	}
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\x00\n") {
		return nil, fmt.Errorf("read file %q of %s: %w", name, path, fs.ErrNotExist)
	}
	data, err := b.file(ctx, id, name)
	if err != nil {
		return nil, fmt.Errorf("read file %q of %s: %w", name, path, err)
	}
	return data, nil
}

func (s *store) Files(ctx context.Context, path, rev string) ([]string, error) {
	b, id, err := s.at(ctx, path, rev)
	if err != nil {
		return nil, err
	}
	list, err := b.files(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list files of %s: %w", path, err)
	}
	return list, nil
}

func (s *store) Changed(ctx context.Context, path, from, to string) ([]string, error) {
	if from == Zero || to == Zero {
		return nil, nil
	}
	b, newer, err := s.at(ctx, path, to)
	if err != nil {
		return nil, err
	}
	older, err := resolve(ctx, b, from)
	if err != nil {
		return nil, fmt.Errorf("resolve in %s: %w", path, err)
	}
	list, err := b.changed(ctx, older, newer)
	if err != nil {
		return nil, fmt.Errorf("compare revisions of %s: %w", path, err)
	}
	return list, nil
}

func (s *store) TagMessage(ctx context.Context, path, tag string) (string, error) {
	b, err := s.backend(path)
	if err != nil {
		return "", err
	}
	text, err := b.tagMessage(ctx, tag)
	if err != nil {
		return "", fmt.Errorf("read tag %s of %s: %w", tag, path, err)
	}
	return text, nil
}

func (s *store) ChangedSince(ctx context.Context, path, base, rev string) ([]string, error) {
	b, newer, err := s.at(ctx, path, rev)
	if err != nil {
		return nil, err
	}
	older, err := resolve(ctx, b, base)
	if err == nil {
		older, err = b.ancestor(ctx, older, newer)
	}
	if err != nil {
		return nil, fmt.Errorf("compare revisions of %s: %w", path, err)
	}
	return s.Changed(ctx, path, older, newer)
}

// title is a message's first line.
func title(message string) string {
	first, _, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	return strings.TrimSpace(first)
}

// split0 reads a list whose items end with NUL; never nil.
func split0(out []byte) []string {
	list := []string{}
	for item := range strings.SplitSeq(string(out), "\x00") {
		if item != "" {
			list = append(list, item)
		}
	}
	return list
}
