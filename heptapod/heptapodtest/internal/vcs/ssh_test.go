package vcs

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestClientsOverSSH(t *testing.T) {
	t.Parallel()
	f, c := newForge(t), newClient(t)
	f.create(t, "g/hg", Hg)
	f.create(t, "g/git", Git)
	c = c.ssh(f.root, false)
	ssh := c.env[len(c.env)-2][len("GIT_SSH_COMMAND="):]

	c.run("hg", "--config", "ui.ssh="+ssh, "clone", "ssh://git@host/g/hg", "h")
	h := c.in("h")
	h.write("a", "1")
	h.run("hg", "commit", "-Aqm", "x")
	reader := h.ssh(f.root, true)
	if out, err := reader.try("hg", "--config", "ui.ssh="+ssh, "push"); err == nil || !strings.Contains(out, "readonly") {
		t.Errorf("push of a reader: %v\n%s", err, out)
	}
	h.run("hg", "--config", "ui.ssh="+ssh, "push")
	if refs, err := f.Refs(t.Context(), "g/hg"); names(refs) != "branch/default" || err != nil {
		t.Errorf("hg refs %v, %v", refs, err)
	}

	c.run("git", "clone", "-q", "git@host:g/git.git", "w")
	w := c.in("w")
	w.run("git", "checkout", "-qb", "trunk")
	w.run("git", "commit", "-q", "--allow-empty", "-m", "x")
	if out, err := w.ssh(f.root, true).try("git", "push", "-q", "origin", "trunk"); err == nil || !strings.Contains(out, "only read") {
		t.Errorf("push of a reader: %v\n%s", err, out)
	}
	w.run("git", "push", "-q", "origin", "trunk")
	if refs, err := f.Refs(t.Context(), "g/git"); names(refs) != "trunk" || err != nil {
		t.Errorf("git refs %v, %v", refs, err)
	}
	c.run("git", "clone", "-q", "ssh://git@host/g/git.git", "again")
	if got := c.in("again").run("git", "branch", "--show-current"); got != "trunk" {
		t.Errorf("cloned onto %q", got)
	}
}

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]remote{
		"hg -R g/p serve --stdio":               {"g/p", Hg, "serve"},
		"hg -R 'g/p' serve --stdio":             {"g/p", Hg, "serve"},
		`hg -R "g/p" serve --stdio`:             {"g/p", Hg, "serve"},
		"hg -R /g/p/ serve --stdio --verbose":   {"g/p", Hg, "serve"},
		"git-upload-pack 'g/p.git'":             {"g/p", Git, "upload-pack"},
		"git-upload-pack '/g/p.git'":            {"g/p", Git, "upload-pack"},
		"git upload-pack '/g/p'":                {"g/p", Git, "upload-pack"},
		"git-receive-pack 'group/sub/p.git'":    {"group/sub/p", Git, "receive-pack"},
		"git receive-pack  group/sub/p.x-y.git": {"group/sub/p.x-y", Git, "receive-pack"},
	} {
		got, err := parseCommand(command)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", command, got, err)
		}
	}
	for _, command := range []string{
		"", " ", "ls", "sh -c id", "hg", "hg -R g/p serve", "hg init g/p", "hg serve --stdio -R g/p",
		"hg -R g/p serve --stdio --config ui.debug=1", "hg -R g/p serve --stdio --config=hooks.a=id", "hg -R g/p serve --stdio x",
		"hg -R --config=alias.serve=!id serve --stdio", "hg -R bundle:x serve --stdio",
		"git-upload-pack", "git-upload-pack a b", "git-upload-pack '--help'", "git-upload-archive 'g/p.git'", "git daemon x",
		"git-upload-pack 'g/p.git'; id", "git-upload-pack $(id)", "git-upload-pack \"`id`\"", "git-upload-pack 'g/p", "git-upload-pack g/p\nid",
		"git-upload-pack '../p.git'", "git-upload-pack 'g/../p.git'", "git-upload-pack '/g//p.git'", "git-upload-pack '.store/x'", "git-upload-pack '.snapshots/g/p.git'",
		"git-upload-pack 'g/p.hg'", "git-upload-pack 'g/p.git.git'", "git-upload-pack ~root/p", "hg -R g/p/.hg serve --stdio",
	} {
		if got, err := parseCommand(command); err == nil {
			t.Errorf("%q was taken for %+v", command, got)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add("hg -R g/p serve --stdio")
	f.Add("git-upload-pack '/g/p.git'")
	f.Add(`git receive-pack "g"'/p'.git`)
	f.Fuzz(func(t *testing.T, command string) {
		q, err := parseCommand(command)
		if err != nil {
			return
		}
		if err := CheckPath(q.project); err != nil {
			t.Errorf("%q: %v", command, err)
		}
		if strings.ContainsAny(command, ";|&<>\n\x00$`") {
			t.Errorf("%q was taken", command)
		}
	})
}

func TestSSHRefusals(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/hg", Hg)
	f.create(t, "g/git", Git)
	no := errors.New("you may not")
	for _, c := range []struct{ name, command, want string }{
		{"a shell", "sh", "only hg and git"},
		{"no such project", "git-upload-pack 'g/none.git'", "not exist"},
		{"hg on git", "hg -R g/git serve --stdio", "kept with git"},
		{"git push on hg", "git-receive-pack 'g/hg.git'", "read-only"},
		{"git fetch without a snapshot", "git-upload-pack 'g/hg.git'", "no snapshot"},
		{"not allowed", "git-upload-pack 'g/secret.git'", "you may not"},
	} {
		var out, msg bytes.Buffer
		allow := func(path string, write bool) error {
			if path == "g/secret" {
				return no
			}
			return nil
		}
		exit, err := f.SSH(t.Context(), c.command, "ann", allow, strings.NewReader(""), &out, &msg)
		if exit != 1 || err == nil || !strings.Contains(msg.String(), c.want) || out.Len() != 0 {
			t.Errorf("%s: exit %d, %v, %q, %q", c.name, exit, err, msg.String(), out.String())
		}
		if c.want == "you may not" && !errors.Is(err, no) {
			t.Errorf("%s: %v hides its cause", c.name, err)
		}
	}
}

// A client may keep its side of the connection open after the program ended.
func TestSSHDoesNotWaitForTheClient(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Git)
	in, keep := io.Pipe()
	defer keep.Close()
	done := make(chan error, 1)
	var out, msg bytes.Buffer
	go func() {
		_, err := f.SSH(t.Context(), "git-upload-pack 'g/p.git'", "ann", func(string, bool) error { return nil }, in, &out, &msg)
		done <- err
	}()
	if _, err := io.WriteString(keep, "0000"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("still waiting")
	}
}
