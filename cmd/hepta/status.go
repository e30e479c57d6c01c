package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
)

func statusCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show the state of the services",
		Description: "Shows state, health, image, age and addresses of every service, and whether it is as the\n" +
			"configuration describes it. The exit code is 0 when every service runs, is healthy and has\n" +
			"refused none of its settings, else 1.\n\n" +
			"Examples:\n" +
			"   hepta status\n" +
			"   hepta status --json | jq -r '.services[] | select(.health != \"healthy\") | .name'",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write the status as JSON"}},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			status, err := s.stack.Status(c.Context)
			s.progress.Close()
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = writeJSON(t.out, status)
			} else {
				err = render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), statusTable(status, time.Now()))
			}
			if err == nil && !status.OK() {
				err = exit(exitFailure)
			}
			return err
		}),
	}
}

// statusTable is the status as rows, with what is worth saying below them.
func statusTable(s *hepta.Status, now time.Time) render.Rows {
	rows := render.Rows{Head: []string{"SERVICE", "STATE", "HEALTH", "AGE", "IMAGE", "ADDRESS"}}
	for _, x := range s.Services {
		age := "-"
		if !x.Created.IsZero() {
			age = render.Elapsed(now.Sub(x.Created).Truncate(time.Second))
		}
		address := "-"
		if len(x.URLs) > 0 {
			address = strings.Join(x.URLs, " ")
		}
		health := x.Health
		if health == "" {
			health = "-"
		}
		mood := render.Good
		switch {
		case !x.OK():
			mood = render.Bad
		case len(x.Drift) > 0:
			mood = render.Changed
		}
		rows.Lines = append(rows.Lines, render.Row{Mood: mood, Cells: []string{x.Name, x.State, health, age, x.Image, address}})
		if x.Problem != "" {
			rows.Below = append(rows.Below, fmt.Sprintf("%s: %s", x.Name, x.Problem))
		}
		for _, d := range x.Drift {
			rows.Below = append(rows.Below, fmt.Sprintf("%s: %s", x.Name, d))
		}
	}
	for _, c := range s.Certificates {
		rows.Below = append(rows.Below, c.String())
	}
	rows.Below = append(rows.Below, s.Notes...)
	if s.Refused != "" {
		rows.Below = append(rows.Below, "'hepta up' refuses what is described:")
		rows.Below = append(rows.Below, strings.Split(s.Refused, "\n")...)
	}
	if s.Changes > 0 {
		rows.Below = append(rows.Below, "The host differs from the configuration. Show how: hepta plan. Change it: hepta up.")
	}
	return rows
}
