package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
)

func execCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run a command in a service's container",
		ArgsUsage: "SERVICE [--] COMMAND [ARGUMENT…]",
		Description: "Runs a command in a running container. On a terminal the command gets one; the exit code\n" +
			"of the command is that of hepta.\n\n" +
			"Examples:\n" +
			"   hepta exec heptapod bash\n" +
			"   hepta exec heptapod -- ls -l /etc/gitlab\n" +
			"   hepta exec --user git heptapod hg --version",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "user in the container, by name or number"},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "directory in the container"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "variable for the command, NAME=value"},
			&cli.BoolFlag{Name: "no-tty", Aliases: []string{"T"}, Usage: "no terminal for the command"},
		},
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) > 1 && args[1] == "--" {
				args = append(args[:1:1], args[2:]...)
			}
			if len(args) < 2 {
				return usage{errors.New("exec takes a service and a command, as in: hepta exec heptapod bash")}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			s.progress.Close()
			o := hepta.ExecOptions{
				Service: args[0], Cmd: args[1:], User: c.String("user"), WorkDir: c.String("workdir"), Env: c.StringSlice("env"),
			}
			return attached(t, &o, c.Bool("no-tty"), func() (int, error) { return s.stack.Exec(c.Context, o) })
		},
	}
}
