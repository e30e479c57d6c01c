package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"

	"github.com/heptaup/hepta"
)

// answered runs a command on a terminal at which a person has typed answers.
func answered(t *testing.T, answers string, args ...string) (code int) {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	defer program.Close()
	go func() { _, _ = io.Copy(io.Discard, person) }()
	if _, err := person.WriteString(answers); err != nil {
		t.Fatal(err)
	}
	return run(context.Background(), append([]string{"hepta"}, args...),
		terminal{in: program, out: program, err: program, env: func(string) string { return "" }})
}

// On a terminal init asks for what the flags leave open, and again for what is
// no good.
func TestInitAsks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hepta.yaml")
	answers := "hg example\nhg.example.org\n\nnobody\nadmin@example.org\nssh\n\ndind, socket, fast\ndind, socket\n"
	if code := answered(t, answers, "--file", file, "init"); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	cfg, err := hepta.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Forge.Host != "hg.example.org" || cfg.Registry != nil || cfg.ACME == nil || cfg.ACME.Email != "admin@example.org" || cfg.Heptapod.SSH.Port != "2222" || len(cfg.Runners) != 2 {
		text, _ := os.ReadFile(file)
		t.Errorf("wrote\n%s", text)
	}

	// Runners alone need no certificates and no port.
	alone := filepath.Join(t.TempDir(), "hepta.yaml")
	if code := answered(t, "https://gitlab.example.com\n\n\nsocket\n", "--file", alone, "init"); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	text, err := os.ReadFile(alone)
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err = hepta.Parse(alone, text); err != nil || cfg.Forge.URL != "https://gitlab.example.com" || cfg.Forge.TokenFile != hepta.DraftTokenFile || len(cfg.Runners) != 1 || cfg.Runners[0].Mode != "socket" {
		t.Errorf("%v: wrote\n%s", err, text)
	}

	// Nothing is asked when the file is there: without answers it would wait.
	if code := answered(t, "", "--file", file, "init"); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
}

// On a terminal of their own commands get what the terminal can do; on a pipe
// nothing is painted.
func TestTerminal(t *testing.T) {
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	defer program.Close()
	if err := pty.Setsize(program, &pty.Winsize{Rows: 30, Cols: 99}); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TERM": "xterm"}
	term := terminal{in: program, out: program, err: program, env: func(k string) string { return env[k] }}
	view := term.view(false)
	if !view.Terminal || !view.Color || !term.interactive() {
		t.Errorf("a terminal: %+v, interactive %v", view, term.interactive())
	}
	if w, h := view.Size(); w != 99 || h != 30 {
		t.Errorf("size %d × %d", w, h)
	}
	if term.view(true).Color {
		t.Error("--no-color paints")
	}
	env["NO_COLOR"] = "1"
	if term.view(false).Color {
		t.Error("NO_COLOR paints")
	}
	env["TERM"] = "dumb"
	if term.view(false).Terminal {
		t.Error("a dumb terminal gets a live region")
	}
	if term.err = io.Discard; term.view(false).Terminal || term.interactive() {
		t.Error("a pipe counts as a terminal")
	}
}
