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

func TestMercurialOverHTTP(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/sub/p", Hg)
	c.run("hg", "clone", f.as("ann")+"/g/sub/p", "w")
	w := c.in("w")
	w.write("a b.txt", "one\n")
	w.write("dir/é.txt", "two\n")
	w.run("hg", "commit", "-Aqm", "First\n\nWith \"quotes\" and é")
	w.run("hg", "tag", "v1.0")
	w.run("hg", "branch", "-q", "stable")
	w.write("a b.txt", "three\n")
	w.run("hg", "commit", "-qm", "On stable")
	w.run("hg", "branch", "-q", "gone")
	w.run("hg", "commit", "-qm", "To be closed")
	w.run("hg", "commit", "--close-branch", "-qm", "Close")
	w.run("hg", "push", "--new-branch", f.as("ann")+"/g/sub/p")

	refs, err := f.Refs(t.Context(), "g/sub/p")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(refs), "branch/default branch/stable tag:v1.0"; got != want {
		t.Fatalf("refs %q, want %q", got, want)
	}
	if got, want := refs[1].ID, w.run("hg", "log", "-r", "max(desc('On stable'))", "-T", "{node}"); got != want {
		t.Errorf("stable is %s, want %s", got, want)
	}
	commit, err := f.Commit(t.Context(), "g/sub/p", "v1.0")
	if err != nil {
		t.Fatal(err)
	}
	if commit.Title != "First" || commit.Message != "First\n\nWith \"quotes\" and é" || commit.Author != "Ann <ann@example.org>" || commit.Branch != "default" || len(commit.Parents) != 0 {
		t.Errorf("commit %+v", commit)
	}
	list, err := f.Commits(t.Context(), "g/sub/p", "branch/stable", 0)
	if err != nil || len(list) != 3 || list[0].Title != "On stable" || list[0].Parents[0] != list[1].ID {
		t.Errorf("commits %+v, %v", list, err)
	}
	files, err := f.Files(t.Context(), "g/sub/p", refs[2].ID[:12])
	if d := cmp.Diff([]string{"a b.txt", "dir/é.txt"}, files); d != "" || err != nil {
		t.Errorf("files %v %s", err, d)
	}
	changed, err := f.Changed(t.Context(), "g/sub/p", "branch/default", "branch/stable")
	if d := cmp.Diff([]string{"a b.txt"}, changed); d != "" || err != nil {
		t.Errorf("changed %v %s", err, d)
	}
	if changed, err := f.Changed(t.Context(), "g/sub/p", Zero, "v1.0"); changed != nil || err != nil {
		t.Errorf("changed from nothing: %v %v", changed, err)
	}
	if phase := w.run("hg", "phase", "-r", "tip"); !strings.HasSuffix(phase, "public") {
		t.Errorf("after the push: %s", phase)
	}
	again := newClient(t)
	again.run("hg", "clone", f.url+"/g/sub/p", "w")
	if b, err := os.ReadFile(filepath.Join(again.dir, "w", "dir", "é.txt")); string(b) != "two\n" || err != nil {
		t.Errorf("cloned %q, %v", b, err)
	}
}

func TestMercurialFile(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Hg)
	c.run("hg", "clone", f.as("ann")+"/g/p", "w")
	w := c.in("w")
	binary := "\x00\xff\r\n{node}\n"
	w.write("dir/bin", binary)
	w.write("--config=x", "dash\n")
	w.write("re:.*", "pattern\n")
	w.run("hg", "commit", "-Aqm", "x")
	w.run("hg", "push", f.as("ann")+"/g/p")
	for name, want := range map[string]string{"dir/bin": binary, "--config=x": "dash\n", "re:.*": "pattern\n"} {
		got, err := f.File(t.Context(), "g/p", "branch/default", name)
		if string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	f.lacksFiles(t, "g/p", "branch/default", "dir", "none", "", ".", "../x", "/dir/bin", "set:all()", "glob:*")
	f.lacksRevisions(t, "g/p", "branch/none", strings.Repeat("a", 40), "aaaaaaa", "--help", "all()", "tip", "0")
}

func TestMercurialPushNeedsWrite(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Hg)
	c.run("hg", "clone", f.url+"/g/p", "w")
	w := c.in("w")
	w.write("a", noise(2<<20)) // beyond what a server swallows unread
	w.run("hg", "commit", "-Aqm", "x")
	out, err := w.try("hg", "push", f.as("bob")+"/g/p")
	if err == nil || !strings.Contains(out, "403") {
		t.Errorf("bob's push: %v\n%s", err, out)
	}
	if refs, err := f.Refs(t.Context(), "g/p"); len(refs) != 0 || err != nil {
		t.Errorf("refs after a refused push: %v %v", refs, err)
	}
	if out, err := w.try("hg", "push"); err == nil || !strings.Contains(out, "authorization") {
		t.Errorf("push without a name: %v\n%s", err, out)
	}
	w.run("hg", "push", f.as("ann")+"/g/p")
	if refs, err := f.Refs(t.Context(), "g/p"); names(refs) != "branch/default" || err != nil {
		t.Errorf("refs after the push: %v %v", refs, err)
	}
}

// Even if this package took a push for a read, hg itself refuses it.
func TestMercurialRefusesByItself(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Hg)
	c.run("hg", "init", "w")
	w := c.in("w")
	w.write("a", "1")
	w.run("hg", "commit", "-Aqm", "x")
	dir, _, err := f.locate("g/p")
	if err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "HGRCPATH="+hgrcPath(f.private, false))
	if out, err := w.try("hg", "push", dir); err == nil || !strings.Contains(out, "readonly") {
		t.Errorf("push with the reader's configuration: %v\n%s", err, out)
	}
}

func TestConcurrentMercurialPushes(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Hg)
	const pushers = 4
	var wg sync.WaitGroup
	for i := range pushers {
		c := newClient(t)
		c.run("hg", "init", "w")
		w := c.in("w")
		w.run("hg", "branch", "-q", fmt.Sprintf("b%d", i))
		w.write(fmt.Sprintf("f%d", i), "x")
		w.run("hg", "commit", "-Aqm", "x")
		wg.Go(func() {
			// A push that meets another one is told to try again.
			for range 20 {
				if out, err := w.try("hg", "push", "-f", "--new-branch", f.as("ann")+"/g/p"); err == nil {
					return
				} else if !strings.Contains(out, "try again") && !strings.Contains(out, "repository changed") {
					t.Errorf("push: %v\n%s", err, out)
					return
				}
			}
			t.Error("twenty pushes were turned away")
		})
	}
	wg.Wait()
	refs, err := f.Refs(t.Context(), "g/p")
	if got := names(refs); got != "branch/b0 branch/b1 branch/b2 branch/b3" || err != nil {
		t.Errorf("refs %q, %v", got, err)
	}
}

// Topics are there only with their extension; a client that knows them is then
// on this host as well.
func TestTopics(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Hg)
	m, err := f.hg()
	if err != nil {
		t.Fatal(err)
	}
	want := "branch/default"
	c.run("hg", "init", "w")
	w := c.in("w")
	w.write("a", "1")
	w.run("hg", "commit", "-Aqm", "base")
	if m.topics {
		want = "branch/default topic/default/feature"
		w.env = append(w.env, "HGRCPATH="+hgrcPath(f.private, true), "HGUSER=Ann", "PYTHONPATH="+os.Getenv("PYTHONPATH"))
		w.run("hg", "topic", "-q", "feature")
		w.write("b", "2")
		w.run("hg", "commit", "-Aqm", "on a topic")
	}
	w.run("hg", "push", f.as("ann")+"/g/p")
	refs, err := f.Refs(t.Context(), "g/p")
	if got := names(refs); got != want || err != nil {
		t.Errorf("refs %q, %v, want %q", got, err, want)
	}
	phases := map[string]string{"branch/default": "public", "topic/default/feature": "draft"}
	for _, r := range refs {
		if out := w.run("hg", "phase", "-r", r.ID); !strings.HasSuffix(out, phases[r.Name]) {
			t.Errorf("%s is %s", r.Name, out)
		}
	}
}
