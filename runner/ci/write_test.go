package ci_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/runner/ci"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Of several at once one writes and the others find it done: nobody's file is
// replaced, and nothing half written can be seen or is left.
func TestWriteAtOnce(t *testing.T) {
	dir := t.TempDir()
	var written atomic.Int32
	var group sync.WaitGroup
	drafts := []ci.Draft{{Mode: runner.Dind}, {Mode: runner.Socket}}
	for i := range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			files, err := drafts[i%2].Write(dir, false)
			switch {
			case err != nil && !errors.Is(err, fs.ErrExist):
				t.Error(err)
			case len(files) > 0 && files[0].Outcome == ci.Written:
				written.Add(1)
			}
		}()
	}
	group.Wait()
	if n := written.Load(); n != 1 {
		t.Errorf("%d wrote the pipeline", n)
	}
	got := read(t, filepath.Join(dir, ci.PipelineFile))
	whole := false
	for _, d := range drafts {
		text, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		whole = whole || string(text) == got
	}
	if !whole {
		t.Errorf("wrote\n%s", got)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 2 {
		t.Errorf("left %v, %v", left, err)
	}
}

// What is there stays, also where it cannot be read as a file, and a link is
// not written through.
func TestWriteLeavesAlone(t *testing.T) {
	d := ci.Draft{Mode: runner.Dind}
	t.Run("another pipeline", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, ci.PipelineFile)
		put(t, path, "mine: {script: [make]}\n")
		_, err := d.Write(dir, false)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(fault.Describe(err), "\n- mine: {script: [make]}\n") || fault.Remedy(err) == "" {
			t.Errorf("got %s", fault.Describe(err))
		}
		if got := read(t, path); got != "mine: {script: [make]}\n" {
			t.Errorf("it is\n%s", got)
		}
		if _, err := os.Lstat(filepath.Join(dir, ci.Dockerfile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a Dockerfile was written all the same: %v", err)
		}
	})
	t.Run("a link to nowhere", func(t *testing.T) {
		dir := t.TempDir()
		aim := filepath.Join(t.TempDir(), "aim")
		if err := os.Symlink(aim, filepath.Join(dir, ci.PipelineFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(dir, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Lstat(aim); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("something was written where the link leads: %v", err)
		}
	})
	t.Run("a directory", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, ci.PipelineFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(dir, true); err == nil {
			t.Error("wrote over a directory")
		}
	})
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ci.PipelineFile)
	put(t, path, "mine: {script: [make]}\n")
	put(t, filepath.Join(dir, ci.Dockerfile), "FROM scratch\n")
	files, err := ci.Draft{Mode: runner.Dind}.Write(dir, true)
	if err != nil || len(files) != 2 || files[0].Outcome != ci.Replaced || files[1].Outcome != ci.Kept {
		t.Fatalf("%+v, %v", files, err)
	}
	want, err := ci.Draft{Mode: runner.Dind}.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != string(want) {
		t.Errorf("it is\n%s", got)
	}
	if got := read(t, filepath.Join(dir, ci.Dockerfile)); got != "FROM scratch\n" {
		t.Errorf("the Dockerfile is\n%s", got)
	}
}
