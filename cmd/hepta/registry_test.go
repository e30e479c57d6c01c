package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/registry"
)

func shown(t *testing.T, rows render.Rows) string {
	t.Helper()
	var b strings.Builder
	if err := render.Table(&b, false, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportTable(t *testing.T) {
	got := shown(t, reportTable(&registry.Report{Findings: []registry.Finding{
		{Check: "registry answers", OK: true, Saw: "401 Unauthorized"},
		{Check: "image is pushed", Saw: "413", Means: "Too large.", Remedy: "Take buffering off."},
	}}))
	want := `  CHECK             SAW
✔ registry answers  401 Unauthorized
✘ image is pushed   413

image is pushed: Too large.
  Take buffering off.
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestRepositoryTable(t *testing.T) {
	got := shown(t, repositoryTable([]registry.Repository{
		{Path: "g/empty"},
		{Path: "g/p", Tags: []registry.Tag{
			{Name: "v1", Digest: "sha256:ab", Size: 178_000_000, Created: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)},
			{Name: "v2", Broken: true},
		}},
	}))
	want := `  REPOSITORY  TAG  SIZE    DIGEST      CREATED
~ g/empty     -    -       -           -
✔ g/p         v1   178 MB  sha256:ab   2026-03-01 10:00:00
✘ g/p         v2   -       unreadable  -

Repositories: 2, tags: 2.
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

// typed is a terminal at which a person has typed text; said gathers what it shows.
func typed(t *testing.T, text string) (term terminal, said func() string) {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(&shown, person) }()
	t.Cleanup(func() { person.Close(); program.Close(); <-done })
	if _, err := person.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return terminal{in: program, out: io.Discard, err: program, env: func(string) string { return "" }},
		func() string { program.Close(); <-done; return shown.String() }
}

// with is a command line with these flags of a command.
func with(t *testing.T, flags []cli.Flag, args ...string) *cli.Context {
	t.Helper()
	set := flag.NewFlagSet("", flag.ContinueOnError)
	for _, f := range flags {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return cli.NewContext(newApp(terminal{}), set, nil)
}

func TestPasswordIsAsked(t *testing.T) {
	term, said := typed(t, "s3cr3t\n")
	creds, err := credentials(with(t, credentialFlags(), "--username", "alice"), term)
	if err != nil || creds.User != "alice" || creds.Password.Reveal() != "s3cr3t" {
		t.Errorf("got %s, %v", creds.User, err)
	}
	if text := said(); !strings.Contains(text, "Password or token of alice: ") {
		t.Errorf("asked %q", text)
	}
}

func TestPasswordOfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" s3 cr3t \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	creds, err := credentials(with(t, credentialFlags(), "--username", "alice", "--token-file", file), terminal{err: io.Discard})
	if err != nil || creds.Password.Reveal() != " s3 cr3t " {
		t.Errorf("got %q, %v", base64.StdEncoding.EncodeToString([]byte(creds.Password.Reveal())), err)
	}
}

func TestGarbageIsCollectedByAgreement(t *testing.T) {
	flags := []cli.Flag{&cli.BoolFlag{Name: "yes"}}
	for text, want := range map[string]bool{"yes\n": true, "y\n": true, "no\n": false, "\n": false, "yess\n": false} {
		term, _ := typed(t, text)
		if err := agreed(with(t, flags), term); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	var wrong usage
	if err := agreed(with(t, flags), terminal{in: strings.NewReader("yes\n"), err: io.Discard}); !errors.As(err, &wrong) {
		t.Errorf("without a terminal: %v", err)
	}
	if err := agreed(with(t, flags, "--yes"), terminal{}); err != nil {
		t.Errorf("--yes: %v", err)
	}
}

// A file that holds no password is refused and not repeated.
func TestBadPasswordFiles(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ content, want string }{
		"empty":     {"", "the password is empty"},
		"newlines":  {"\n\r\n", "the password is empty"},
		"lines":     {"s3cr3t\ns3cr3t\n", "the password is not one line of text"},
		"NUL":       {"s3cr3t\x00", "the password is not one line of text"},
		"not UTF-8": {"s3cr3t\xff", "the password is not one line of text"},
		"large":     {strings.Repeat("s3cr3t", 20_000), "it has more than 65536 bytes"},
	} {
		file := filepath.Join(dir, "token")
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := credentials(with(t, credentialFlags(), "--username", "alice", "--token-file", file), terminal{err: io.Discard})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		piped := terminal{in: strings.NewReader(c.content), err: io.Discard}
		_, err = credentials(with(t, credentialFlags(), "--username", "alice", "--password-stdin"), piped)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s on standard input: got %v, want %s", name, err, c.want)
		}
	}
	_, err := credentials(with(t, credentialFlags(), "--username", "alice", "--token-file", dir), terminal{err: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}
