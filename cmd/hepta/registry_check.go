package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/registry"
)

func registryCheckCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "check whether Docker can use the registry",
		Description: "Asks the registry what a Docker client asks before it logs in. With a user and a project it\n" +
			"goes all the way: it pushes an image of some hundred bytes to the project as tag\n" +
			registry.CheckTag + ", pulls it back and removes it where the user may. Every finding that fails\n" +
			"says what it leads to and what to do. The exit code is 0 when none fails, else 1.\n\n" +
			"Examples:\n" +
			"   hepta registry check\n" +
			"   hepta registry check --username alice --token-file alice.token --repository group/project\n" +
			"   hepta registry check --json | jq '.findings[] | select(.ok | not)'",
		Flags: append(credentialFlags(),
			&cli.StringFlag{Name: "repository", Usage: "path of the project to push to"},
			&cli.BoolFlag{Name: "json", Usage: "write the report as JSON"}),
		Action: noArguments(func(c *cli.Context) error {
			o := hepta.RegistryCheck{Repository: c.String("repository")}
			if named := c.IsSet("username") || c.IsSet("token-file") || c.Bool("password-stdin"); named != (o.Repository != "") {
				return usage{errors.New("--repository and --username go together: who pushes, and where to")}
			}
			if o.Repository != "" {
				var err error
				if o.Credentials, err = credentials(c, t); err != nil {
					return err
				}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			report, err := s.stack.CheckRegistry(c.Context, o)
			s.progress.Close()
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = writeJSON(t.out, report)
			} else {
				err = render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), reportTable(report))
			}
			if err == nil && !report.OK() {
				err = exit(exitFailure)
			}
			return err
		}),
	}
}

// reportTable is a report as rows, with what its failures mean below them.
func reportTable(r *registry.Report) render.Rows {
	rows := render.Rows{Head: []string{"CHECK", "SAW"}}
	for _, f := range r.Findings {
		mood := render.Good
		if f.Note {
			mood = render.Changed
		}
		if !f.OK {
			mood = render.Bad
			rows.Below = append(rows.Below, f.Check+": "+f.Means, "  "+f.Remedy)
		}
		rows.Lines = append(rows.Lines, render.Row{Mood: mood, Cells: []string{f.Check, f.Saw}})
	}
	return rows
}
