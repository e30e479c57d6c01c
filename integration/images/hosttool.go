package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// host is the machine on which images are made. Its fields are the machine
// itself outside of tests.
type host struct {
	lookPath func(string) (string, error)
	root     func() bool
	run      func(ctx context.Context, name string, args ...string) error

	apt sync.Mutex // apt locks its database for itself
}

func thisHost() *host {
	return &host{
		lookPath: exec.LookPath,
		root:     func() bool { return os.Geteuid() == 0 },
		run:      runQuietly,
	}
}

// tool is a program that the host has to have.
type tool struct {
	name  string // as it is looked up
	deb   string // the Debian package that holds it
	hint  string // where else it comes from
	usage string // what it is needed for
}

func mmdebstrapTool() tool {
	return tool{name: "mmdebstrap", deb: "mmdebstrap", usage: "make the Debian root file system"}
}

func goTool() tool {
	return tool{name: "go", deb: "golang-go", hint: "https://go.dev/dl", usage: "build the programs"}
}

// need makes sure that t is there: it is installed where this process may do
// so, and otherwise the error names the command that installs it.
func (h *host) need(ctx context.Context, t tool, say func(string)) error {
	if _, err := h.lookPath(t.name); err == nil {
		return nil
	}
	h.apt.Lock()
	defer h.apt.Unlock()
	if _, err := h.lookPath(t.name); err == nil {
		return nil
	}
	remedy := "install it with: apt-get install " + t.deb
	if t.hint != "" {
		remedy += ", or from " + t.hint
	}
	if _, err := h.lookPath("apt-get"); err != nil || !h.root() {
		return fmt.Errorf("%s is not installed; it is needed to %s; %s", t.name, t.usage, remedy)
	}
	say("installing " + t.deb + " with apt-get")
	if err := h.run(ctx, "apt-get", "update", "-qq"); err != nil {
		return fmt.Errorf("install %s: %w", t.deb, err)
	}
	if err := h.run(ctx, "apt-get", "install", "-y", "-qq", "--no-install-recommends", t.deb); err != nil {
		return fmt.Errorf("install %s: %w", t.deb, err)
	}
	if _, err := h.lookPath(t.name); err != nil {
		return fmt.Errorf("%s is still missing after installing %s: %w", t.name, t.deb, err)
	}
	return nil
}

// runQuietly runs a command and puts the end of what it printed into the error.
func runQuietly(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return commandError(ctx, name+" "+strings.Join(args, " "), out.String(), err)
	}
	return nil
}

// commandError says which command failed and how its output ended.
func commandError(ctx context.Context, what, output string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("run %s: %w", what, context.Cause(ctx))
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if n := len(lines); n > 12 {
		lines = lines[n-12:]
	}
	return fmt.Errorf("run %s: %w\n%s", what, err, strings.Join(lines, "\n"))
}
