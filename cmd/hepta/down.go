package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
)

func downCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "down",
		Usage: "remove the containers and the network, keep the data",
		Description: "Stops and removes what carries the stack's label. The data directory on the Docker host\n" +
			"stays as it is: 'hepta up' brings the same forge back. A network that others use stays too.\n\n" +
			"Examples:\n" +
			"   hepta down\n" +
			"   hepta down --volumes",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "volumes", Usage: "also remove the stack's named volumes; never the data directory"},
			removeOrphansFlag(),
		},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			var plan *hepta.Plan
			err = withOrphans(c, t, s, func(remove bool) (err error) {
				plan, err = s.stack.Down(c.Context, hepta.DownOptions{Volumes: c.Bool("volumes"), RemoveOrphans: remove})
				return err
			})
			s.progress.Close()
			if err != nil {
				return err
			}
			cfg := s.stack.Config()
			if plan.Empty() {
				showNotes(t, plan)
				fmt.Fprintf(t.out, "Nothing to do: nothing of stack %s is there.\n", cfg.Stack)
			} else {
				fmt.Fprintf(t.out, "Stack %s is down.\n", cfg.Stack)
			}
			fmt.Fprintf(t.out, "Its data stays on the Docker host in %s.\n", cfg.Data)
			return nil
		}),
	}
}
