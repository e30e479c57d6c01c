package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// build is what the program knows about itself.
type build struct {
	Version  string            `json:"version"`
	Revision string            `json:"revision,omitempty"`
	Time     string            `json:"time,omitempty"`
	Modified bool              `json:"modified,omitempty"`
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	Images   map[string]string `json:"images"` // what runs where hepta.yaml names none
}

func versionCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "show the version",
		Description: "Shows the version of hepta; with --json also of what it was built from, and the default images.\n\nExamples:\n   hepta version\n   hepta version --json",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write the result as JSON"}},
		Action: noArguments(func(c *cli.Context) error {
			b := built()
			if c.Bool("json") {
				return writeJSON(t.out, b)
			}
			_, err := fmt.Fprintln(t.out, "hepta", b.Version)
			return err
		}),
	}
}

func version() string { return built().Version }

func built() build {
	b := build{
		Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Images: map[string]string{
			"traefik": traefik.DefaultImage, "socket-proxy": traefik.DefaultSocketProxyImage, "heptapod": heptapod.DefaultImage, "runner": runner.DefaultImage, "job": runner.DefaultJobImage,
		},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
