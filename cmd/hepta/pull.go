package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
)

func pullCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "pull",
		Usage: "pull newer images of the services",
		Description: "Gets the images of the services that the Docker host does not have, and those whose names float:\n" +
			"traefik:v3.6 and latest may mean another image tomorrow, traefik:v3.6.12 and a digest may not. The\n" +
			"images that hepta names itself are exact. Nothing is started anew; 'hepta plan' shows what 'hepta up'\n" +
			"would then replace. Images of jobs are the runners' business: see pull_policy.\n\n" +
			"Examples:\n" +
			"   hepta pull\n" +
			"   hepta pull --json | jq -r '.[] | select(.result == \"new\") | .image'\n" +
			"   hepta up --pull",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write what came of each image as JSON"}},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			list, err := s.stack.Pull(c.Context)
			s.progress.Close()
			shown := error(nil)
			switch {
			case list == nil: // nothing was tried
			case c.Bool("json"):
				shown = writeJSON(t.out, list)
			default:
				shown = render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), pulledTable(list))
			}
			if err != nil {
				return err
			}
			return shown
		}),
	}
}

// pulledTable has a row for each image.
func pulledTable(list []hepta.PulledImage) render.Rows {
	rows := render.Rows{Head: []string{"IMAGE", "SERVICES", "RESULT"}}
	newer := false
	for _, p := range list {
		mood := render.Good
		switch p.Result {
		case hepta.PullNew:
			mood, newer = render.Changed, true
		case hepta.PullFailed:
			mood = render.Bad
		}
		rows.Lines = append(rows.Lines, render.Row{Mood: mood, Cells: []string{p.Image, strings.Join(p.Services, ", "), string(p.Result)}})
	}
	if newer {
		rows.Below = []string{"'hepta plan' shows which services would be replaced, 'hepta up' does it."}
	}
	return rows
}
