package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/internal/shell"
	"github.com/heptaup/hepta/internal/try"
)

func tryCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "try",
		Usage: "try a whole forge in a sandbox, and remove it again",
		Description: "Starts a Docker Engine in a container, brings a forge up in it, pushes a project with hg,\n" +
			"lets a dind job and a socket job build its image, and pulls both images back through the\n" +
			"proxy. It needs no DNS, no certificates, no free ports, and no image registry: the images,\n" +
			"with a stand-in for Heptapod, are made from Debian packages and Go modules. That takes\n" +
			"about ten minutes and 10 GB of disk the first time, most of it in Go's caches; the next\n" +
			"trial finds them. It needs an Engine that may run privileged containers, Go, and mmdebstrap,\n" +
			"which is installed where hepta runs as root on Debian. What an earlier trial left is removed\n" +
			"first.\n\n" +
			"Examples:\n" +
			"   hepta try\n" +
			"   hepta try --keep      look around afterwards; hepta try --down ends it\n" +
			"   hepta try --image octobus/heptapod:17.8.1\n" +
			"   hepta try --json | tail -1",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "keep", Usage: "leave the sandbox running"},
			&cli.BoolFlag{Name: "down", Usage: "remove what an earlier trial left running"},
			&cli.StringFlag{Name: "image", Usage: "this Heptapod image instead of the stand-in; pulled where Docker does not have it"},
			&cli.BoolFlag{Name: "json", Usage: "write JSON lines; the last one is the summary"},
		},
		Action: noArguments(func(c *cli.Context) error {
			mode, err := render.ParseMode(c.String(flagProgress))
			if err != nil {
				return usage{fmt.Errorf("--%w", err)}
			}
			o := try.Options{Host: c.String(flagHost), Image: c.String("image"), Keep: c.Bool("keep")}
			if c.Bool("json") {
				o.Sink = jsonLines(t)
			} else {
				p := render.New(mode, t.err, t.view(c.Bool(flagNoColor)))
				defer p.Close()
				o.Sink = p.Sink()
			}
			if c.Bool("down") {
				return try.Down(c.Context, o)
			}
			summary, err := try.Run(c.Context, o)
			if c.Bool("json") {
				if e := json.NewEncoder(t.out).Encode(summary); e != nil {
					return fmt.Errorf("write summary: %w", e)
				}
				return err
			}
			if err != nil {
				return err
			}
			return reportTrial(c, t, summary, o.Keep)
		}),
	}
}

// jsonLines writes each event as one line on standard output.
func jsonLines(t terminal) progress.Sink {
	var mu sync.Mutex
	out := json.NewEncoder(t.out)
	return func(e progress.Event) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(e) // the summary's own line tells of a broken pipe
	}
}

// reportTrial says what the trial has shown.
func reportTrial(c *cli.Context, t terminal, s *try.Summary, kept bool) error {
	fmt.Fprintf(t.out, "\nA forge came up, took a push by hg, built two images and gave them back, in %.0f s.\n\n", s.Seconds)
	for _, j := range s.Jobs {
		fmt.Fprintf(t.out, "   job    %-14s %-8s %-8s %5.1f s\n", j.Name, j.Mode, j.Status, j.Seconds)
	}
	for _, i := range s.Images {
		fmt.Fprintf(t.out, "   image  %s\n          %s\n", i.Ref, i.Digest)
	}
	if !kept || s.Sandbox == nil {
		fmt.Fprintln(t.out, "\nThe sandbox is gone; its images stay for the next trial. Your own forge: hepta init, then hepta up.")
		return nil
	}
	docker := "docker "
	if host := c.String(flagHost); host != "" {
		docker += "-H " + shell.Word(host) + " "
	}
	at, forge := hostPort(s.URLs["reached_at"]), hostPort(s.URLs["forge"])
	fmt.Fprintf(t.out, "\nThe sandbox runs on. Look around in it:\n\n")
	for _, r := range [][2]string{
		{"open the page", fmt.Sprintf("chromium --ignore-certificate-errors --host-resolver-rules='MAP %s:443 %s' %s", forge, at, s.URLs["project"])},
		{"or fetch it", fmt.Sprintf("curl -kL --connect-to %s:443:%s %s", forge, at, s.URLs["project"])},
		{"root's password", fmt.Sprintf("%sexec %s cat %s", docker, s.Sandbox.Container, s.Sandbox.PasswordFile)},
		{"use hepta", fmt.Sprintf("%sexec -w %s %s hepta status", docker, s.Sandbox.Dir, s.Sandbox.Container)},
		{"remove it all", "hepta try --down"},
	} {
		fmt.Fprintf(t.out, "   %-16s %s\n", r[0], r[1])
	}
	return nil
}

// hostPort is the address in https://127.0.0.1:49153.
func hostPort(url string) string {
	return strings.TrimPrefix(url, "https://")
}
