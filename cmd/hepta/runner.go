package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/internal/shell"
	"github.com/heptaup/hepta/runner"
)

func runnerCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "runner",
		Usage: "list, add, check and clean up after runners",
		Description: "Works with the runners of the stack, each by its name. What runners there are and how they\n" +
			"work is described in hepta.yaml and done by 'hepta up'; docs/runners.md says more.\n\n" +
			"Examples:\n" +
			"   hepta runner list\n" +
			"   hepta runner pause dind\n" +
			"   hepta runner verify --fix\n" +
			"   hepta runner prune",
		Subcommands: []*cli.Command{
			runnerListCommand(t), runnerAddCommand(t), runnerRemoveCommand(t), runnerVerifyCommand(t), runnerPauseCommand(t, true),
			runnerPauseCommand(t, false), runnerRotateCommand(t), runnerLogsCommand(t), runnerPruneCommand(t),
		},
	}
}

// oneRunner is an action on the runner that the only argument names.
func oneRunner(t terminal, action func(ctx context.Context, s *hepta.Stack, name string) (done string, err error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() != 1 {
			return usage{fmt.Errorf("%s takes the name of one runner", c.Command.Name)}
		}
		s, err := open(c, t)
		if err != nil {
			return err
		}
		defer s.close()
		done, err := action(c.Context, s.stack, c.Args().First())
		s.progress.Close()
		if err == nil {
			fmt.Fprintln(t.out, done)
		}
		return err
	}
}

func runnerListCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the runners and their state",
		Description: "Lists the runners of hepta.yaml, and what else config.toml on the host holds, with what the\n" +
			"forge says of each: online, offline, never contacted, paused, gone in forge; or that it is not\n" +
			"in config.toml. The state of one whose token was created by hand is unknown: 'hepta runner\n" +
			"verify' asks with that token. The exit code is 0 when all is well, else 1.\n\n" +
			"Examples:\n" +
			"   hepta runner list\n" +
			"   hepta runner list --json | jq -r '.[] | select(.state != \"online\") | .name'",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write the list as JSON"}},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			list, err := s.stack.ListRunners(c.Context)
			s.progress.Close()
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = writeJSON(t.out, list)
			} else {
				err = render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), runnerTable(list))
			}
			for _, x := range list {
				if err == nil && x.Problem != "" {
					err = exit(exitFailure)
				}
			}
			return err
		}),
	}
}

func runnerTable(list []runner.State) render.Rows {
	rows := render.Rows{Head: []string{"RUNNER", "STATE", "MODE", "TAGS", "ID", "FORGE"}}
	for _, x := range list {
		row := render.Row{Mood: render.Good, Cells: []string{x.Name, string(x.State), dash(string(x.Mode)), dash(strings.Join(x.Tags, ",")), "-", x.Forge}}
		if x.ID != 0 {
			row.Cells[4] = fmt.Sprint(x.ID)
		}
		switch {
		case x.State == runner.Gone || x.State == runner.NotMade || x.State == runner.Offline:
			row.Mood = render.Bad
		case x.Problem != "" || x.State == runner.Paused || x.State == runner.NotAsked:
			row.Mood = render.Changed
		}
		rows.Lines = append(rows.Lines, row)
		rows.Below = append(rows.Below, advice(x.Name, x.Problem, x.Remedy)...)
	}
	if len(list) == 0 {
		rows.Below = []string{"There are no runners. 'hepta runner add' describes one."}
	}
	return rows
}

// advice is a problem with what to do about it, nothing without one.
func advice(name, problem, remedy string) []string {
	if problem == "" {
		return nil
	}
	return []string{strings.TrimSpace(name + ": " + problem + ". " + remedy)}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func runnerAddCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "add a runner to hepta.yaml",
		ArgsUsage: "NAME",
		Description: "Appends a runner to the list in hepta.yaml and leaves everything else in the file, comments\n" +
			"too, as it is. 'hepta up' then makes it; running jobs are not disturbed.\n\n" +
			"Examples:\n" +
			"   hepta runner add --mode dind --tag docker dind\n" +
			"   hepta runner add --mode rootless --tag build --concurrent 2 small",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "mode", Usage: "dind, socket, rootless or plain (default: plain)"},
			&cli.StringSliceFlag{Name: "tag", Usage: "take jobs with this tag; may be given again"},
			&cli.IntFlag{Name: "concurrent", DefaultText: "1", Usage: "number of jobs at the same time"},
			&cli.StringFlag{Name: "image", Usage: "image of jobs that name none"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage{errors.New("add takes the name of one runner")}
			}
			d := hepta.RunnerDraft{Name: c.Args().First(), Mode: c.String("mode"), Tags: c.StringSlice("tag"), Concurrent: c.Int("concurrent"), Image: c.String("image")}
			if err := hepta.AddRunner(configFile(c), d); err != nil {
				return err
			}
			_, err := fmt.Fprintf(t.out, "Runner %s is described in %s. 'hepta up' makes it.\n", d.Name, configFile(c))
			return err
		},
	}
}

func runnerRemoveCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Usage:     "remove a runner that hepta.yaml does not describe any more",
		ArgsUsage: "NAME",
		Description: "Takes a runner that hepta.yaml does not describe out of its forge and out of config.toml on the\n" +
			"host. One that is described is removed by taking it out of hepta.yaml, then 'hepta up'.\n\n" +
			"Examples:\n" +
			"   hepta runner remove old",
		Action: oneRunner(t, func(ctx context.Context, s *hepta.Stack, name string) (string, error) {
			return "Runner " + name + " is removed.", s.RemoveRunner(ctx, name)
		}),
	}
}

func runnerPauseCommand(t terminal, paused bool) *cli.Command {
	c := &cli.Command{
		Name:      "pause",
		Usage:     "pause a runner, so that it takes no new jobs",
		ArgsUsage: "NAME",
		Description: "Running jobs go on. It lasts until 'hepta runner resume', also over 'hepta up', unless `paused` of\n" +
			"the runner is changed in hepta.yaml.\n\n" +
			"Examples:\n" +
			"   hepta runner pause dind",
	}
	done := "Runner %s takes no more jobs. What undoes it: hepta runner resume %s"
	if !paused {
		c.Name, c.Usage, done = "resume", "let a paused runner take jobs again", "Runner %s takes jobs."
		c.Description = "Undoes 'hepta runner pause'.\n\nExamples:\n   hepta runner resume dind"
	}
	c.Action = oneRunner(t, func(ctx context.Context, s *hepta.Stack, name string) (string, error) {
		return strings.Replace(strings.Replace(done, "%s", name, 1), "%s", shell.Word(name), 1), s.PauseRunner(ctx, name, paused)
	})
	return c
}

func runnerRotateCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "rotate",
		Usage:     "give a runner a new token",
		ArgsUsage: "NAME",
		Description: "The forge refuses the old token from then on. The runner takes the new one over within seconds;\n" +
			"nothing is restarted and running jobs go on. Its caches are those of the old token, so that the\n" +
			"next job of each project begins without; 'hepta runner prune --force' removes the old ones.\n\n" +
			"Examples:\n" +
			"   hepta runner rotate dind",
		Action: oneRunner(t, func(ctx context.Context, s *hepta.Stack, name string) (string, error) {
			return "Runner " + name + " has a new token.", s.RotateRunner(ctx, name)
		}),
	}
}

func runnerLogsCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "logs",
		Usage:     "show the logs of the runners",
		ArgsUsage: "[NAME]",
		Description: "Shows the log of the runner container, or its lines about one runner. These name it by the\n" +
			"beginning of its token, so that those of before its token was replaced are missing.\n\n" +
			"Examples:\n" +
			"   hepta runner logs --tail 100\n" +
			"   hepta runner logs -f dind",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "follow the output until interrupted"},
			&cli.StringFlag{Name: "since", Usage: "only lines since a time (2026-01-31T12:00:00Z) or for a duration (10m)"},
			&cli.StringFlag{Name: "tail", Value: "all", Usage: "number of lines, of all runners"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usage{errors.New("logs takes the name of one runner, or none")}
			}
			o := hepta.LogOptions{Follow: c.Bool("follow")}
			var err error
			if o.Since, err = since(c.String("since"), time.Now()); err != nil {
				return usage{err}
			}
			if o.Tail, err = tail(c.String("tail")); err != nil {
				return usage{err}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			s.progress.Close()
			err = s.stack.RunnerLogs(c.Context, c.Args().First(), o, func(l hepta.LogLine) { fmt.Fprintln(t.out, l.Text) })
			if o.Follow && errors.Is(err, context.Canceled) {
				return exit(exitInterrupted)
			}
			return err
		},
	}
}
