package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
)

// consent asks a person who is there for a yes.
func consent(t terminal, text string) error {
	answer, err := question(t, bufio.NewReader(t.in), text+" (yes or no)", "no")
	if err != nil {
		return err
	}
	if answer != "yes" && answer != "y" {
		return errors.New("nothing was done")
	}
	return nil
}

const flagRemoveOrphans = "remove-orphans"

func removeOrphansFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagRemoveOrphans, Usage: "do not ask before the containers of services that are not described are removed"}
}

// withOrphans does something that may remove services which nothing describes.
// Where that was not agreed to beforehand, it asks and does it again.
func withOrphans(c *cli.Context, t terminal, s *session, do func(removeOrphans bool) error) error {
	agreed := c.Bool(flagRemoveOrphans)
	err := do(agreed)
	var refused *fault.Error
	if agreed || !errors.Is(err, hepta.ErrOrphans) || !t.interactive() || !errors.As(err, &refused) {
		return err
	}
	s.progress.Told()
	fmt.Fprintln(t.err, refused.Why+".")
	if err := consent(t, "Remove what is not described?"); err != nil {
		return err
	}
	return do(true)
}
