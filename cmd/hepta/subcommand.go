package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// finish gives a command and those below it what all commands have: help in
// one form, and errors in our words. above is what is written before its name.
func finish(c *cli.Command, above string) {
	path := above + c.Name
	c.OnUsageError = onUsageError
	c.CustomHelpTemplate = strings.ReplaceAll(commandHelp, "{{.Name}}", path)
	plainFlags(c.Flags)
	c.HideHelpCommand = true
	if len(c.Subcommands) == 0 {
		return
	}
	c.Action = func(ctx *cli.Context) error {
		if name := ctx.Args().First(); name != "" {
			return usage{fmt.Errorf("there is no command %q in %s; there are %s", name, path, strings.Join(names(c.Subcommands), ", "))}
		}
		return cli.ShowSubcommandHelp(ctx)
	}
	for _, below := range c.Subcommands {
		finish(below, path+" ")
	}
}

func names(commands []*cli.Command) []string {
	var list []string
	for _, c := range commands {
		list = append(list, c.Name)
	}
	return list
}
