package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/registry"
)

func registryListCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list repositories and tags with their sizes",
		Description: "Asks the forge what its registry holds. The forge answers tag by tag, so that many tags\n" +
			"take their time; --project limits it to one project. Layers that tags share count for each.\n" +
			"Below stands which tags the forge removes by itself (registry.cleanup in hepta.yaml).\n\n" +
			"Examples:\n" +
			"   hepta registry list\n" +
			"   hepta registry list --project group/project\n" +
			"   hepta registry list --json | jq -r '.[].tags[].digest'",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "project", Usage: "path of the only project to look at"},
			&cli.BoolFlag{Name: "json", Usage: "write the list as JSON"},
		},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			list, err := s.stack.ListRegistry(c.Context, registry.ListOptions{Project: c.String("project")})
			s.progress.Close()
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return writeJSON(t.out, list)
			}
			return render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), repositoryTable(list))
		}),
	}
}

// repositoryTable has a row for each tag, and for each repository without any.
func repositoryTable(list []registry.Repository) render.Rows {
	rows := render.Rows{Head: []string{"REPOSITORY", "TAG", "SIZE", "DIGEST", "CREATED"}}
	tags := 0
	for _, r := range list {
		if len(r.Tags) == 0 {
			rows.Lines = append(rows.Lines, render.Row{Mood: render.Changed, Cells: []string{r.Path, "-", "-", "-", "-"}})
		}
		for _, tag := range r.Tags {
			tags++
			row := render.Row{Mood: render.Good, Cells: []string{r.Path, tag.Name, "-", tag.Digest, "-"}}
			if tag.Size > 0 {
				row.Cells[2] = render.Bytes(tag.Size)
			}
			if !tag.Created.IsZero() {
				row.Cells[4] = tag.Created.Format(time.DateTime)
			}
			if tag.Broken {
				row.Mood, row.Cells[3] = render.Bad, "unreadable"
			}
			rows.Lines = append(rows.Lines, row)
		}
	}
	rows.Below = append([]string{fmt.Sprintf("Repositories: %d, tags: %d.", len(list), tags)}, cleanupLines(list)...)
	return rows
}

// cleanupLines say for each project which tags the forge removes by itself.
func cleanupLines(list []registry.Repository) []string {
	var lines []string
	told := map[string]bool{}
	for _, r := range list {
		if r.Cleanup == nil || told[r.Project] {
			continue
		}
		told[r.Project] = true
		lines = append(lines, fmt.Sprintf("Cleanup of %s: %s.", r.Project, r.Cleanup))
	}
	return lines
}
