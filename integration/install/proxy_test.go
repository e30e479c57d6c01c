package install

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const modulePath = "github.com/heptaup/hepta"

// root is the module's directory in the clone.
const root = "../.."

// tracked is a file of the working tree, as a file of a module.
type tracked string

func (f tracked) Path() string                 { return string(f) }
func (f tracked) Lstat() (os.FileInfo, error)  { return os.Lstat(filepath.Join(root, string(f))) }
func (f tracked) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(root, string(f))) }

// trackedFiles lists what git tracks, and what it will once it is added.
func trackedFiles(t *testing.T) []zip.File {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	list, err := git.Output()
	if err != nil {
		t.Fatalf("ask git what it tracks: %v", err)
	}
	var files []zip.File
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil { // one that was deleted is listed until that is committed
			files = append(files, tracked(name))
		}
	}
	return files
}

// published is the module on a proxy of its own.
type published struct {
	version string
	env     []string // of the go command, and of hepta, which starts it
	// Patterns of what the version leaves in the module cache.
	unpacked, downloaded string
}

// publish puts the working tree on a module proxy, a directory, as a version
// that nothing else has. The modules that it needs come from where they always
// come from, and are in the module cache already. The version leaves the cache
// when the test ends.
func publish(t *testing.T) published {
	t.Helper()
	version := "v0.0.0-test." + strings.ToLower(rand.Text())
	proxy, cache, module := t.TempDir(), goenv(t, "GOMODCACHE"), filepath.FromSlash(modulePath)
	dir := filepath.Join(proxy, module, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": fmt.Appendf(nil, `{"Version":%q}`, version),
		version + ".mod":  gomod,
		version + ".zip":  moduleZip(t, version),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := published{
		version:    version,
		env:        append(os.Environ(), "GOPROXY=file://"+proxy+","+goenv(t, "GOPROXY"), "GOSUMDB=off", "GOWORK=off", "GOFLAGS="),
		unpacked:   filepath.Join(cache, module+"@"+version),
		downloaded: filepath.Join(cache, "cache", "download", module, "@v", version+".*"),
	}
	t.Cleanup(func() {
		remove(t, p.unpacked)
		remove(t, p.downloaded)
		unlist(t, filepath.Join(filepath.Dir(p.downloaded), "list"), version)
	})
	return p
}

func moduleZip(t *testing.T, version string) []byte {
	t.Helper()
	var content bytes.Buffer
	if err := zip.Create(&content, module.Version{Path: modulePath, Version: version}, trackedFiles(t)); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}

// remove removes what a pattern finds in the module cache, where directories
// are read-only.
func remove(t *testing.T, pattern string) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o755)
			}
			return err
		})
		if err == nil {
			err = os.RemoveAll(name)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// unlist takes the version out of the module cache's list of versions.
func unlist(t *testing.T, list, version string) {
	t.Helper()
	text, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(list, bytes.ReplaceAll(text, []byte(version+"\n"), nil), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

func goenv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// run runs a command in a directory and returns what it printed.
func (p published) run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, p.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}
