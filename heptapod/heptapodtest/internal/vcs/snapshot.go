package vcs

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Snapshot keeps rev's tree under refs/pipelines/<pipeline>. For Git that is
// the commit itself; for Mercurial a commit without parents in a Git
// repository beside, the same one for the same changeset.
func (s *store) Snapshot(ctx context.Context, path, rev string, pipeline int64) (string, error) {
	id, err := s.snapshot(ctx, path, rev, pipeline)
	if err != nil {
		return "", fmt.Errorf("snapshot %s for pipeline %d: %w", path, pipeline, err)
	}
	return id, nil
}

func (s *store) snapshot(ctx context.Context, path, rev string, pipeline int64) (string, error) {
	defer s.locks.lock(path)()
	b, id, err := s.at(ctx, path, rev)
	if err != nil {
		return "", err
	}
	ref := fmt.Sprintf("refs/pipelines/%d", pipeline)
	h, ok := b.(hgRepo)
	if !ok {
		_, err := b.(gitRepo).run(ctx, "update-ref", ref, id)
		return id, err
	}
	dir, err := s.join(snapshotDir, path, ".git")
	if err != nil {
		return "", err
	}
	if !isDir(dir) {
		if err := s.place(ctx, dir, Git); err != nil {
			return "", err
		}
	}
	g := gitRepo{s, dir}
	made := "refs/snapshots/" + id
	commit, err := g.expand(ctx, made)
	if err != nil {
		list, err := h.commits(ctx, id, 1)
		if err != nil {
			return "", err
		}
		if err := s.importTree(ctx, h, g, list[0], made); err != nil {
			return "", err
		}
		if commit, err = g.expand(ctx, made); err != nil {
			return "", err
		}
	}
	_, err = g.run(ctx, "update-ref", ref, commit)
	return commit, err
}

// importTree streams a changeset's tree, byte for byte, into one commit of g.
func (s *store) importTree(ctx context.Context, h hgRepo, g gitRepo, c Commit, ref string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	files, err := h.files(ctx, c.ID)
	if err != nil {
		return err
	}
	git, err := s.git()
	if err != nil {
		return err
	}
	stream, feed := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := s.writeImport(ctx, h, feed, c, ref, len(files) > 0)
		feed.CloseWithError(err)
		written <- err
	}()
	_, err = s.output(ctx, invocation{
		name:  git,
		args:  []string{"--git-dir=" + g.dir, "fast-import", "--quiet", "--force", "--done"},
		stdin: stream,
	})
	stream.CloseWithError(io.ErrClosedPipe)
	if e := <-written; e != nil && !errors.Is(e, io.ErrClosedPipe) {
		return e
	}
	return err
}

func (s *store) writeImport(ctx context.Context, h hgRepo, to io.Writer, c Commit, ref string, tree bool) error {
	when := time.Unix(0, 0)
	if t, err := time.Parse(time.RFC3339, c.Timestamp); err == nil && t.Unix() > 0 {
		when = t
	}
	w := bufio.NewWriter(to)
	date := fmt.Sprintf("%d %s", when.Unix(), when.Format("-0700"))
	fmt.Fprintf(w, "commit %s\nauthor %s %s\ncommitter Heptapod <heptapod@localhost> %s\n", ref, identity(c.Author), date, date)
	fmt.Fprintf(w, "data %d\n%s\n", len(c.Message), c.Message)
	if tree {
		if err := h.writeFiles(ctx, w, c.ID); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "\ndone\n")
	return w.Flush()
}

// writeFiles turns hg's archive into file commands. What Git itself would
// never track, a component named .git, stays out.
func (h hgRepo) writeFiles(ctx context.Context, w *bufio.Writer, id string) error {
	return h.read(ctx, func(out io.Reader) error {
		return writeTar(tar.NewReader(out), w)
	}, "archive", "--rev", id, "--type", "tar", "--prefix", ".", "-")
}

func writeTar(t *tar.Reader, w *bufio.Writer) error {
	for {
		hd, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read hg archive: %w", err)
		}
		name := strings.TrimPrefix(hd.Name, "./")
		if name == "" || hasGitComponent(name) {
			continue
		}
		switch hd.Typeflag {
		case tar.TypeSymlink:
			fmt.Fprintf(w, "M 120000 inline %s\ndata %d\n%s\n", quote(name), len(hd.Linkname), hd.Linkname)
		case tar.TypeReg:
			mode := "100644"
			if hd.Mode&0o100 != 0 {
				mode = "100755"
			}
			fmt.Fprintf(w, "M %s inline %s\ndata %d\n", mode, quote(name), hd.Size)
			if _, err := io.CopyN(w, t, hd.Size); err != nil {
				return fmt.Errorf("copy %s: %w", name, err)
			}
			fmt.Fprint(w, "\n")
		}
	}
}

func hasGitComponent(name string) bool {
	for p := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(p, ".git") {
			return true
		}
	}
	return false
}

// quote writes a path as fast-import reads it.
func quote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(name) + `"`
}

// identity makes of a Mercurial user, which may be any text, what Git accepts.
func identity(user string) string {
	name, mail, _ := strings.Cut(user, "<")
	mail, _, _ = strings.Cut(mail, ">")
	clean := strings.NewReplacer("<", "", ">", "", "\n", " ", "\x00", "")
	return strings.TrimSpace(clean.Replace(name)) + " <" + strings.TrimSpace(clean.Replace(mail)) + ">"
}
