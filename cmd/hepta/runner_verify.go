package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/runner"
)

func runnerVerifyCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "check the runners' tokens, and what their jobs reach",
		Description: "Asks the forge for each section of config.toml on the host, also those that somebody else wrote\n" +
			"there. For the runners of hepta.yaml that take jobs it then looks, from where these stand, whether\n" +
			"they reach forge and registry, which takes some seconds. With --fix what is refused is put in\n" +
			"order: a runner of hepta.yaml gets a new token, or is created again where the forge has lost it; other\n" +
			"sections are dropped. What jobs do not reach is told and left. Nothing is restarted. The exit code\n" +
			"is 0 when every token is good in the end and jobs reach what they need, else 1.\n\n" +
			"Examples:\n" +
			"   hepta runner verify\n" +
			"   hepta runner verify --fix\n" +
			"   hepta runner verify --json | jq -r '.[] | select(.dead or .reached == false) | .name'",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "fix", Usage: "repair what the forge rejects"},
			&cli.BoolFlag{Name: "json", Usage: "write the result as JSON"},
		},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			list, err := s.stack.VerifyRunners(c.Context, c.Bool("fix"))
			s.progress.Close()
			if err != nil && len(list) == 0 {
				return err
			}
			wrong := false
			for _, v := range list {
				wrong = wrong || v.Problem != ""
			}
			shown := error(nil)
			if c.Bool("json") {
				shown = writeJSON(t.out, list)
			} else {
				shown = render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), verdictTable(list))
			}
			switch {
			case err != nil:
				return err
			case shown == nil && wrong:
				return exit(exitFailure)
			}
			return shown
		}),
	}
}

func verdictTable(list []runner.Verdict) render.Rows {
	rows := render.Rows{Head: []string{"RUNNER", "TOKEN", "REACHED", "DONE", "ID", "FORGE"}}
	for _, v := range list {
		row := render.Row{Mood: render.Changed, Cells: []string{dash(v.Name), "unknown", "-", dash(v.Done), "-", v.Forge}}
		switch {
		case v.Alive:
			row.Mood, row.Cells[1] = render.Good, "good"
		case v.Dead && v.Done == "":
			row.Mood, row.Cells[1] = render.Bad, "refused"
		case v.Dead:
			row.Cells[1] = "was refused"
		}
		if v.Reached != nil {
			row.Cells[2] = "yes"
			if !*v.Reached {
				row.Mood, row.Cells[2] = render.Bad, "no"
			}
		}
		if v.ID != 0 {
			row.Cells[4] = fmt.Sprint(v.ID)
		}
		rows.Lines = append(rows.Lines, row)
		rows.Below = append(rows.Below, advice(v.Name, v.Problem, v.Remedy)...)
	}
	return rows
}
