package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
)

func upCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "create or update everything that hepta.yaml describes",
		Description: "Makes what is missing, replaces what has changed, waits until everything serves. Run\n" +
			"again it changes nothing; after a crash or an interruption it goes on. 'hepta plan' shows\n" +
			"beforehand what it would do.\n\n" +
			"Examples:\n" +
			"   hepta up\n" +
			"   hepta --progress plain up --timeout 30m\n" +
			"   hepta -f lab.yaml -H ssh://admin@vm-1 up",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "pull", Usage: "pull newer images first, as 'hepta pull' does"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this long", DefaultText: "as long as the healthchecks take"},
			removeOrphansFlag(),
			renamedFlag(),
			newDataFlag(),
		},
		Action: noArguments(func(c *cli.Context) error {
			if c.Duration("timeout") < 0 {
				return usage{errors.New("--timeout takes a duration such as 30m")}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			ctx, cancel := within(c.Context, c.Duration("timeout"))
			defer cancel()
			start := time.Now()
			var plan *hepta.Plan
			err = withOrphans(c, t, s, func(remove bool) (err error) {
				plan, err = s.stack.Up(ctx, hepta.UpOptions{Pull: c.Bool("pull"), RemoveOrphans: remove, Renamed: c.Bool(flagRenamed), NewData: c.Bool(flagNewData)})
				return err
			})
			s.progress.Close()
			if err != nil {
				return timedOut(ctx, err)
			}
			return reportUp(c, t, s.stack, plan, time.Since(start))
		}),
	}
}

const flagRenamed = "renamed"

func renamedFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagRenamed, Usage: "the stack or its forge had another name: go on with what belongs to that"}
}

const flagNewData = "new-data"

func newDataFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagNewData, Usage: "start with another, empty data directory; the old one is left as it is"}
}

// within is ctx with a time limit; 0 is none.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// timedOut says so when the limit of --timeout ended the work.
func timedOut(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &fault.Error{Err: err, Remedy: "The work was ended by --timeout; run the same command again to go on."}
	}
	return err
}

// noArguments refuses a command line that has more than flags.
func noArguments(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return usage{fmt.Errorf("%s takes no arguments, and there is %q", c.Command.Name, c.Args().First())}
		}
		return action(c)
	}
}
