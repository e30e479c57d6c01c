// Command runtests runs all tests of this repository. It installs the programs
// that the tests use, or says how, sees that a Docker Engine answers, and then
// becomes go test, with its output and its exit code.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/hosttool"
)

// command runs the tests where everything is there.
const command = "go test -race -shuffle=on -timeout 75m ./..."

// arranged is the command in less time: the packages that use an Engine take
// longest and come first, and more of them run than there are processors,
// because they wait most of the time.
func arranged(processors int) string {
	return strings.Replace(command, "./...", fmt.Sprintf("-p %d ./integration/... ./...", max(4, processors)), 1)
}

// tools are the programs that the tests start, beside those that every Debian
// system has.
func tools() []hosttool.Tool {
	return []hosttool.Tool{
		hosttool.Mmdebstrap(),
		{Name: "git", Deb: "git", Usage: "work with Git repositories"},
		{Name: "hg", Deb: "mercurial", Usage: "work with Mercurial repositories"},
		{Name: "ruby", Deb: "ruby", Usage: "read gitlab.rb as the forge does"},
		{Name: "ssh", Deb: "openssh-client", Usage: "reach an Engine and repositories by ssh"},
		{Name: "curl", Deb: "curl", Usage: "ask the forge as its container does"},
		{Name: "busybox", Deb: "busybox-static", Usage: "make a small image"},
		{Name: "gcc", Deb: "gcc libc6-dev", Usage: "build the tests with the race detector"},
		{Name: "docker", Deb: "docker-cli", Hint: "https://docs.docker.com/engine/install", Usage: "show that other programs reach an Engine too"},
	}
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", fault.Describe(err))
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	say := func(text string) { fmt.Fprintln(os.Stderr, text) }
	if err := hosttool.This().Need(ctx, say, tools()...); err != nil {
		return err
	}
	docker, err := engine.Dial(ctx, "")
	if err != nil {
		return err
	}
	if err := docker.Close(); err != nil {
		return err
	}
	path, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	line := arranged(runtime.NumCPU())
	fmt.Println(line)
	return syscall.Exec(path, strings.Fields(line), os.Environ())
}
