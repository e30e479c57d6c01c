package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
)

func ctlCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:            "ctl",
		Usage:           "run gitlab-ctl in the forge",
		ArgsUsage:       "ARGUMENT…",
		SkipFlagParsing: true,
		Description: "Passes its arguments to gitlab-ctl in the forge's container. The exit code is that of\n" +
			"gitlab-ctl.\n\n" +
			"Examples:\n" +
			"   hepta ctl status\n" +
			"   hepta ctl tail nginx\n" +
			"   hepta ctl restart sidekiq",
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			switch {
			case len(args) == 0:
				return usage{errors.New("ctl takes the arguments of gitlab-ctl, such as status")}
			case args[0] == "--help" || args[0] == "-h":
				return cli.ShowSubcommandHelp(c)
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			s.progress.Close()
			var o hepta.ExecOptions
			return attached(t, &o, false, func() (int, error) { return s.stack.Ctl(c.Context, o, args...) })
		},
	}
}
