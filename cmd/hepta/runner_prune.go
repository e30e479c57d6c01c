package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/runner"
)

func runnerPruneCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove what jobs have left on the Docker host",
		Description: "Lists containers, networks and volumes that jobs of GitLab runners have left on the Docker host,\n" +
			"and images that jobs have built there, with what each would free; with --force it removes them.\n" +
			"They are known by the names and labels that every runner gives to what it makes, this stack's\n" +
			"or another's; a label that an image brings does not count. Nothing else is touched, nor what a\n" +
			"job uses that runs. What was in use less than --older-than ago stays, for a job has moments\n" +
			"without a container. What runs for a job of this stack whose runner has died goes at once.\n" +
			"With --to-size it keeps images and build cache of the Engine to the size that runner.prune in\n" +
			"hepta.yaml gives, and leaves caches of projects alone: that is what the timer of 'hepta systemd'\n" +
			"runs. docs/runners.md says what it never takes.\n\n" +
			"Examples:\n" +
			"   hepta runner prune\n" +
			"   hepta runner prune --force --keep-caches\n" +
			"   hepta runner prune --to-size\n" +
			"   hepta runner prune --older-than 24h --json | jq '.bytes'",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "remove what is listed"},
			&cli.DurationFlag{Name: "older-than", Value: runner.DefaultPruneAge, DefaultText: "1h", Usage: "only what has not been used for this long"},
			&cli.BoolFlag{Name: "keep-caches", Usage: "keep the caches of projects, which make their next jobs faster; caches of old tokens are removed"},
			&cli.BoolFlag{Name: "to-size", Usage: "keep images and build cache to the size of runner.prune in hepta.yaml"},
			&cli.BoolFlag{Name: "no-sizes", Usage: "leave out sizes, which can take the Engine minutes"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "also list what is kept, and why"},
			&cli.BoolFlag{Name: "json", Usage: "write the list as JSON, with what stays"},
		},
		Action: noArguments(func(c *cli.Context) error {
			if c.Duration("older-than") <= 0 {
				return usage{errors.New("--older-than takes a duration such as 1h")}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			o := runner.PruneOptions{Force: c.Bool("force"), Age: c.Duration("older-than"), KeepCaches: c.Bool("keep-caches"), NoSizes: c.Bool("no-sizes")}
			if c.Bool("to-size") {
				described := s.stack.Config().Runner.Prune
				if described == nil {
					return &fault.Error{Op: "keep the disk to a size", Why: "hepta.yaml gives none", Remedy: "Add it, for example: runner: {prune: {keep: 20g}}"}
				}
				o.KeepCaches, o.Limit = true, &runner.DiskLimit{Keep: described.Keep, Dedicated: described.Dedicated}
			}
			p, err := s.stack.PruneRunners(c.Context, o)
			s.progress.Close()
			if p == nil {
				return err
			}
			if c.Bool("json") {
				return errors.Join(err, writeJSON(t.out, p))
			}
			rows := pruneTable(p, c.Bool("force"), c.Bool("all"), !c.Bool("no-sizes"), time.Now())
			return errors.Join(err, render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), rows))
		}),
	}
}

func pruneTable(p *runner.Pruned, force, all, sizes bool, now time.Time) render.Rows {
	rows := render.Rows{Head: []string{"KIND", "NAME", "JOB", "AGE", "FREES", "KEPT"}}
	goes, stays := 0, 0
	for _, l := range p.Leftovers {
		row := render.Row{Mood: render.Changed, Cells: []string{string(l.Kind), l.Name, dash(l.Job), "-", "-", dash(l.Kept)}}
		if l.Kept != "" {
			stays++
			if row.Mood = render.Good; !all {
				continue
			}
		} else {
			goes++
			if sizes {
				row.Cells[4] = render.Bytes(l.Bytes)
			}
		}
		if !l.Created.IsZero() {
			row.Cells[3] = render.Elapsed(now.Sub(l.Created).Truncate(time.Second))
		}
		rows.Lines = append(rows.Lines, row)
	}
	text, would := fmt.Sprintf("Removed: %d", goes), "freed"
	if !force {
		text, would = fmt.Sprintf("To be removed: %d", goes), "would be freed"
	}
	if sizes && goes > 0 {
		text += fmt.Sprintf("; %s %s", render.Bytes(p.Bytes), would)
	}
	rows.Below = []string{fmt.Sprintf("%s. Kept: %d.", text, stays)}
	if p.Over > 0 {
		rows.Below = append(rows.Below, render.Bytes(p.Over)+" more than runner.prune.keep stay: in use, or not the runners' to remove.")
	}
	if !force && goes > 0 {
		rows.Below = append(rows.Below, "Nothing was done: the same command with --force removes them.")
	}
	return rows
}
