package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// Source says which files a build gets: those of a directory as they lie
// there, committed or not, as with docker build. What .dockerignore names is
// left out in every case.
type Source struct {
	// Dir is a directory of this machine; default the current one.
	Dir string
	// Tracked leaves out what Git or Mercurial does not track. Files count
	// with what they hold now.
	Tracked bool
	// Revision takes the files as they were committed there, in the words of
	// Git or Mercurial (HEAD, a branch, tip). Submodules and subrepositories
	// are left out.
	Revision string
}

// ContextReport is what a build was given.
type ContextReport struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// VCS is git or hg where the directory belongs to a repository, Revision
	// the full id of the commit that was asked for, or else of the one that the
	// working copy is based on; Modified reports whether tracked files differ from it.
	VCS      string `json:"vcs,omitempty"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

// repo is a working copy of Git or Mercurial.
type repo struct {
	kind string // git or hg
	top  string // its root, absolute
	dir  string // the directory of the context, absolute
}

// findRepo finds the working copy that dir is in; nil when there is none.
func findRepo(dir string) *repo {
	for top := dir; ; top = filepath.Dir(top) {
		for _, kind := range []string{"git", "hg"} {
			if _, err := os.Lstat(filepath.Join(top, "."+kind)); err == nil {
				return &repo{kind: kind, top: top, dir: dir}
			}
		}
		if top == filepath.Dir(top) {
			return nil
		}
	}
}

// run runs the repository's program in a directory and gives what it prints.
func (r *repo) run(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.kind, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "HGPLAIN=1", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C.UTF-8"), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", &fault.Error{Op: "build from", What: r.dir, Why: "the program " + r.kind + " is not installed here", Remedy: "Install it, or build the directory as it is."}
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", r.kind, args[0], err, bytes.TrimSpace(errs.Bytes()))
	}
	return string(out), nil
}

// tracked are the files below the context's directory that the repository
// tracks, relative to it.
func (r *repo) tracked(ctx context.Context) (map[string]bool, error) {
	args := []string{"ls-files", "-z", "--cached"}
	if r.kind == "hg" {
		args = []string{"files", "--print0", "."}
	}
	out, err := r.run(ctx, r.dir, nil, args...)
	var exit *exec.ExitError
	if r.kind == "hg" && errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // no file at all
	}
	if err != nil {
		return nil, fmt.Errorf("list tracked files: %w", err)
	}
	list := map[string]bool{}
	for name := range strings.SplitSeq(out, "\x00") {
		if name != "" {
			list[name] = true
		}
	}
	return list, nil
}

// describe says which commit the files are of.
func (r *repo) describe(ctx context.Context, revision string) (ContextReport, error) {
	id, changed := []string{"rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"}, []string{"status", "--porcelain", "--untracked-files=no", "."}
	if revision == "" {
		id[len(id)-1] = "HEAD^{commit}"
	}
	if r.kind == "hg" {
		id, changed = []string{"log", "--template", "{node}", "--rev", revision}, []string{"status", "--modified", "--added", "--removed", "--deleted", "."}
		if revision == "" {
			id[len(id)-1] = "."
		}
	}
	report := ContextReport{VCS: r.kind}
	out, err := r.run(ctx, r.dir, nil, id...)
	if err != nil {
		return report, err
	}
	report.Revision = strings.TrimSpace(out)
	if strings.Trim(report.Revision, "0") == "" { // Mercurial's name for nothing
		report.Revision = ""
	}
	if revision == "" {
		if out, err = r.run(ctx, r.dir, nil, changed...); err == nil {
			report.Modified = strings.TrimSpace(out) != ""
		}
	}
	return report, err
}

// checkout writes the files of a commit below an empty directory and gives
// where those of the context are then.
func (r *repo) checkout(ctx context.Context, revision, to string) (string, error) {
	files := filepath.Join(to, "files")
	var err error
	if r.kind == "hg" {
		_, err = r.run(ctx, r.top, nil, "archive", "--rev", revision, "--config", "ui.archivemeta=no", "--type", "files", files)
	} else {
		index := []string{"GIT_INDEX_FILE=" + filepath.Join(to, "index")}
		if _, err = r.run(ctx, r.top, index, "read-tree", revision); err == nil {
			_, err = r.run(ctx, r.top, index, "checkout-index", "--all", "--prefix="+files+string(filepath.Separator))
		}
	}
	if err != nil {
		return "", fmt.Errorf("take files of %s: %w", revision, err)
	}
	below, err := filepath.Rel(r.top, r.dir)
	return filepath.Join(files, below), err
}
