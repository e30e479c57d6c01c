package vcs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSnapshotOfMercurial(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/p", Hg)
	c.run("hg", "init", "w")
	w := c.in("w")
	text := map[string]string{
		"crlf.txt":             "a\r\nb\r\n",
		".gitattributes":       "* text=auto eol=lf\n*.txt filter=x ident\n",
		".gitignore":           "*\n",
		"id.txt":               "$Id$\n",
		"dir/with \"q\" \\ é":  "x",
		"empty":                "",
		"run.sh":               "#!/bin/sh\n",
		"sub/.git/hooks/x":     "evil",
		"sub/.gitmodules.like": "y",
	}
	for name, content := range text {
		w.write(name, content)
	}
	if err := os.Chmod(filepath.Join(w.dir, "run.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("crlf.txt", filepath.Join(w.dir, "link")); err != nil {
		t.Fatal(err)
	}
	w.run("hg", "commit", "-Aq", "-u", "weird <<user>\x01", "-m", "Message\n\n# not a comment")
	w.run("hg", "push", f.as("ann")+"/g/p")
	head, err := f.Commit(t.Context(), "g/p", "branch/default")
	if err != nil {
		t.Fatal(err)
	}

	one, err := f.Snapshot(t.Context(), "g/p", "branch/default", 1)
	if err != nil {
		t.Fatal(err)
	}
	two, err := f.Snapshot(t.Context(), "g/p", head.ID, 2)
	if err != nil || two != one {
		t.Errorf("the same changeset gave %s and %s, %v", one, two, err)
	}
	elsewhere := newForge(t)
	elsewhere.create(t, "other", Hg)
	w.run("hg", "push", elsewhere.as("ann")+"/other")
	three, err := elsewhere.Snapshot(t.Context(), "other", head.ID, 3)
	if err != nil || three != one {
		t.Errorf("another store gave %s for %s, %v", three, one, err)
	}

	c.run("git", "init", "-q", "got")
	got := c.in("got")
	got.run("git", "fetch", "-q", "--depth", "20", f.url+"/g/p.git", "+refs/pipelines/2:refs/pipelines/2")
	if id := got.run("git", "rev-parse", "refs/pipelines/2"); id != one {
		t.Errorf("fetched %s, want %s", id, one)
	}
	if n := got.run("git", "rev-list", "--count", one); n != "1" {
		t.Errorf("%s commits", n)
	}
	if m := got.run("git", "log", "-1", "--format=%B", one); m != "Message\n\n# not a comment" {
		t.Errorf("message %q", m)
	}
	delete(text, "sub/.git/hooks/x")
	text["link"] = "crlf.txt"
	seen := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(got.run("git", "ls-tree", "-rz", one), "\x00"), "\x00") {
		meta, name, _ := strings.Cut(entry, "\t")
		mode, rest, _ := strings.Cut(meta, " ")
		blob := strings.Fields(rest)[1]
		raw, err := gitRepo{f.store, filepath.Join(f.root, snapshotDir, "g/p.git")}.run(t.Context(), "cat-file", "blob", blob)
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = string(raw)
		want := map[string]string{"run.sh": "100755", "link": "120000"}[name]
		if want == "" {
			want = "100644"
		}
		if mode != want {
			t.Errorf("%s has mode %s, want %s", name, mode, want)
		}
	}
	if d := cmp.Diff(text, seen); d != "" {
		t.Error(d)
	}
	if out := c.run("git", "ls-remote", f.url+"/g/p.git"); strings.Contains(out, "refs/snapshots") {
		t.Errorf("own refs are shown: %s", out)
	}
	if out, err := got.try("git", "push", f.as("ann")+"/g/p.git", one+":refs/heads/x"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("push to a snapshot: %v\n%s", err, out)
	}

	w.run("hg", "rm", "-qf", ".")
	w.run("hg", "commit", "-qm", "Empty")
	w.run("hg", "push", f.as("ann")+"/g/p")
	four, err := f.Snapshot(t.Context(), "g/p", "branch/default", 4)
	if err != nil || four == one {
		t.Errorf("empty tree: %s, %v", four, err)
	}
	if err := f.Remove(t.Context(), "g/p"); err != nil {
		t.Error(err)
	}
	if code, _ := get(t, f.url+"/g/p.git/info/refs?service=git-upload-pack"); code != 404 {
		t.Errorf("after removal: %d", code)
	}
}
