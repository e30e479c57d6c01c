package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
)

func planCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "show what up would do, and why",
		Description: "Looks at the host and lists what 'hepta up' would do, each with its cause. It changes\n" +
			"nothing. The exit code is 0 when there is nothing to do and 2 when there is something.\n\n" +
			"Examples:\n" +
			"   hepta plan\n" +
			"   hepta plan --json | jq '.operations[].cause'\n" +
			"   hepta plan --graph",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "write the plan as JSON"},
			&cli.BoolFlag{Name: "graph", Usage: "show every call with the numbers of those it waits for"},
			renamedFlag(),
			newDataFlag(),
		},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			plan, err := s.stack.PlanUp(c.Context, hepta.UpOptions{Renamed: c.Bool(flagRenamed), NewData: c.Bool(flagNewData)})
			s.progress.Close()
			if err != nil {
				return err
			}
			if err := showPlan(c, t, plan); err != nil {
				return err
			}
			if !plan.Empty() {
				return exit(exitChanges)
			}
			return nil
		}),
	}
}

func showPlan(c *cli.Context, t terminal, plan *hepta.Plan) error {
	switch {
	case c.Bool("json"):
		return writeJSON(t.out, plan)
	case c.Bool("graph"):
		_, err := fmt.Fprint(t.out, plan)
		return err
	}
	return render.Plan(t.out, plan, "up", t.colorful(t.out, c.Bool(flagNoColor)))
}

// writeJSON writes v as people can read it too.
func writeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
