package vcs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// No configuration but these reaches the programs: neither the host's nor the
// user's. Nothing that a client pushes is ever run.
const (
	gitConfig = `[init]
	defaultBranch = main
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	excludesFile = /dev/null
[gc]
	auto = 0
[receive]
	autogc = false
	hideRefs = refs/pipelines
	denyDeleteCurrent = ignore
[transfer]
	hideRefs = refs/snapshots
	fsckObjects = false
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[http]
	receivepack = false
`
	hgCommonConfig = `[web]
push_ssl = false
allow-archive =
[server]
validate = true
[ui]
timeout = 60
interactive = false
username = heptapod
archivemeta = false
[phases]
publish = true
`
	hgWriteConfig = hgCommonConfig + `[web]
allow-push = *
`
	hgReadConfig = hgCommonConfig + `[web]
allow-push =
[hooks]
pretxnopen.readonly = false
`
	// Read after the others, where the extensions are there: as in Heptapod,
	// what carries a topic stays a draft and all else is published.
	hgTopicConfig = `[extensions]
evolve =
topic =
[phases]
publish = false
[experimental]
topic.publish-bare-branch = true
`
)

// environment is what every program of the store starts with.
func environment(private string) []string {
	env := []string{
		"LC_ALL=C.UTF-8",
		"HGPLAIN=1",
		"HGENCODING=UTF-8",
		"HGRCPATH=" + hgrcPath(private, false),
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + filepath.Join(private, "gitconfig"),
		"GIT_TERMINAL_PROMPT=0",
		"GIT_OPTIONAL_LOCKS=0",
	}
	for _, k := range []string{"PATH", "HOME", "TMPDIR", "PYTHONPATH"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// hgrcPath names the configuration that lets hg write, or keeps it from it.
func hgrcPath(private string, write bool) string {
	name := "read.hgrc"
	if write {
		name = "write.hgrc"
	}
	return filepath.Join(private, name) + string(os.PathListSeparator) + filepath.Join(private, "topic.hgrc")
}

// invocation is one run of a program.
type invocation struct {
	name  string
	args  []string
	dir   string
	env   []string // after the store's own
	stdin io.Reader
}

// failure is a program's end with a status other than 0.
type failure struct {
	program string
	status  int
	text    string
}

func (f *failure) Error() string {
	if f.text == "" {
		return fmt.Sprintf("%s: exit status %d", f.program, f.status)
	}
	return fmt.Sprintf("%s: %s", f.program, f.text)
}

func (s *store) command(ctx context.Context, i invocation) *exec.Cmd {
	cmd := exec.CommandContext(ctx, i.name, i.args...)
	cmd.Dir = i.dir
	if cmd.Dir == "" {
		cmd.Dir = s.private
	}
	cmd.Env = append(append([]string{}, s.env...), i.env...)
	cmd.Stdin = i.stdin
	cmd.ExtraFiles = []*os.File{s.alive}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// output runs a program to its end and returns what it prints.
func (s *store) output(ctx context.Context, i invocation) ([]byte, error) {
	cmd := s.command(ctx, i)
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &head{buf: &msg}
	if err := cmd.Run(); err != nil {
		return out.Bytes(), explain(ctx, i.name, msg.String(), err)
	}
	return out.Bytes(), nil
}

// explain puts a program's own words into its error.
func explain(ctx context.Context, name, text string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), ctx.Err())
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return &failure{program: filepath.Base(name), status: exit.ExitCode(), text: strings.TrimSpace(text)}
	}
	return fmt.Errorf("%s: %w", filepath.Base(name), err)
}

// head keeps the first kilobytes of what a program complains about.
type head struct{ buf *bytes.Buffer }

func (t *head) Write(p []byte) (int, error) {
	if room := 4096 - t.buf.Len(); room > 0 {
		t.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
