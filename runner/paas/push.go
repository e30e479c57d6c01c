package paas

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const deployRef = "refs/heads/master"

// pushOnce makes one commit of the files and pushes it to a repository that has
// none. One that has some was pushed to before. Credentials are in no argument
// and no file.
func pushOnce(ctx context.Context, scratch, url, user string, password Secret, f Files) error {
	if !IsHTTP(url) {
		return fmt.Errorf("push: the deploy URL is not http(s)")
	}
	dir, err := os.MkdirTemp(scratch, "hepta-paas-")
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer os.RemoveAll(dir)
	g := git{dir: dir, env: append(bare(os.Environ()),
		"HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_DIR="+dir, "LC_ALL=C",
		// Otherwise git follows a redirect of the first call, with the header.
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_1=http.followRedirects", "GIT_CONFIG_VALUE_1=false", "GIT_CONFIG_KEY_0=http.extraHeader",
		"GIT_CONFIG_VALUE_0=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password.Reveal())),
		"GIT_AUTHOR_NAME=Heptapod Paas Runner", "GIT_AUTHOR_EMAIL=paasrunner@heptapod.test",
		"GIT_COMMITTER_NAME=Heptapod Paas Runner", "GIT_COMMITTER_EMAIL=paasrunner@heptapod.test",
	)}
	if _, err := g.run(ctx, nil, "init", "-q", "--bare"); err != nil {
		return err
	}
	if there, err := g.run(ctx, nil, "ls-remote", url, deployRef); err != nil || there != "" {
		return err
	}
	var tree strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f)) {
		id, err := g.run(ctx, f[name], "hash-object", "-w", "--stdin")
		if err != nil {
			return err
		}
		fmt.Fprintf(&tree, "100644 blob %s\t%s\n", id, name)
	}
	id, err := g.run(ctx, []byte(tree.String()), "mktree")
	if err != nil {
		return err
	}
	if id, err = g.run(ctx, []byte("Job definition\n"), "commit-tree", id); err != nil {
		return err
	}
	_, err = g.run(ctx, nil, "push", "-q", url, id+":"+deployRef)
	return err
}

// bare is an environment without what steers git, but for the authorities that
// it trusts: without ones of its own, those that this program is given by
// SSL_CERT_FILE.
func bare(env []string) []string {
	const own, ours = "GIT_SSL_CAINFO=", "SSL_CERT_FILE="
	var out []string
	authorities := ""
	for _, v := range env {
		file, given := strings.CutPrefix(v, ours)
		switch {
		case strings.HasPrefix(v, own):
			authorities = v
		case given && file != "" && authorities == "":
			authorities = own + file
		}
		if !strings.HasPrefix(v, "GIT_") && !strings.HasPrefix(v, "HOME=") && !strings.HasPrefix(v, "XDG_CONFIG_HOME=") {
			out = append(out, v)
		}
	}
	if authorities != "" {
		out = append(out, authorities)
	}
	return out
}

type git struct {
	dir string
	env []string
}

func (g git) run(ctx context.Context, stdin []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = g.dir, g.env, bytes.NewReader(stdin), &out, &said
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, line)
	}
	return strings.TrimSpace(out.String()), nil
}
