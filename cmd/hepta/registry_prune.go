package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
)

func registryPruneCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove the tags that registry.cleanup names",
		Description: "The forge cleans up by itself, once a day or as registry.cleanup in hepta.yaml says. This does it\n" +
			"now, and gives the policy to projects that were made since 'hepta up' set it. It shows what\n" +
			"would go and asks before on a terminal; elsewhere it wants --yes. The room of what is gone is\n" +
			"freed by 'hepta registry gc'.\n\n" +
			"Examples:\n" +
			"   hepta registry prune --dry-run\n" +
			"   hepta registry prune --yes\n" +
			"   hepta registry prune --project group/project",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "project", Usage: "path of a project or group to look at; may be given again (default: those of registry.cleanup)"},
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"d"}, Usage: "only show what would be removed"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask for confirmation"},
			&cli.BoolFlag{Name: "json", Usage: "write the result as JSON"},
		},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			o := hepta.RegistryPrune{Projects: c.StringSlice("project"), DryRun: true}
			would, err := s.stack.PruneRegistry(c.Context, o)
			s.progress.Close()
			if err != nil {
				return err
			}
			if c.Bool("dry-run") || len(would.Removed) > 0 && !c.Bool("yes") {
				if err := showPruned(c, t, would); err != nil {
					return err
				}
			}
			if c.Bool("dry-run") {
				return nil
			}
			if len(would.Removed) > 0 {
				if err := agreed(c, t); err != nil {
					return err
				}
			}
			o.DryRun = false
			done, err := s.stack.PruneRegistry(c.Context, o)
			if done != nil && (err == nil || len(done.Removed) > 0) {
				for _, p := range done.Set {
					fmt.Fprintf(t.err, "%s cleans up by itself from now on.\n", p)
				}
				if shown := showPruned(c, t, done); err == nil {
					err = shown
				}
			}
			return err
		}),
	}
}

// showPruned writes which tags went, or would.
func showPruned(c *cli.Context, t terminal, p *hepta.Pruned) error {
	if c.Bool("json") {
		return writeJSON(t.out, p)
	}
	if len(p.Removed) == 0 {
		_, err := fmt.Fprintln(t.out, "Nothing to do: no tag is to go.")
		return err
	}
	rows := render.Rows{Head: []string{"REPOSITORY", "TAG", "CREATED"}}
	for _, r := range p.Removed {
		rows.Lines = append(rows.Lines, render.Row{Mood: render.Changed, Cells: []string{r.Repository, r.Tag, r.Created.Format(time.DateTime)}})
	}
	rows.Below = []string{fmt.Sprintf("Tags: %d.", len(p.Removed))}
	return render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), rows)
}
