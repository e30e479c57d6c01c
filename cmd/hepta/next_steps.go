package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/shell"
	"github.com/heptaup/hepta/traefik"
)

// command is a command line of hepta that reads the same configuration and asks
// the same Engine as the present one.
func command(c *cli.Context, words ...string) string {
	line := []string{"hepta"}
	if file := configFile(c); file != hepta.DefaultFile {
		line = append(line, "-f", shell.Path(file))
	}
	if host := c.String(flagHost); host != "" {
		line = append(line, "-H", shell.Word(host))
	}
	return strings.Join(append(line, words...), " ")
}

// reportUp says what was done, where the forge is, and what to do next.
func reportUp(c *cli.Context, t terminal, stack *hepta.Stack, plan *hepta.Plan, d time.Duration) error {
	if plan.Empty() {
		showNotes(t, plan)
		fmt.Fprintln(t.out, "Nothing to do: everything is up to date.")
		return nil
	}
	cfg := stack.Config()
	d = d.Round(100 * time.Millisecond)
	if cfg.Forge.URL != "" {
		fmt.Fprintf(t.out, "Done in %s. The runners work for %s\nSee them: %s\n", d, cfg.Forge.URL, command(c, "runner", "list"))
		return nil
	}
	fmt.Fprintf(t.out, "Done in %s. The forge is at %s\n", d, strings.TrimSuffix(stack.Forge().URL(), "/"))
	if !writes(plan, heptapod.FileRootPassword) {
		return nil
	}
	rows := [][2]string{
		{"log in as root, with the password from", command(c, "exec heptapod cat /etc/gitlab/hepta/root_password")},
	}
	if cfg.TLS.Mode == string(traefik.TLSInternal) {
		rows = append(rows, [2]string{"install the authority's certificate where the forge is used", command(c, "ca > hepta-ca.crt")})
	}
	rows = append(rows, [2]string{"see how everything does", command(c, "status")})
	if len(cfg.Runners) > 0 {
		rows = append(rows, [2]string{"write a first pipeline, in a project's directory", command(c, "ci init")})
	} else {
		rows = append(rows, [2]string{"describe a runner for CI jobs", command(c, "runner add NAME --mode dind") + ", then " + command(c, "up")})
	}
	fmt.Fprintln(t.out, "\nNext:")
	for _, r := range rows {
		fmt.Fprintf(t.out, "  - %s:\n      %s\n", r[0], r[1])
	}
	return nil
}

// writes reports whether a plan has written a file below the data directory.
func writes(plan *hepta.Plan, path string) bool {
	for _, o := range plan.Operations {
		if o.File != nil && o.File.Path == path {
			return true
		}
	}
	return false
}

// showNotes writes the notes of a plan that did nothing. One that did something
// has told them before it began.
func showNotes(t terminal, plan *hepta.Plan) {
	for _, n := range plan.Notes {
		fmt.Fprintln(t.err, "note: "+n)
	}
}
