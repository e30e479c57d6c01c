package runner

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/fault"
)

// tree writes files below a new directory; a name with -> is a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		link, target, isLink := strings.Cut(name, "->")
		at := filepath.Join(dir, filepath.FromSlash(link))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		err := os.WriteFile(at, []byte(text), 0o640)
		if isLink {
			_ = os.Remove(at)
			err = os.Symlink(target, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sent is what the Engine would get, without directories.
func sent(t *testing.T, s Source, dockerfile string) (map[string]string, *buildContext) {
	t.Helper()
	c, err := s.open(t.Context(), dockerfile)
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	t.Cleanup(c.close)
	pack := c.tar()
	defer pack.Close()
	files := map[string]string{}
	for r := tar.NewReader(pack); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, c
		}
		if err != nil {
			t.Fatal(err)
		}
		name, below := strings.CutPrefix(h.Name, "hepta/context/")
		if !below {
			t.Fatalf("%s is outside of the context", h.Name)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d:%d %q", name, h.Uid, h.Gid, h.Uname)
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			files[name] = "-> " + h.Linkname
		case tar.TypeReg:
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(b)
		}
	}
}

func namesOf(files map[string]string) []string {
	var list []string
	for name := range files {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// .dockerignore counts as with docker build, the Dockerfile's own one more
// than the common one, and neither hides the Dockerfile.
func TestBuildContextIgnores(t *testing.T) {
	dir := tree(t, map[string]string{
		"Dockerfile": "FROM scratch", "app/Dockerfile.dev": "FROM scratch", "app/Dockerfile.dev.dockerignore": "app/*.go\n*.log\n",
		".dockerignore": "# comment\n*\n!src\n**/*.log\n!src/keep.log\nsrc/deep\n!src/deep/er/here\n",
		"src/main.go":   "package main", "src/a.log": "a", "src/keep.log": "k", "src/deep/x": "x", "src/deep/er/here": "h", "src/deep/er/not": "n",
		"app/main.go": "m", "app/x": "x", "top.log": "t", "node_modules/a/b": "b", "app/to->../src": "",
	})
	for _, c := range []struct {
		dockerfile string
		want       []string
	}{
		{"Dockerfile", []string{".dockerignore", "Dockerfile", "src/deep/er/here", "src/keep.log", "src/main.go"}},
		{"app/Dockerfile.dev", []string{".dockerignore", "Dockerfile", "app/Dockerfile.dev", "app/Dockerfile.dev.dockerignore", "app/to", "app/x",
			"node_modules/a/b", "src/a.log", "src/deep/er/here", "src/deep/er/not", "src/deep/x", "src/keep.log", "src/main.go"}},
	} {
		files, b := sent(t, Source{Dir: dir}, c.dockerfile)
		if diff := cmp.Diff(c.want, namesOf(files)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.dockerfile, diff)
		}
		if b.report.Files != len(c.want) || b.report.VCS != "" {
			t.Errorf("%s: the report is %+v", c.dockerfile, b.report)
		}
		if link, there := files["app/to"]; there && link != "-> ../src" {
			t.Errorf("a link became %q", link)
		}
	}
}

// commit makes a repository of everything that lies in dir.
func commit(t *testing.T, kind, dir string) {
	t.Helper()
	scripts := map[string]string{
		"git": `git init -q -b main . && git add -A && git -c user.name=a -c user.email=a@b commit -qm one && git tag v1`,
		"hg":  `hg init . && hg addremove -q && hg commit -q -u a -m one && hg tag -q -u a -r tip v1`,
	}
	cmd := exec.Command("sh", "-ec", scripts[kind])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HGPLAIN=1", "HGRCPATH=", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A working copy has three contexts: as it lies there, what is tracked as it
// is now, and what was committed. Each is that of a directory in it, too.
func TestBuildContextOfWorkingCopy(t *testing.T) {
	for _, kind := range []string{"git", "hg"} {
		t.Run(kind, func(t *testing.T) {
			dir := tree(t, map[string]string{
				"sub/Dockerfile": "FROM a\nFROM --platform=linux/amd64 b AS c\nCOPY --from=d / /\nRUN --mount=type=bind,from=e true", "sub/.dockerignore": "*.md",
				"sub/kept": "committed", "sub/removed": "r", "sub/README.md": "m", "other": "o",
			})
			commit(t, kind, dir)
			sub := filepath.Join(dir, "sub")
			for name, text := range map[string]string{"kept": "changed", "new": "untracked", "new.md": "ignored"} {
				if err := os.WriteFile(filepath.Join(sub, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(filepath.Join(sub, "removed")); err != nil {
				t.Fatal(err)
			}
			base := map[string]string{"Dockerfile": "", ".dockerignore": "", "kept": ""}
			for _, c := range []struct {
				source   Source
				want     map[string]string
				modified bool
			}{
				{Source{Dir: sub}, map[string]string{"kept": "changed", "new": "untracked"}, true},
				{Source{Dir: sub, Tracked: true}, map[string]string{"kept": "changed"}, true},
				{Source{Dir: sub, Revision: "v1"}, map[string]string{"kept": "committed", "removed": "r"}, false},
			} {
				files, b := sent(t, c.source, "Dockerfile")
				for name, text := range c.want {
					if files[name] != text {
						t.Errorf("%+v: %s holds %q, want %q", c.source, name, files[name], text)
					}
					delete(files, name)
				}
				for name := range files {
					if _, known := base[name]; !known {
						t.Errorf("%+v: %s was sent", c.source, name)
					}
				}
				r := b.report
				if r.VCS != kind || len(r.Revision) != 40 || r.Modified != c.modified {
					t.Errorf("%+v: the report is %+v", c.source, r)
				}
				if diff := cmp.Diff([]string{"a", "b", "d", "e"}, b.bases); diff != "" {
					t.Errorf("base images: %s", diff)
				}
				if b.temp != "" {
					b.close()
					if _, err := os.Stat(b.temp); !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s is left: %v", b.temp, err)
					}
				}
			}
			whole, _ := sent(t, Source{Dir: dir, Revision: "v1"}, "sub/Dockerfile")
			want := []string{"other", "sub/.dockerignore", "sub/Dockerfile", "sub/README.md", "sub/kept", "sub/removed"}
			if diff := cmp.Diff(want, slices.DeleteFunc(namesOf(whole), func(name string) bool { return name == ".hgtags" })); diff != "" {
				t.Errorf("the whole of a commit: -want +got:\n%s", diff)
			}
			for _, c := range []struct {
				source           Source
				dockerfile, want string
			}{
				{Source{Dir: sub, Revision: "nowhere"}, "Dockerfile", "the repository has no such revision"},
				{Source{Dir: dir, Revision: "v1"}, "Dockerfile", "no file Dockerfile at v1"},
				{Source{Dir: sub, Tracked: true}, "new", "new is not tracked"},
			} {
				if _, err := c.source.open(t.Context(), c.dockerfile); err == nil || !strings.Contains(err.Error(), c.want) || fault.Remedy(err) == "" {
					t.Errorf("got %v, want %s", err, c.want)
				}
			}
		})
	}
}

// A revision is no option of the programs.
func TestBuildContextRevisionIsNoOption(t *testing.T) {
	for _, kind := range []string{"git", "hg"} {
		dir := tree(t, map[string]string{"Dockerfile": "FROM scratch"})
		commit(t, kind, dir)
		made := filepath.Join(dir, "made")
		for _, revision := range []string{"--output=" + made, "--config=ui.merge=x", "-h"} {
			if _, err := (Source{Dir: dir, Revision: revision}).open(t.Context(), "Dockerfile"); err == nil {
				t.Errorf("%s takes the revision %q", kind, revision)
			}
		}
		if _, err := os.Stat(made); err == nil {
			t.Errorf("%s wrote a file", kind)
		}
	}
}
