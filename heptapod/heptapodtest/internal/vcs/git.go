package vcs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
)

// gitRepo answers for one bare Git repository.
type gitRepo struct {
	s   *store
	dir string
}

func findGit() (string, error) {
	name, err := exec.LookPath("git")
	if err != nil {
		return "", fmt.Errorf("look for git (install it, or put it in PATH): %w", err)
	}
	return name, nil
}

func (g gitRepo) run(ctx context.Context, args ...string) ([]byte, error) {
	git, err := g.s.git()
	if err != nil {
		return nil, err
	}
	return g.s.output(ctx, invocation{name: git, args: append([]string{"--git-dir=" + g.dir}, args...)})
}

func (s *store) gitInit(ctx context.Context, dir string) error {
	git, err := s.git()
	if err != nil {
		return err
	}
	_, err = s.output(ctx, invocation{name: git, args: []string{"init", "--quiet", "--bare", "--template=", "--", dir}})
	return err
}

func (g gitRepo) refs(ctx context.Context) ([]Ref, error) {
	head, err := g.run(ctx, "symbolic-ref", "HEAD")
	if err != nil {
		return nil, err
	}
	first := strings.TrimPrefix(strings.TrimSpace(string(head)), "refs/heads/")
	out, err := g.run(ctx, "for-each-ref", "--format=%(refname)%00%(objectname)%00%(*objectname)", "refs/heads/", "refs/tags/")
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\x00")
		if len(f) != 3 {
			continue
		}
		r := Ref{ID: f[1]}
		if f[2] != "" {
			r.ID = f[2]
		}
		if name, ok := strings.CutPrefix(f[0], "refs/heads/"); ok {
			r.Name = name
		} else {
			r.Name, r.Tag = strings.TrimPrefix(f[0], "refs/tags/"), true
		}
		refs = append(refs, r)
	}
	sortRefs(refs, first)
	return refs, nil
}

// sortRefs puts the branch named first before the others, and branches before tags.
func sortRefs(refs []Ref, first string) {
	rank := func(r Ref) int {
		switch {
		case r.Tag:
			return 2
		case r.Name != first:
			return 1
		}
		return 0
	}
	slices.SortFunc(refs, func(a, b Ref) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
}

func (g gitRepo) expand(ctx context.Context, id string) (string, error) {
	out, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", id+"^{commit}")
	if f := (*failure)(nil); errors.As(err, &f) {
		return "", fmt.Errorf("revision %q: %w", id, fs.ErrNotExist)
	}
	return strings.TrimSpace(string(out)), err
}

func (g gitRepo) commits(ctx context.Context, id string, limit int) ([]Commit, error) {
	out, err := g.run(ctx, "log", fmt.Sprintf("--max-count=%d", limit),
		"--format=tformat:%H%x00%P%x00%an <%ae>%x00%cI%x00%B%x00", "--end-of-options", id, "--")
	if err != nil {
		return nil, err
	}
	var list []Commit
	f := strings.Split(string(out), "\x00")
	for ; len(f) >= 5; f = f[5:] {
		list = append(list, Commit{
			ID: strings.TrimSpace(f[0]), Parents: strings.Fields(f[1]), Author: f[2],
			Timestamp: f[3], Message: f[4], Title: title(f[4]),
		})
	}
	return list, nil
}

func (g gitRepo) file(ctx context.Context, id, name string) ([]byte, error) {
	out, err := g.run(ctx, "--literal-pathspecs", "ls-tree", "-z", "--full-tree", id, "--", name)
	if err != nil {
		return nil, err
	}
	meta, path, _ := strings.Cut(strings.TrimSuffix(string(out), "\x00"), "\t")
	f := strings.Fields(meta)
	if path != name || len(f) != 3 || f[1] != "blob" {
		return nil, fs.ErrNotExist
	}
	return g.run(ctx, "cat-file", "blob", f[2])
}

func (g gitRepo) files(ctx context.Context, id string) ([]string, error) {
	out, err := g.run(ctx, "ls-tree", "-r", "-z", "--full-tree", "--name-only", id)
	return split0(out), err
}

func (g gitRepo) tagMessage(ctx context.Context, tag string) (string, error) {
	out, err := g.run(ctx, "for-each-ref", "--format=%(objecttype) %(contents)", "refs/tags/"+tag)
	text, annotated := strings.CutPrefix(string(out), "tag ")
	if err != nil || !annotated {
		return "", err
	}
	return strings.TrimRight(text, "\n"), nil
}

func (g gitRepo) ancestor(ctx context.Context, a, b string) (string, error) {
	out, err := g.run(ctx, "merge-base", a, b)
	return strings.TrimSpace(string(out)), err
}

func (g gitRepo) changed(ctx context.Context, from, to string) ([]string, error) {
	out, err := g.run(ctx, "diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to)
	return split0(out), err
}

// adoptHead points HEAD at the first branch of a repository whose default
// branch was never pushed, when exactly that is the case.
func (g gitRepo) adoptHead(ctx context.Context) error {
	if _, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD"); err == nil {
		return nil
	}
	refs, err := g.refs(ctx)
	if err != nil || len(refs) == 0 || refs[0].Tag {
		return err
	}
	_, err = g.run(ctx, "symbolic-ref", "HEAD", "refs/heads/"+refs[0].Name)
	return err
}
