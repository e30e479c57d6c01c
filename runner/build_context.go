package runner

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

// buildContext is the files of a build, chosen and not yet read.
type buildContext struct {
	dir    string
	paths  []string // relative to dir, slash-separated; directories before what is in them
	report ContextReport
	bases  []string // the images that the Dockerfile names
	temp   string   // removed by close; "" when there is none
}

func (c *buildContext) close() {
	if c.temp != "" {
		_ = os.RemoveAll(c.temp)
	}
}

// where is the directory in the words of an error.
func (s Source) where() string { return cmp.Or(s.Dir, "the current directory") }

// open chooses the files. The caller closes the context.
func (s Source) open(ctx context.Context, dockerfile string) (_ *buildContext, err error) {
	dir, err := filepath.Abs(s.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, &fault.Error{Op: "build from", What: s.where(), Why: "the directory cannot be read", Remedy: "Name a directory of this machine.", Err: err}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &fault.Error{Op: "build from", What: s.where(), Why: "that is no directory", Remedy: "Name the directory with the Dockerfile; --dockerfile names another file in it.", Err: err}
	}
	c := &buildContext{dir: dir}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	var only map[string]bool
	r := findRepo(dir)
	chosen := s.Tracked || s.Revision != ""
	if r == nil && chosen {
		return nil, &fault.Error{Op: "build from", What: s.where(), Why: "it belongs to no Git or Mercurial repository", Remedy: "Build the directory as it is."}
	}
	if r != nil {
		report, err := r.describe(ctx, s.Revision)
		if err != nil && chosen && (s.Revision != "" || ctx.Err() != nil) {
			return nil, &fault.Error{Op: "build from", What: s.where() + " at " + s.Revision, Why: "the repository has no such revision", Remedy: "Name a commit, a branch or a tag.", Err: err}
		}
		c.report = report
	}
	if s.Tracked && s.Revision == "" {
		if only, err = r.tracked(ctx); err != nil {
			return nil, err
		}
	}
	if s.Revision != "" {
		if c.temp, err = os.MkdirTemp("", "hepta-build-"); err != nil {
			return nil, fmt.Errorf("build from %s: %w", s.Dir, err)
		}
		if c.dir, err = r.checkout(ctx, c.report.Revision, c.temp); err != nil {
			return nil, err
		}
	}
	if err := c.readDockerfile(s, dockerfile, only); err != nil {
		return nil, err
	}
	return c, c.choose(dockerfile, only)
}

var (
	fromLine = pattern.New(`(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)`)
	fromFlag = pattern.New(`(?i)(?:--|,)from=([^\s,]+)`)
)

func (c *buildContext) readDockerfile(s Source, name string, only map[string]bool) error {
	text, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(name)))
	if err == nil && only != nil && !only[filepath.FromSlash(name)] {
		return &fault.Error{Op: "build from", What: s.where(), Why: name + " is not tracked by the repository", Remedy: "Add it to the repository, or build without --tracked.", Kind: ErrNoDockerfile}
	}
	if errors.Is(err, fs.ErrNotExist) {
		f := &fault.Error{Op: "build from", What: s.where(), Why: "it has no file " + name, Remedy: "Name another file with --dockerfile, or another directory.", Kind: ErrNoDockerfile}
		if s.Revision != "" {
			f.Why += " at " + s.Revision
		}
		return f
	}
	if err != nil {
		return fmt.Errorf("read Dockerfile: %w", err)
	}
	for _, m := range slices.Concat(fromLine().FindAllSubmatch(text, -1), fromFlag().FindAllSubmatch(text, -1)) {
		c.bases = append(c.bases, string(m[1]))
	}
	return nil
}

// ignored are the patterns of the Dockerfile's own .dockerignore, else of the
// common one.
func (c *buildContext) ignored(dockerfile string) (*patternmatcher.PatternMatcher, error) {
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		f, err := os.Open(filepath.Join(c.dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		patterns, err := ignorefile.ReadAll(f)
		f.Close()
		var m *patternmatcher.PatternMatcher
		if err == nil {
			// The builder itself reads these; it leaves them out of the image.
			m, err = patternmatcher.New(append(patterns, "!"+dockerfile, "!"+name))
		}
		if err != nil {
			return nil, &fault.Error{Op: "read", What: name, Why: "a pattern in it is wrong", Remedy: "See docs.docker.com/build/concepts/context, .dockerignore files.", Err: err}
		}
		return m, nil
	}
	return patternmatcher.New(nil)
}

// choose lists what goes into the context.
func (c *buildContext) choose(dockerfile string, only map[string]bool) error {
	ignored, err := c.ignored(dockerfile)
	if err != nil {
		return err
	}
	parents := map[string]patternmatcher.MatchInfo{}
	return filepath.WalkDir(c.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("read build context: %w", err)
		}
		rel, err := filepath.Rel(c.dir, name)
		if err != nil || rel == "." {
			return err
		}
		left, info, err := ignored.MatchesUsingParentResults(rel, parents[filepath.Dir(rel)])
		if err != nil {
			return fmt.Errorf("read build context: %w", err)
		}
		if d.IsDir() {
			parents[rel] = info
			if left && !reaches(ignored, filepath.ToSlash(rel)) {
				return filepath.SkipDir
			}
			// Without --tracked, empty directories count too.
			if !left && only == nil {
				c.paths = append(c.paths, filepath.ToSlash(rel))
			}
			return nil
		}
		if left || only != nil && !only[rel] || d.Type()&(fs.ModeSocket|fs.ModeDevice|fs.ModeNamedPipe) != 0 {
			return nil
		}
		size, err := d.Info()
		if err != nil {
			return fmt.Errorf("read build context: %w", err)
		}
		c.paths = append(c.paths, filepath.ToSlash(rel))
		c.report.Files++
		if size.Mode().IsRegular() {
			c.report.Bytes += size.Size()
		}
		return nil
	})
}

// reaches reports whether a pattern that takes files back in may be about one
// below a directory that is left out.
func reaches(m *patternmatcher.PatternMatcher, dir string) bool {
	if !m.Exclusions() {
		return false
	}
	for _, p := range m.Patterns() {
		if !p.Exclusion() {
			continue
		}
		text := filepath.ToSlash(p.String())
		if strings.HasPrefix(text+"/", dir+"/") || strings.ContainsAny(text, `*?[\`) {
			return true
		}
	}
	return false
}

// tar is the context as an archive for the root of a container. It reads the
// files while it is read.
func (c *buildContext) tar() io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		pack := tar.NewWriter(w)
		err := pack.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(contextDir, "/") + "/", Mode: 0o755})
		for _, name := range c.paths {
			if err != nil {
				break
			}
			err = c.pack(pack, name)
		}
		w.CloseWithError(errors.Join(err, pack.Close()))
	}()
	return r
}

func (c *buildContext) pack(pack *tar.Writer, name string) error {
	file := filepath.Join(c.dir, filepath.FromSlash(name))
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	// Whose the files are here means nothing there.
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = strings.TrimPrefix(path.Join(contextDir, name), "/"), 0, 0, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if err := pack.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := io.Copy(pack, io.LimitReader(f, h.Size)); err != nil {
		return err
	} else if n < h.Size {
		return fmt.Errorf("%s became shorter while it was read", name)
	}
	return nil
}
