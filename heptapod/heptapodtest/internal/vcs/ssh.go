package vcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrCommand is what an ssh command outside the two protocols is refused with.
var ErrCommand = errors.New("command not allowed: only hg and git may be used over ssh")

// remote is what the original command of an ssh connection asks for.
type remote struct {
	project string
	kind    Kind
	service string // upload-pack, receive-pack, serve
}

// SSH runs the original command of an ssh connection. What refuses it is
// returned and told to the client on stderr; the exit status is then 1.
func (s *store) SSH(ctx context.Context, command, user string, allow func(path string, write bool) error, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	exit, err := s.ssh(ctx, command, user, allow, stdin, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "heptapod: %v\n", err)
		return 1, fmt.Errorf("serve ssh: %w", err)
	}
	return exit, nil
}

func (s *store) ssh(ctx context.Context, command, user string, allow func(path string, write bool) error, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	q, err := parseCommand(command)
	if err != nil {
		return 0, err
	}
	// hg says only in the middle of its conversation whether it pushes:
	// then the repository is read-only unless writing is allowed as well.
	write := q.service == "receive-pack"
	if err := allow(q.project, write); err != nil {
		return 0, err
	}
	dir, kind, err := s.locate(q.project)
	if err != nil {
		return 0, err
	}
	if q.kind == Hg {
		if kind != Hg {
			return 0, fmt.Errorf("%s is kept with git, not with hg", q.project)
		}
		m, err := s.hg()
		if err != nil {
			return 0, err
		}
		write = allow(q.project, true) == nil
		return s.converse(ctx, invocation{
			name: m.hg, args: []string{"-R", dir, "serve", "--stdio"},
			env: []string{"HGRCPATH=" + hgrcPath(s.private, write), "REMOTE_USER=" + user, "HGUSER=" + user},
		}, stdin, stdout, stderr)
	}
	if kind == Hg {
		if write {
			return 0, fmt.Errorf("%s is kept with hg: its git address is read-only", q.project)
		}
		if dir, err = s.join(snapshotDir, q.project, ".git"); err != nil {
			return 0, err
		}
		if !isDir(dir) {
			return 0, fmt.Errorf("%s is kept with hg and has no snapshot yet", q.project)
		}
	}
	git, err := s.git()
	if err != nil {
		return 0, err
	}
	exit, err := s.converse(ctx, invocation{
		name: git, args: []string{q.service, dir}, env: []string{"REMOTE_USER=" + user},
	}, stdin, stdout, stderr)
	if err == nil && exit == 0 && write {
		_ = gitRepo{s, dir}.adoptHead(ctx) // as after a push over HTTP, which is done in any case
	}
	return exit, err
}

// converse runs a program on the client's streams until the program ends. It
// does not wait for a client that keeps its side open.
func (s *store) converse(ctx context.Context, i invocation, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	cmd := s.command(ctx, i)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		// Ends with the client's stream or with the program's: either
		// way the program's status tells the outcome.
		_, _ = io.Copy(in, stdin)
		_ = in.Close()
	}()
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && ctx.Err() == nil {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, explain(ctx, filepath.Base(i.name), "", err)
	}
	return 0, nil
}

// parseCommand reads an original command. Only the forms that hg and git send
// are known; none of its words but the project's path is used.
func parseCommand(command string) (remote, error) {
	w, err := words(command)
	if err != nil {
		return remote{}, err
	}
	if len(w) == 3 && w[0] == "git" {
		w = []string{"git-" + w[1], w[2]}
	}
	switch {
	case len(w) == 2 && (w[0] == "git-upload-pack" || w[0] == "git-receive-pack"):
		path := strings.TrimSuffix(projectOf(w[1]), ".git")
		return remote{path, Git, strings.TrimPrefix(w[0], "git-")}, CheckPath(path)
	case len(w) >= 5 && w[0] == "hg" && w[1] == "-R" && w[3] == "serve" && w[4] == "--stdio":
		for _, option := range w[5:] {
			if !slices.Contains([]string{"-q", "--quiet", "-v", "--verbose", "-y", "--noninteractive", "--debug", "--traceback"}, option) {
				return remote{}, fmt.Errorf("%w (option %q)", ErrCommand, option)
			}
		}
		path := projectOf(w[2])
		return remote{path, Hg, "serve"}, CheckPath(path)
	}
	return remote{}, ErrCommand
}

// projectOf takes the decoration of an ssh URL from a path.
func projectOf(path string) string {
	path = strings.TrimPrefix(path, "/")
	return strings.TrimSuffix(path, "/")
}

// words splits a command as a shell would, where it has nothing that a shell
// would act upon.
func words(command string) ([]string, error) {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-~"
	if len(command) > 4096 {
		return nil, ErrCommand
	}
	var list []string
	var word strings.Builder
	started := false
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == ' ':
			if started {
				list, started = append(list, word.String()), false
				word.Reset()
			}
		case c == '\'' || c == '"':
			n := strings.IndexByte(command[i+1:], c)
			if n < 0 {
				return nil, fmt.Errorf("%w (a quote is not closed)", ErrCommand)
			}
			text := command[i+1 : i+1+n]
			if strings.ContainsAny(text, "\x00\r\n") || c == '"' && strings.ContainsAny(text, "$`\\!") {
				return nil, ErrCommand
			}
			word.WriteString(text)
			started = true
			i += n + 1
		case strings.IndexByte(plain, c) >= 0:
			word.WriteByte(c)
			started = true
		default:
			return nil, fmt.Errorf("%w (character %q)", ErrCommand, c)
		}
	}
	if started {
		list = append(list, word.String())
	}
	return list, nil
}
