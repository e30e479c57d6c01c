package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
	"github.com/heptaup/hepta/runner/paas"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// sections reads a configuration as far as a registration makes it, with what
// Clever Cloud needs added.
func sections(t *testing.T, file string) paas.Config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := paas.Read([]byte(strings.ReplaceAll(string(text), "executor = 'clever-docker'", "executor = 'clever-docker'\ncc_orga_id = 'o'\ncc_token = 't'")))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return cfg
}

// Both kinds of tokens lead to a section; what was in the file stays.
func TestPaasRegister(t *testing.T) {
	forge := heptapodtest.New(t, heptapodtest.WithRegistrationToken("GR1348941secret"))
	dir := t.TempDir()
	file, token := filepath.Join(dir, "paas.toml"), filepath.Join(dir, "token")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	register := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := invoke(append(append([]string{"paas", "register", "--coordinator-url", forge.URL}, args...), file)...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d: %s%s", args, code, want, out, errs)
		}
		return out + errs
	}

	// The file is begun before the forge is asked.
	write(token, "GR1348941wrong")
	first := []string{"--name", "first", "--executor", "clever-docker", "--token-file", token, "--max-concurrency", "7", "--state-file-path", dir + "/state.json"}
	if said := register(exitFailure, first...); !strings.Contains(said, "403") || !strings.Contains(said, "→ ") || strings.Contains(said, "GR1348941") {
		t.Errorf("said %s", said)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	write(token, "GR1348941secret\n")
	if said := register(exitOK, first...); !strings.Contains(said, "paused") || !strings.Contains(said, "cc_orga_id: is missing") ||
		!strings.Contains(said, "cc_token: is missing") || !strings.Contains(said, "CC_ENABLE_HEPTAPOD_RUNNER") || !strings.Contains(said, "[runners.docker]: image") || !strings.Contains(said, "resume it there") || strings.Contains(said, "state_file") || !strings.Contains(said, "cc_multi_tenant") {
		t.Errorf("said %s", said)
	}
	begun, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(file, "# by hand\n"+string(begun)+"[runners.docker] # no newline at the end\nimage = 'x'")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	made, err := forge.NewRunnerToken()
	if err != nil {
		t.Fatal(err)
	}
	write(token, made)
	second := []string{"--name", `sec"ond`, "--executor", "local-docker", "--token-file", token}
	register(exitOK, second...)
	after, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(after), string(before)) {
		t.Errorf("%v:\n%s", err, after)
	}
	cfg := sections(t, file)
	if len(cfg.Runners) != 2 || cfg.Concurrent != 7 || cfg.StateFile != dir+"/state.json" || cfg.Runners[1].Name != `sec"ond` || cfg.Runners[1].Token.Reveal() != made || cfg.Runners[0].Token.Empty() {
		t.Errorf("%+v", cfg)
	}
	// The same runner twice would fight with itself.
	if said := register(exitFailure, second...); !strings.Contains(said, "could not be told apart") {
		t.Errorf("said %s", said)
	}
	// A directory that is missing for the state file is one more thing to do.
	if said := func() string {
		code, out, errs := invoke("paas", "register", "--coordinator-url", forge.URL, "--name", "third", "--executor", "local-docker", "--token-file", token,
			"--max-concurrency", "1", "--state-file-path", dir+"/none/state.json", dir+"/third.toml")
		if code != exitOK {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		return out
	}(); !strings.Contains(said, "  state_file: the directory "+dir+"/none is not there: mkdir -p -m 700 "+dir+"/none\n") || !strings.Contains(said, "hepta paas systemd "+dir+"/third.toml") {
		t.Errorf("said %s", said)
	}
	// Where nothing can be appended, nothing is registered.
	write(file, "runners = []\n")
	if said := register(exitFailure, second...); !strings.Contains(said, "cannot be appended") {
		t.Errorf("said %s", said)
	}
}

// On a terminal it asks for what the flags leave out, and again for what is no good.
func TestPaasRegisterAsks(t *testing.T) {
	forge := heptapodtest.New(t, heptapodtest.WithRegistrationToken("GR1348941secret"))
	file := filepath.Join(t.TempDir(), "paas.toml")
	answers := "many\n0\n3\n\n" + "hg.example.org\n" + forge.URL + "\n" + "asked\n" + "docker\nlocal-docker\n" + "GR1348941secret\n"
	if code := answered(t, answers, "paas", "register", file); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	cfg := sections(t, file)
	if len(cfg.Runners) != 1 || cfg.Concurrent != 3 || cfg.StateFile == "" || cfg.Runners[0].Name != "asked" || cfg.Runners[0].Executor != paas.LocalDocker {
		t.Errorf("%+v", cfg)
	}
}

// What is wrong in a configuration is told by lines, and the exit code is that
// of heptapod-paas-runner.
func TestPaasRunRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "paas.toml")
	if err := os.WriteFile(file, []byte("concurrent = 0\n[[runners]]\nurl = 'x'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := invoke("paas", "run", file)
	if code != exitPaasConfig || !strings.Contains(errs, "paas.toml: line 1: concurrent") || !strings.Contains(errs, "paas.toml: line 3: url") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if code, _, errs = invoke("paas", "run", file+".none"); code != exitPaasConfig || !strings.Contains(errs, "hepta paas register") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if code, _, errs = invoke("paas", "run", "--logging-level", "loud", file); code != exitUsage || !strings.Contains(errs, "DEBUG") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// A quota in which no job fits is told at the start, and not by silence.
func TestPaasRunChecksQuota(t *testing.T) {
	cloud := clevertest.New(t)
	file := filepath.Join(t.TempDir(), "paas.toml")
	text := fmt.Sprintf(`state_file = %q
[quota_computation]
reference_runner = "ci"
reference_flavor = "XS"
reference_jobs_count = 2
[[runners]]
name = "ci"
url = "http://127.0.0.1:1"
token = "glrt-t1_abcdefghijkl"
executor = "clever-docker"
cc_orga_id = "o"
cc_token = "t"
cc_api_url = "%s/v2"
`, file+".state", cloud.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := invoke("paas", "run", file)
	if code != exitPaasConfig || !strings.Contains(errs, "it would never ask for a job") || !strings.Contains(errs, "reference_jobs_count at line 2") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// A configuration with tokens that everybody can read is told, by each command
// that reads it, with the command that ends it.
func TestPaasTellsOfAnExposedConfiguration(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	forge := heptapodtest.New(t)
	made, err := forge.NewRunnerToken()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, token := filepath.Join(dir, "paas.toml"), filepath.Join(dir, "token")
	for path, text := range map[string]string{file: fmt.Sprintf("state_file = %q\n", dir+"/state.json"), token: made} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	want := "warning: " + file + " holds secrets and everybody on this machine can read it (mode 0644): chmod 600 " + file + "\n"
	for _, args := range [][]string{
		{"paas", "register", "--coordinator-url", forge.URL, "--name", "r", "--executor", "local-docker", "--token-file", token, file},
		{"paas", "systemd", file},
		{"paas", "run", "--poll-cycles", "1", file},
	} {
		if code, _, errs := invoke(args...); code != exitOK || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, said %q", args, code, errs)
		}
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, errs := invoke("paas", "systemd", file); strings.Contains(errs, "everybody") {
		t.Error(errs)
	}
}

// A unit that runs as somebody who cannot read its configuration, or cannot keep
// its state, is told, with the command that helps.
func TestPaasSystemdUserReadsTheFile(t *testing.T) {
	open := t.TempDir()
	for _, dir := range []string{filepath.Dir(open), open} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file, closed, states := filepath.Join(open, "paas.toml"), filepath.Join(open, "closed"), filepath.Join(open, "states")
	for dir, mode := range map[string]os.FileMode{closed: 0o700, states: 0o777} {
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		user, file, state string
		mode              os.FileMode
		want              string
	}{
		{"root", file, closed + "/state.json", 0o600, ""},
		{"no-such-user", file, states + "/state.json", 0o644, "warning: this machine has no user no-such-user: useradd --system no-such-user\n"},
		{"nobody", file, states + "/state.json", 0o644, ""},
		{"nobody", file, states + "/state.json", 0o600, "warning: user nobody cannot read " + file + " (mode 0600): chown nobody " + file + "\n"},
		{"nobody", closed + "/paas.toml", states + "/state.json", 0o644, "warning: user nobody cannot enter " + closed + " (mode 0700): chmod o+x " + closed + ", or keep the files elsewhere\n"},
		{"nobody", file, open + "/none/state.json", 0o644, "warning: user nobody needs a directory for the state file: install -d -m 700 -o nobody " + open + "/none\n"},
		{"nobody", file, open + "/state.json", 0o644, "warning: user nobody cannot write to " + open + " (mode 0755), where the state file is to lie: chown nobody " + open + "\n"},
	} {
		text := "state_file='" + c.state + "'\n[[runners]]\nurl='https://f'\ntoken='abcdefghij'\nexecutor='local-docker'\n"
		if err := os.WriteFile(c.file, []byte(text), c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(c.file, c.mode); err != nil {
			t.Fatal(err)
		}
		code, out, errs := invoke("paas", "systemd", "--user", c.user, c.file)
		var said strings.Builder
		for line := range strings.Lines(errs) {
			if !strings.Contains(line, "everybody") { // see TestPaasTellsOfAnExposedConfiguration
				said.WriteString(line)
			}
		}
		if code != exitOK || !strings.Contains(out, "User="+c.user+"\n") || said.String() != c.want {
			t.Errorf("%+v: exit code %d: %s", c, code, said.String())
		}
	}
}
