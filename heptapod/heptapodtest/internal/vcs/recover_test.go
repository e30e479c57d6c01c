package vcs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hg is killed between the beginning of its transaction and its end, git while
// it holds its locks: after Recover both take pushes again, and of the push
// that was cut off nothing is there.
func TestRecover(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/hg", Hg)
	f.create(t, "g/git", Git)
	c.run("hg", "init", "h")
	h := c.in("h")
	h.write("a", "1")
	h.run("hg", "commit", "-Aqm", "whole")
	h.run("hg", "push", "-q", f.as("ann")+"/g/hg")
	h.write("a", "2")
	h.run("hg", "commit", "-qm", "cut off")
	dir, _, err := f.locate("g/hg")
	if err != nil {
		t.Fatal(err)
	}
	h.run("hg", "bundle", "-q", "--base", "0", "cut.hg")
	if out, err := h.try("hg", "-R", dir, "--config", "hooks.pretxnclose=kill -9 $PPID", "unbundle", "cut.hg"); err == nil {
		t.Fatalf("hg was not killed: %s", out)
	}
	if out, err := h.try("hg", "push", "-q", f.as("ann")+"/g/hg"); err == nil {
		t.Fatalf("nothing to recover from: %s", out)
	}
	c.run("git", "init", "-q", "-b", "trunk", "g")
	g := c.in("g")
	g.run("git", "commit", "-q", "--allow-empty", "-m", "x")
	bare, _, err := f.locate("g/git")
	if err != nil {
		t.Fatal(err)
	}
	g.run("git", "push", "-q", bare, "trunk") // its server was killed before it looked at HEAD
	g.run("git", "commit", "-q", "--allow-empty", "-m", "y")
	for _, name := range []string{"refs/heads/trunk.lock", "HEAD.lock", "packed-refs.lock", "objects/tmp_objdir-incoming-x/pack"} {
		name = filepath.Join(bare, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := g.try("git", "push", "-q", f.as("ann")+"/g/git", "trunk"); err == nil {
		t.Fatalf("nothing to recover from: %s", out)
	}

	f.create(t, "g/broken", Git)
	broken, _, err := f.locate("g/broken")
	if err == nil {
		err = os.Remove(filepath.Join(broken, "HEAD"))
	}
	if err != nil {
		t.Fatal(err)
	}
	damaged, err := f.Recover(t.Context())
	if err != nil || damaged == nil || !strings.Contains(damaged.Error(), "g/broken.git") || strings.Contains(damaged.Error(), "g/git") {
		t.Fatalf("recovered with damage %v, error %v", damaged, err)
	}
	list, err := f.Commits(t.Context(), "g/hg", "branch/default", 0)
	if err != nil || len(list) != 1 || list[0].Title != "whole" {
		t.Errorf("after the recovery: %+v, %v", list, err)
	}
	h.run("hg", "push", "-q", f.as("ann")+"/g/hg")
	g.run("git", "push", "-q", f.as("ann")+"/g/git", "trunk")
	if list, err := f.Commits(t.Context(), "g/git", "HEAD", 0); err != nil || len(list) != 2 {
		t.Errorf("the default branch after the recovery: %+v, %v", list, err)
	}
	if _, err := os.Stat(filepath.Join(bare, "objects", "tmp_objdir-incoming-x")); err == nil {
		t.Error("objects of a push that was cut off are left")
	}
}

// Programs outlive the process that started them by a little: whoever comes
// next does not touch their repositories until they are over.
func TestRecoverWaitsForStragglers(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Hg)
	recovers := func(s *store, ctx context.Context) error {
		damaged, err := s.Recover(ctx)
		return errors.Join(damaged, err)
	}
	if err := recovers(f.store, t.Context()); err != nil {
		t.Fatal(err)
	}
	in, feed := io.Pipe()
	out, heard := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := f.SSH(context.Background(), "hg -R g/p serve --stdio", "ann", func(string, bool) error { return nil }, in, heard, io.Discard)
		ended <- err
	}()
	if _, err := io.WriteString(feed, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it serves
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	f.Close()

	next, err := open(f.root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.Close)
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := recovers(next, soon); err == nil || !strings.Contains(err.Error(), "still work on it") {
		t.Errorf("recovered beside a program that runs: %v", err)
	}
	feed.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := recovers(next, t.Context()); err != nil {
		t.Error(err)
	}
}

// A worker that dies is followed by another one.
func TestWorkerThatDies(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Hg)
	if err := f.worker.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.worker.process.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, f.url+"/g/p?cmd=branchmap"); status != 200 {
		t.Errorf("after the worker's death: %d %s", status, body)
	}
	f.Close()
	if err := f.hgInit(t.Context(), filepath.Join(t.TempDir(), "r")); err == nil {
		t.Error("a closed store started a worker")
	}
}

// A Python without Mercurial's modules is told by its name.
func TestWorkerThatCannotStart(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	err := f.hgOutput(t.Context(), mercurial{python: "/bin/false"}, []string{"--version"}, into(&bytes.Buffer{}))
	if err == nil || !strings.Contains(err.Error(), "/bin/false") {
		t.Errorf("hg without its modules: %v", err)
	}
}

func TestRequestsThatBreakOff(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Hg)
	m, err := f.hg()
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.worker.start(m.python, f.env, []string{"--version", "-q"})
	if err != nil {
		t.Fatal(err)
	}
	p.close() // its answer has nowhere to go
	var out bytes.Buffer
	if err := f.hgOutput(t.Context(), m, []string{"--version", "-q"}, into(&out)); err != nil || !strings.Contains(out.String(), "Mercurial") {
		t.Errorf("after a request that broke off: %q, %v", out.String(), err)
	}
}
