// Package hosttool sees that programs of other people are on this machine: it
// installs what is missing where it may, and otherwise says how.
package hosttool

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/heptaup/hepta/internal/fault"
)

// Tool is a program that the machine has to have.
type Tool struct {
	Name  string // as it is looked up
	Deb   string // the Debian packages that bring it, with spaces between
	Hint  string // where else it comes from; may be empty
	Usage string // what it is needed for: "build the programs"
}

// Host is the machine that needs tools.
type Host struct {
	lookPath func(string) (string, error)
	root     func() bool
	run      func(ctx context.Context, name string, args ...string) error

	apt sync.Mutex // one apt-get at a time
}

// This is the machine that this process runs on.
func This() *Host {
	return &Host{
		lookPath: exec.LookPath,
		root:     func() bool { return os.Geteuid() == 0 },
		run:      runQuietly,
	}
}

// Need makes sure that the tools are there: those that are missing are
// installed where this process is root on a Debian system, which say is told,
// and otherwise the error names the command that installs them.
func (h *Host) Need(ctx context.Context, say func(string), tools ...Tool) error {
	if len(h.missing(tools)) == 0 {
		return nil
	}
	h.apt.Lock()
	defer h.apt.Unlock()
	missing := h.missing(tools)
	if len(missing) == 0 {
		return nil
	}
	if _, err := h.lookPath("apt-get"); err != nil || !h.root() {
		return notInstalled(missing)
	}
	debs := packages(missing)
	list := strings.Join(debs, " ")
	say("installing " + list + " with apt-get")
	if err := h.run(ctx, "apt-get", "update", "-qq"); err != nil {
		return fmt.Errorf("install %s: %w", list, err)
	}
	if err := h.run(ctx, "apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, debs...)...); err != nil {
		return fmt.Errorf("install %s: %w", list, err)
	}
	if missing = h.missing(missing); len(missing) > 0 {
		return fmt.Errorf("install %s: it brought no %s", list, missing[0].Name)
	}
	return nil
}

func (h *Host) missing(tools []Tool) []Tool {
	var missing []Tool
	for _, t := range tools {
		if _, err := h.lookPath(t.Name); err != nil {
			missing = append(missing, t)
		}
	}
	return missing
}

func packages(tools []Tool) []string {
	var debs []string
	for _, t := range tools {
		debs = append(debs, strings.Fields(t.Deb)...)
	}
	return debs
}

// notInstalled tells of all tools at once.
func notInstalled(missing []Tool) error {
	var names, usages []string
	remedy := "Install what is missing: apt-get install " + strings.Join(packages(missing), " ")
	for _, t := range missing {
		names = append(names, t.Name)
		usages = append(usages, "to "+t.Usage)
		if t.Hint != "" {
			remedy += "\n" + t.Name + " comes from " + t.Hint + " too."
		}
	}
	return &fault.Error{Op: "find", What: strings.Join(names, ", "), Why: "not installed; needed " + strings.Join(usages, ", "), Remedy: remedy}
}

// runQuietly runs a command and puts the end of what it printed into the error.
func runQuietly(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return CommandError(ctx, name+" "+strings.Join(args, " "), out.String(), err)
	}
	return nil
}

// CommandError says which command failed and how its output ended.
func CommandError(ctx context.Context, command, output string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("run %s: %w", command, context.Cause(ctx))
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if n := len(lines); n > 12 {
		lines = lines[n-12:]
	}
	return fmt.Errorf("run %s: %w\n%s", command, err, strings.Join(lines, "\n"))
}
