package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
)

func tokenCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "token",
		Usage: "renew the API token with which hepta works in the forge",
		Description: "hepta makes itself a token of an administrator, keeps it on the Docker host for 30 days and\n" +
			"replaces it before it ends. Where the forge refuses it, because somebody has revoked it, its owner\n" +
			"was blocked or an older backup was restored, the next command that needs it makes another one.\n\n" +
			"Examples:\n" +
			"   hepta token renew",
		Subcommands: []*cli.Command{tokenRenewCommand(t)},
	}
}

func tokenRenewCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "renew",
		Usage: "create a new API token and revoke the old one",
		Description: "Makes a new token of the first administrator of the forge who is active, keeps it on the Docker\n" +
			"host and revokes the one before, whatever that is good for. Rails boots for it, which takes a\n" +
			"minute or two. Nothing is restarted. Nobody needs to do this by hand, except after the token may\n" +
			"have been seen by others.\n\n" +
			"Examples:\n" +
			"   hepta token renew",
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			ends, err := s.stack.RenewToken(c.Context)
			s.progress.Close()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.out, "A new API token is kept on the Docker host; it ends on %s.\n", ends.Format(time.DateOnly))
			return err
		}),
	}
}
