package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/runner/ci"
)

func ciCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "ci",
		Usage: "write pipelines that build images",
		Description: "Works in a clone of a project, Git or Mercurial. It needs neither a hepta.yaml nor a Docker\n" +
			"Engine. docs/ci.md says more.\n\n" +
			"Examples:\n" +
			"   hepta ci init\n" +
			"   hepta ci init --mode dind --pipeline test",
		Subcommands: []*cli.Command{ciInitCommand(t)},
	}
}

func ciInitCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "write a .gitlab-ci.yml, and a Dockerfile if there is none",
		ArgsUsage: "[DIRECTORY]",
		Description: "Writes a commented pipeline: build makes an image at every push; test makes one a commit, tests\n" +
			"it beside a database and then releases it; publish makes one for every tag. Without --mode it\n" +
			"asks, on a terminal, for what the flags leave open. Another .gitlab-ci.yml is not touched\n" +
			"without --force, and a Dockerfile never.\n\n" +
			"Examples:\n" +
			"   hepta ci init\n" +
			"   hepta ci init --mode dind --pipeline test --tag docker\n" +
			"   hepta ci init --mode rootless --pipeline publish --print",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "pipeline", Usage: "build, test or publish (default: build)"},
			&cli.StringFlag{Name: "mode", Usage: "how the runner builds images: dind, socket or rootless"},
			&cli.StringSliceFlag{Name: "tag", Usage: "tag of the runner; may be given again (default: the mode)"},
			&cli.BoolFlag{Name: "untagged", Usage: "the runner takes jobs without tags"},
			&cli.BoolFlag{Name: "force", Usage: "replace an existing .gitlab-ci.yml"},
			&cli.BoolFlag{Name: "print", Usage: "write the .gitlab-ci.yml on standard output and no file"},
			&cli.BoolFlag{Name: "json", Usage: "write the result as JSON"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usage{errors.New("ci init takes one directory at most")}
			}
			d := ci.Draft{Pipeline: ci.Pipeline(c.String("pipeline")), Mode: runner.Mode(c.String("mode")), Tags: c.StringSlice("tag")}
			if !c.IsSet("tag") {
				d.Tags = nil
			}
			if c.Bool("untagged") {
				if c.IsSet("tag") {
					return usage{errors.New("--tag and --untagged exclude each other")}
				}
				d.Tags = []string{}
			}
			if d.Mode == "" {
				if !t.interactive() {
					return usage{errors.New("--mode is missing: dind, socket or rootless, as the runner's")}
				}
				if err := askPipeline(t, c, &d); err != nil {
					return err
				}
			}
			if c.Bool("print") {
				return printPipeline(c, t, d)
			}
			files, err := d.Write(cmp.Or(c.Args().First(), "."), c.Bool("force"))
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return writeJSON(t.out, files)
			}
			for _, f := range files {
				fmt.Fprintln(t.out, f.Path+": "+outcomes[f.Outcome])
			}
			_, err = fmt.Fprintln(t.out, "Look them over, then commit and push them.")
			return err
		},
	}
}

var outcomes = map[ci.Outcome]string{
	ci.Written: "written", ci.Replaced: "replaced", ci.Same: "is like this already", ci.Kept: "there already, left as it is",
}

func printPipeline(c *cli.Context, t terminal, d ci.Draft) error {
	text, err := d.YAML()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		path := filepath.Join(cmp.Or(c.Args().First(), "."), ci.PipelineFile)
		return writeJSON(t.out, []ci.File{{Path: path, Content: string(text)}})
	}
	_, err = t.out.Write(text)
	return err
}

// askPipeline fills in what the flags leave open. What is no good is asked for
// again.
func askPipeline(t terminal, c *cli.Context, d *ci.Draft) error {
	try := func() error {
		tried := *d
		tried.Mode = cmp.Or(tried.Mode, runner.Dind) // not asked for yet
		_, err := tried.YAML()
		return err
	}
	// What the flags say is no answer to be asked for again.
	if err := try(); err != nil {
		return err
	}
	in := bufio.NewReader(t.in)
	for _, q := range []struct {
		text, proposal string
		skip           bool
		take           func(answer string)
	}{
		{"What it does: build, test or publish", string(ci.Build), c.IsSet("pipeline"), func(a string) { d.Pipeline = ci.Pipeline(a) }},
		{"Mode of the runner: dind, socket or rootless", string(runner.Dind), false, func(a string) { d.Mode = runner.Mode(a) }},
		{"Tags of the runner, several with commas; empty for one like the mode", "", d.Tags != nil, func(a string) {
			d.Tags = nil
			for _, tag := range strings.FieldsFunc(a, func(r rune) bool { return r == ',' }) {
				d.Tags = append(d.Tags, strings.TrimSpace(tag))
			}
		}},
	} {
		for !q.skip {
			answer, err := question(t, in, q.text, q.proposal)
			if err != nil {
				return err
			}
			q.take(answer)
			if err := try(); err != nil {
				explain(t, err, c.Bool(flagNoColor))
				continue
			}
			break
		}
	}
	return nil
}
