package heptapodtest_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// run runs a program in dir with an environment that knows nothing of the
// host's settings.
func run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := try(t, dir, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func try(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HGPLAIN=1", "HGRCPATH=/dev/null", "HGUSER=Alice <alice@example.com>", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.com", "GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.com", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func cloneURL(t testing.TB, p *heptapodtest.Project, user string) string {
	t.Helper()
	u, err := p.CloneURL(user)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

const simpleCI = "image: alpine\ntest:\n  script:\n    - echo hello\n"

// push commits the files to a project and pushes; it returns the commit's id.
// work is a clone that stays from call to call.
func push(t testing.TB, p *heptapodtest.Project, work string, files map[string]string, msg string) string {
	t.Helper()
	url := cloneURL(t, p, "root")
	if _, err := os.Stat(work); err != nil {
		if p.VCS == "hg" {
			run(t, ".", "hg", "clone", "-q", url, work)
		} else {
			run(t, ".", "git", "init", "-q", "-b", "main", work)
			run(t, work, "git", "remote", "add", "origin", url)
		}
	}
	for name, text := range files {
		write(t, filepath.Join(work, name), text)
	}
	if p.VCS == "hg" {
		run(t, work, "hg", "commit", "-q", "-A", "-m", msg)
		run(t, work, "hg", "push", "-q", url)
		return run(t, work, "hg", "log", "-r", ".", "-T", "{node}")
	}
	run(t, work, "git", "add", "-A")
	run(t, work, "git", "commit", "-q", "-m", msg)
	run(t, work, "git", "push", "-q", url, "HEAD")
	return run(t, work, "git", "rev-parse", "HEAD")
}

func branchOf(vcs string) string {
	if vcs == "hg" {
		return "branch/default"
	}
	return "main"
}

func TestPushMakesPipeline(t *testing.T) {
	for _, kind := range []string{"hg", "git"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			forge := heptapodtest.New(t)
			p := forge.CreateProject(t, "group/sub/project", kind)
			work := filepath.Join(t.TempDir(), "work")
			id := push(t, p, work, map[string]string{".gitlab-ci.yml": simpleCI}, "first")
			// When the push returns the pipeline is there.
			pl, err := forge.Pipeline(within(t), p.Path, 1)
			if err != nil {
				t.Fatal(err)
			}
			if pl.Ref != branchOf(kind) || pl.SHA != id || pl.Status != "pending" || len(pl.Jobs) != 1 {
				t.Errorf("pipeline %+v, want one pending job on %s of %s", pl, branchOf(kind), id)
			}
			// The same push again changes nothing.
			_, _ = try(t, work, kind, "push", cloneURL(t, p, "root"))
			if _, err := forge.Pipeline(within(t), p.Path, 2); err == nil {
				t.Error("pushing nothing made a pipeline")
			}
			push(t, p, work, map[string]string{"x": "x"}, "second [CI SKIP]")
			if pl, err = forge.WaitPipeline(within(t), p.Path, branchOf(kind)); err != nil || pl.Status != "skipped" || len(pl.Jobs) != 0 {
				t.Errorf("[ci skip]: %+v, %v", pl, err)
			}
			push(t, p, work, map[string]string{".gitlab-ci.yml": "test:\n  script: [}\n"}, "broken")
			if pl, err = forge.WaitPipeline(within(t), p.Path, branchOf(kind)); err != nil || pl.Status != "failed" || pl.YAMLErrors == "" {
				t.Errorf("broken file: %+v, %v", pl, err)
			}
		})
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	start := func() *heptapodtest.Server {
		s, err := heptapodtest.Start(t.Context(), heptapodtest.Config{Dir: dir, RootPassword: heptapodtest.NewSecret(heptapodtest.TestPassword)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := start()
	token, err := s.MintToken(heptapodtest.TokenRequest{User: "root", Name: "x", Scopes: []string{"api"}})
	if err != nil {
		t.Fatal(err)
	}
	runner, err := s.NewRunnerToken("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddProject(t.Context(), "g/p", "git"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start()
	c := &client{t: t, url: s.URL, token: token}
	if got := c.get("/projects/g%2Fp", http.StatusOK); got["vcs_type"] != "git" {
		t.Errorf("project after restart: %v", got)
	}
	// Tokens survive: else real runners would give up for an hour.
	c.call("POST", "/runners/verify", map[string]any{"token": runner}, http.StatusOK)
}
