package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// keys answers sshd's question who a key belongs to, with the line that ties
// the key to that user's shell. Nothing is printed for a key of nobody.
func keys(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: heptapod keys USER TYPE KEY")
	}
	if args[0] != "git" {
		return nil
	}
	key := args[1] + " " + args[2]
	user, err := heptapodtest.NewAdminClient(shellSocket).AuthorizedKey(ctx, key)
	if errors.Is(err, heptapodtest.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Printf("command=\"/opt/gitlab/embedded/service/gitlab-shell/bin/gitlab-shell %s\",restrict %s\n", user, key)
	return nil
}

// shell runs the command of an ssh connection for the user that its key
// belongs to.
func shell(ctx context.Context, args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: heptapod shell USER")
		return 2
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	code, err := heptapodtest.NewAdminClient(shellSocket).SSH(ctx, args[0], os.Getenv("SSH_ORIGINAL_COMMAND"), os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "remote: GitLab:", err)
		if code == 0 {
			code = 1
		}
	}
	return code
}
