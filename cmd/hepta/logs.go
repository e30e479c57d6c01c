package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
)

func logsCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "logs",
		Usage:     "show the logs of the services",
		ArgsUsage: "[SERVICE…]",
		Description: "Shows the logs of all services, or of those named, each line with its service in front.\n\n" +
			"Examples:\n" +
			"   hepta logs --tail 100\n" +
			"   hepta logs -f heptapod\n" +
			"   hepta logs --since 10m traefik runner",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "follow the output until interrupted"},
			&cli.StringFlag{Name: "since", Usage: "only lines since a time (2026-01-31T12:00:00Z) or for a duration (10m)"},
			&cli.StringFlag{Name: "tail", Value: "all", Usage: "number of lines of each service"},
		},
		Action: func(c *cli.Context) error {
			o := hepta.LogOptions{Services: c.Args().Slice(), Follow: c.Bool("follow")}
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
			print := logPrinter(t, s.stack.Services(), t.colorful(t.out, c.Bool(flagNoColor)))
			err = s.stack.Logs(c.Context, o, print)
			if o.Follow && errors.Is(err, context.Canceled) {
				return exit(exitInterrupted)
			}
			return err
		},
	}
}

// since reads a point in time, or how long ago it was.
func since(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q is neither a time (2026-01-31T12:00:00Z) nor a duration (10m)", text)
}

func tail(text string) (int, error) {
	if text == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("--tail %q is neither a number of lines nor all", text)
	}
	return n, nil
}

// logPrinter writes lines with their service in front, each service in its colour.
func logPrinter(t terminal, services []string, color bool) func(hepta.LogLine) {
	width := 0
	for _, s := range services {
		width = max(width, len(s))
	}
	colors := map[string]string{}
	for i, s := range services {
		colors[s] = strconv.Itoa(32 + i%5)
	}
	return func(l hepta.LogLine) {
		head := fmt.Sprintf("%-*s |", width, l.Service)
		if color {
			head = "\x1b[" + colors[l.Service] + "m" + head + "\x1b[0m"
		}
		fmt.Fprintln(t.out, head, l.Text)
	}
}
