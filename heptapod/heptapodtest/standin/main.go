// Command standin is the daemon of the image that stands in for the forge. It
// keeps the image's contract around package heptapodtest: how it boots, what
// gitlab-ctl says, nginx's virtual hosts, the registry, ssh. Each behaviour
// follows a fact about the public image.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run does what the first argument names and returns the exit code.
func run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: heptapod init | ctl COMMAND | backup TASK | keys USER TYPE KEY | shell USER")
		return 2
	}
	var err error
	switch args[0] {
	case "init":
		err = boot(ctx)
	case "ctl":
		err = ctl(ctx, args[1:])
	case "backup":
		err = backup(ctx, args[1:])
	case "keys":
		err = keys(ctx, args[1:])
	case "shell":
		return shell(ctx, args[1:])
	default:
		err = fmt.Errorf("unknown command %q", args[0])
	}
	if err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, text)
		}
		return 1
	}
	return 0
}
