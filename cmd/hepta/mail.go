package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

func mailCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "mail",
		Usage: "try the forge's mail relay",
		Description: "The forge sends mail by the relay of heptapod.smtp in hepta.yaml.\n\n" +
			"Examples:\n" +
			"   hepta mail test admin@example.org",
		Subcommands: []*cli.Command{mailTestCommand(t)},
	}
}

func mailTestCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "test",
		Usage:     "have the forge send a mail",
		ArgsUsage: "ADDRESS",
		Description: "Has the running forge send a mail as it sends its own, by the relay that 'hepta up' has set.\n" +
			"It ends when the relay has taken the mail, or says which part of heptapod.smtp to look at. Rails\n" +
			"boots for it, which takes a minute or two.\n\n" +
			"Examples:\n" +
			"   hepta mail test admin@example.org",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage{errors.New("mail test takes one mail address, as in: hepta mail test admin@example.org")}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			sent, err := s.stack.TestMail(c.Context, c.Args().First())
			s.progress.Close()
			if err != nil {
				return err
			}
			by := "a program in the forge's container"
			if sent.Relay != "" {
				by = sent.Relay
			}
			fmt.Fprintf(t.out, "Sent to %s from %s: taken by %s. Whether it arrives, the mailbox tells.\n", sent.To, sent.From, by)
			return nil
		},
	}
}
