package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/runner"
)

func buildCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "build an image on the Docker host, without a pipeline",
		ArgsUsage: "[DIRECTORY]",
		Description: "Builds a Dockerfile in a container like that of a job, and with --push brings the image to\n" +
			"its registry. --mode says how: socket with the Docker Engine itself, dind in a Docker daemon\n" +
			"of the build's own, rootless with buildah and without privileges. In dind and rootless the\n" +
			"image is gone without --push. Where there is a hepta.yaml, images and the way to the stack's\n" +
			"registry come from it; without one, hepta build works with any Docker Engine.\n\n" +
			"The build gets the directory as it lies there, like with docker build: changed, new and\n" +
			"untracked files too. --tracked leaves out what Git or Mercurial does not track; --revision\n" +
			"takes the files of a commit and nothing of the working copy. What .dockerignore names is left\n" +
			"out in every case.\n\n" +
			"Registries are asked with the credentials of this machine: docker login, or hepta registry\n" +
			"login. Ctrl-C stops the build and leaves nothing. docs/builds.md says more.\n\n" +
			"Examples:\n" +
			"   hepta build --tag registry.example.org/group/app:1 --push\n" +
			"   hepta build --mode rootless --tracked --tag registry.example.org/group/app:1 --push app\n" +
			"   hepta build --mode dind --cache app --revision v1.2 --tag registry.example.org/group/app:1.2 --push\n" +
			"   hepta build --secret id=netrc,src=$HOME/.netrc --tag registry.example.org/group/app:1 --push\n" +
			"   hepta build --json | jq -r .image",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "mode", Value: string(runner.Socket), Usage: "socket, dind or rootless"},
			&cli.StringSliceFlag{Name: "tag", Aliases: []string{"t"}, Usage: "name of the image; may be given again"},
			&cli.BoolFlag{Name: "push", Usage: "push the image under every --tag"},
			&cli.StringFlag{Name: "dockerfile", Usage: "path below the directory (default: Dockerfile)"},
			&cli.StringFlag{Name: "target", Usage: "stage to end with (default: the last)"},
			&cli.StringSliceFlag{Name: "build-arg", Usage: "NAME=value for ARG, no secrets; may be given again"},
			&cli.StringSliceFlag{Name: "secret", Usage: "id=ID[,src=FILE|,env=NAME] for RUN --mount=type=secret; may be given again"},
			&cli.BoolFlag{Name: "tracked", Usage: "only files that Git or Mercurial tracks, as they are now"},
			&cli.StringFlag{Name: "revision", Aliases: []string{"r"}, Usage: "the files of this commit, branch or tag"},
			&cli.BoolFlag{Name: "no-cache", Usage: "run every step, without the build cache"},
			&cli.BoolFlag{Name: "pull", Usage: "ask for newer base images"},
			&cli.StringFlag{Name: "cache", Usage: "volume that keeps what was pulled and built for the next build, modes dind and rootless"},
			&cli.IntFlag{Name: "cache-size", Value: runner.DefaultBuildCacheSize >> 30, Usage: "GiB beyond which a build begins with less of what --cache keeps"},
			&cli.StringSliceFlag{Name: "cache-from", Usage: "image (mode rootless: repository) of a registry with steps to begin with; may be given again"},
			&cli.StringSliceFlag{Name: "cache-to", Usage: "where --cache-from finds them: type=inline, mode rootless: a repository; may be given again"},
			&cli.StringFlag{Name: "image", Usage: "image that builds (default: that of the runner of this mode)"},
			&cli.BoolFlag{Name: "json", Usage: "write the result as JSON"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usage{errors.New("build takes one directory at most")}
			}
			if c.Bool("tracked") && c.IsSet("revision") {
				return usage{errors.New("--tracked and --revision exclude each other")}
			}
			if c.Bool("push") && len(c.StringSlice("tag")) == 0 {
				return usage{errors.New("--push needs a --tag: where to push")}
			}
			size, err := cacheSize(c)
			if err != nil {
				return err
			}
			secrets, err := buildSecrets(t, c.StringSlice("secret"))
			if err != nil {
				return err
			}
			r, err := buildImage(c, t, runner.BuildOptions{
				Mode:       runner.Mode(c.String("mode")),
				Source:     runner.Source{Dir: c.Args().First(), Tracked: c.Bool("tracked"), Revision: c.String("revision")},
				Dockerfile: c.String("dockerfile"), Target: c.String("target"), Args: c.StringSlice("build-arg"),
				Tags: c.StringSlice("tag"), Push: c.Bool("push"),
				NoCache: c.Bool("no-cache"), Pull: c.Bool("pull"), Cache: c.String("cache"), CacheSize: size,
				CacheFrom: c.StringSlice("cache-from"), CacheTo: c.StringSlice("cache-to"), Secrets: secrets,
				Image: c.String("image"),
			})
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return writeJSON(t.out, r)
			}
			return tellBuild(t, r)
		},
	}
}

// cacheSize is that of --cache in bytes; 0 leaves it open.
func cacheSize(c *cli.Context) (int64, error) {
	const most = 1 << 20 // GiB
	switch size := c.Int("cache-size"); {
	case !c.IsSet("cache-size"):
		return 0, nil
	case size < 1 || size > most:
		return 0, usage{fmt.Errorf("--cache-size takes 1 to %d GiB, not %d", most, size)}
	case c.String("cache") == "":
		return 0, usage{errors.New("--cache-size is about the volume of --cache, which is missing")}
	default:
		return int64(size) << 30, nil
	}
}

// buildImage builds with what hepta.yaml says, or without one where there is none.
func buildImage(c *cli.Context, t terminal, o runner.BuildOptions) (*runner.BuildResult, error) {
	file := configFile(c)
	if _, err := os.Stat(file); file != hepta.DefaultFile || !errors.Is(err, fs.ErrNotExist) {
		s, err := open(c, t)
		if err != nil {
			return nil, err
		}
		defer s.close()
		return s.stack.Build(c.Context, o)
	}
	mode, err := render.ParseMode(c.String(flagProgress))
	if err != nil {
		return nil, usage{err}
	}
	p := render.New(mode, t.err, t.view(c.Bool(flagNoColor)))
	defer p.Close()
	opts := []runner.Option{runner.WithHost(c.String(flagHost)), runner.WithProgress(p.Sink())}
	if c.Bool(flagVerbose) {
		opts = append(opts, runner.WithLogger(slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	}
	return runner.Build(c.Context, o, opts...)
}

// tellBuild writes what a script wants on standard output: how the image is
// found again.
func tellBuild(t terminal, r *runner.BuildResult) error {
	name := r.Reference
	if name == "" {
		name = r.Image
	}
	if !r.Kept {
		fmt.Fprintln(t.err, "The image was built and is gone: nothing keeps it in mode "+string(r.Mode)+" without --push.")
	}
	took := time.Duration(r.Seconds * float64(time.Second))
	fmt.Fprintf(t.err, "%d files, %s, built in %s\n", r.Context.Files, render.Bytes(r.Context.Bytes), render.Elapsed(took))
	_, err := fmt.Fprintln(t.out, name)
	return err
}
