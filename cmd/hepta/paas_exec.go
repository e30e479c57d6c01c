package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/runner/paas"
	"github.com/heptaup/hepta/runner/paas/relay"
)

// How exec-fetched-job ends when the job was run, or was not ours any more.
const (
	exitJobFailed = 3
	exitJobGone   = 4
)

func paasExecCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "exec-fetched-job",
		Usage:     "run one job that was taken beforehand, in a stock GitLab Runner",
		ArgsUsage: "JOB.json",
		Description: "What the host of a job runs. The runner gets the job from a coordinator beside it, which passes\n" +
			"trace, state and artifacts on to the forge. A job runs at most once: begun before, it fails, and\n" +
			"so it does when the runner dies or the host is stopped. The exit code is 0 when the job succeeded,\n" +
			"3 when it failed, 4 when it was canceled or taken away, else 1.\n\n" +
			"Examples:\n" +
			"   hepta paas exec-fetched-job --config /etc/heptapod-runner/runner.toml /etc/heptapod-runner/job.json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Value: "/etc/heptapod-runner/runner.toml", Usage: "the runner's section"},
			&cli.StringFlag{Name: "runner", Value: "gitlab-runner", Usage: "the stock runner's program"},
			&cli.StringFlag{Name: "address", Usage: "IP address at which containers of jobs reach this machine (default: that of the default route)"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage{fmt.Errorf("%s takes the file of one job", c.Command.Name)}
			}
			file := c.Args().First()
			data, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("read job: %w", err)
			}
			job, err := paas.ParseJob(data)
			if err != nil {
				return err
			}
			config, err := os.ReadFile(c.String("config"))
			if err != nil {
				return fmt.Errorf("read the runner's section: %w", err)
			}
			outcome, err := relay.Relay{
				Config: config, Job: job, Runner: c.String("runner"), Dir: filepath.Dir(file), Address: c.String("address"),
				Output: t.err, Log: slog.New(slog.NewTextHandler(t.err, nil)),
			}.Run(c.Context)
			switch {
			case err != nil:
				return err
			case outcome == relay.Failed:
				return exit(exitJobFailed)
			case outcome == relay.Gone:
				return exit(exitJobGone)
			}
			return nil
		},
	}
}
