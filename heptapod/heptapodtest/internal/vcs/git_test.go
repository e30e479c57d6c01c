package vcs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGitOverHTTP(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Git)
	c.run("git", "clone", f.as("ann")+"/g/p.git", "w")
	w := c.in("w")
	w.run("git", "checkout", "-qb", "main")
	w.write("a b.txt", "one\n")
	w.write("dir/é.txt", "two\n")
	w.run("git", "add", ".")
	w.run("git", "commit", "-qm", "First\n\nBody")
	w.run("git", "tag", "-am", "annotated", "v1.0")
	w.run("git", "tag", "light")
	w.run("git", "checkout", "-qb", "feature/x")
	w.write("a b.txt", "three\n")
	w.run("git", "commit", "-qam", "Second")
	w.run("git", "push", "-q", "--all")
	w.run("git", "push", "-q", "--tags")

	refs, err := f.Refs(t.Context(), "g/p")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(refs), "main feature/x tag:light tag:v1.0"; got != want {
		t.Fatalf("refs %q, want %q", got, want)
	}
	if refs[0].ID != refs[2].ID || refs[0].ID != refs[3].ID {
		t.Errorf("tags are not peeled: %v", refs)
	}
	commit, err := f.Commit(t.Context(), "g/p", "")
	if err != nil || commit.Title != "First" || commit.Message != "First\n\nBody\n" || commit.Author != "Ann <ann@example.org>" || len(commit.Parents) != 0 {
		t.Errorf("commit %+v, %v", commit, err)
	}
	list, err := f.Commits(t.Context(), "g/p", "feature/x", 5)
	if err != nil || len(list) != 2 || list[0].Parents[0] != list[1].ID {
		t.Errorf("commits %+v, %v", list, err)
	}
	files, err := f.Files(t.Context(), "g/p", refs[0].ID[:8])
	if d := cmp.Diff([]string{"a b.txt", "dir/é.txt"}, files); d != "" || err != nil {
		t.Errorf("files %v %s", err, d)
	}
	changed, err := f.Changed(t.Context(), "g/p", refs[0].ID, "feature/x")
	if d := cmp.Diff([]string{"a b.txt"}, changed); d != "" || err != nil {
		t.Errorf("changed %v %s", err, d)
	}
	if got, err := f.File(t.Context(), "g/p", "feature/x", "a b.txt"); string(got) != "three\n" || err != nil {
		t.Errorf("file %q, %v", got, err)
	}
	f.lacksFiles(t, "g/p", "main", "dir", "none", "", "*", ":(top)a b.txt", "../x")
	f.lacksRevisions(t, "g/p", "none", strings.Repeat("a", 40), "main~0", "--all", "HEAD^")
	id, err := f.Snapshot(t.Context(), "g/p", "feature/x", 7)
	if err != nil || id != refs[1].ID {
		t.Errorf("snapshot %s, %v", id, err)
	}
	again := newClient(t)
	again.run("git", "init", "-q", "w")
	again.in("w").run("git", "fetch", "-q", "--depth", "1", f.url+"/g/p.git", "+refs/pipelines/7:refs/pipelines/7")
	if got := again.in("w").run("git", "rev-parse", "refs/pipelines/7"); got != id {
		t.Errorf("fetched %s, want %s", got, id)
	}
	if out, err := w.try("git", "push", "-q", "origin", "main:refs/pipelines/9"); err == nil {
		t.Errorf("a client wrote a pipeline's ref: %s", out)
	}
}

func TestGitTakesTheFirstBranchForItsDefault(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Git)
	c.run("git", "init", "-q", "-b", "trunk", "w")
	c.in("w").run("git", "commit", "-q", "--allow-empty", "-m", "x")
	c.in("w").run("git", "push", "-q", f.as("ann")+"/g/p.git", "trunk")
	c.run("git", "clone", "-q", f.url+"/g/p", "again")
	if got := c.in("again").run("git", "branch", "--show-current"); got != "trunk" {
		t.Errorf("cloned onto %q", got)
	}
}

func TestGitPushNeedsWrite(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Git)
	c.run("git", "init", "-q", "w")
	w := c.in("w")
	w.run("git", "commit", "-q", "--allow-empty", "-m", "x")
	if out, err := w.try("git", "push", f.as("bob")+"/g/p.git", "main"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("bob's push: %v\n%s", err, out)
	}
	w.run("git", "push", "-q", f.as("ann")+"/g/p.git", "main")
}

// A body beyond http.postBuffer comes in chunks, and a negotiation in gzip.
func TestLargeGitPush(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Git)
	c.run("git", "init", "-q", "w")
	w := c.in("w")
	text := noise(8 << 20)
	w.write("noise", text)
	w.run("git", "add", ".")
	w.run("git", "commit", "-qm", "x")
	w.run("git", "push", "-q", f.as("ann")+"/g/p.git", "main")
	c.run("git", "clone", "-q", f.url+"/g/p.git", "again")
	got, err := os.ReadFile(filepath.Join(c.dir, "again", "noise"))
	if err != nil || string(got) != text {
		t.Errorf("came back with %d bytes, %v", len(got), err)
	}
}

func TestConcurrentGitPushes(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Git)
	var wg sync.WaitGroup
	for i := range 4 {
		c := newClient(t)
		c.run("git", "init", "-q", "-b", fmt.Sprintf("b%d", i), "w")
		c.in("w").run("git", "commit", "-q", "--allow-empty", "-m", "x")
		wg.Go(func() {
			if out, err := c.in("w").try("git", "push", "-q", f.as("ann")+"/g/p.git", "HEAD"); err != nil {
				t.Errorf("push: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	refs, err := f.Refs(t.Context(), "g/p")
	if len(refs) != 4 || err != nil {
		t.Errorf("refs %v, %v", refs, err)
	}
}
