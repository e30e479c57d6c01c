package integration

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/registry"
)

// The program on the Docker host itself, where the stack's names resolve and
// its authority is trusted by nobody yet.
func TestRegistryCommands(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t, func(c *hepta.Config) { c.Registry.TokenMinutes = 30 })
	if again := plan(t, stack); !again.Empty() {
		t.Errorf("a second up would do\n%s", again)
	}
	p := s.project(t, stack, "shelf", "git")
	ctx := t.Context()
	settings, _, err := p.api.Settings.GetSettings(gitlab.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if got := settings.ContainerRegistryTokenExpireDelay; got != 30 {
		t.Errorf("tokens last %d minutes", got)
	}
	password, err := stack.Forge().RootPassword(ctx)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, f := range []struct {
		name string
		mode int64
		text []byte
	}{{"hepta", 0o755, code}, {"hepta.yaml", 0o644, []byte(labYAML)}, {"root.secret", 0o600, []byte(password.Reveal() + "\n")}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := outer.docker.CopyToContainer(ctx, s.box.ID, "/root", &files, container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	host := engine.New(outer.docker, slog.New(slog.DiscardHandler), nil)
	run := func(want int, args ...string) string {
		t.Helper()
		r, err := host.Exec(ctx, s.box.ID, engine.ExecOptions{Cmd: append([]string{"/root/hepta"}, args...), WorkDir: "/root", Env: []string{"HOME=/root"}})
		if err != nil {
			t.Fatal(err)
		}
		if r.ExitCode != want {
			t.Fatalf("hepta %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.ExitCode, want, r.Stdout, r.Stderr)
		}
		if strings.Contains(string(r.Stdout)+string(r.Stderr), password.Reveal()) {
			t.Errorf("hepta %s shows the password", strings.Join(args, " "))
		}
		return string(r.Stdout)
	}
	root := []string{"--username", "root", "--token-file", "root.secret"}

	var report registry.Report
	text := run(0, append([]string{"registry", "check", "--json", "--repository", p.Path}, root...)...)
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, f := range report.Findings {
		seen[f.Check] = f.Saw
	}
	if !strings.HasPrefix(seen["image is removed again"], "202") || !strings.Contains(seen["authority is known"], "/etc/docker/certs.d/"+labRegistry) {
		t.Errorf("check: %s", text)
	}
	run(1, append([]string{"registry", "check", "--repository", "root/nothing"}, root...)...)

	run(0, append([]string{"registry", "login"}, root...)...)
	r, err := host.Exec(ctx, s.box.ID, engine.ExecOptions{Cmd: []string{"sh", "-ec", `export HOME=/root
docker tag docker:26 "$0" && docker push -q "$0" && docker rmi "$0"`, labRegistry + "/" + p.Path + ":kept"}})
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("docker push after the login: %v, %s", err, r.Stderr)
	}
	if text := run(0, "registry", "list"); !regexp.MustCompile(regexp.QuoteMeta(p.Path)+` +kept `).MatchString(text) || !strings.Contains(text, "sha256:") {
		t.Errorf("list: %s", text)
	}
	run(64, "registry", "gc")
	// A dry run changes nothing: the registry's process is the same one.
	process := func() string {
		r, err := host.Exec(ctx, s.box.ID, engine.ExecOptions{Cmd: []string{"docker", "exec", "lab-heptapod", "pgrep", "-f", "embedded/bin/registry serve"}})
		if err != nil || r.ExitCode != 0 {
			t.Fatalf("find registry: %v, %s", err, r.Stderr)
		}
		return string(r.Stdout)
	}
	before := process()
	if text := run(0, "registry", "gc", "--untagged", "--dry-run"); !strings.Contains(text, "eligible for deletion") || !strings.Contains(text, "Nothing was removed") {
		t.Errorf("dry run of gc: %s", text)
	}
	if now := process(); now != before {
		t.Errorf("dry run of gc: the registry was process %s and is %s", before, now)
	}
	if text := run(0, "registry", "gc", "--untagged", "--yes"); !strings.Contains(text, "eligible for deletion") || !strings.Contains(text, "runs again") {
		t.Errorf("gc: %s", text)
	}
	if text := run(0, "registry", "check"); strings.Contains(text, "✘") {
		t.Errorf("check after that: %s", text)
	}
	if text := run(0, "registry", "list", "--project", p.Path); !strings.Contains(text, "kept") {
		t.Errorf("list after that: %s", text)
	}
}
