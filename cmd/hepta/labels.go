package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
)

func labelsCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "labels",
		Usage:     "show the labels that publish a container of yours",
		ArgsUsage: "HOST",
		Description: "Shows what a container of yours has to carry so that the stack's proxy publishes it under the\n" +
			"host name: options for docker run, or labels for a compose file. The container also has to be on\n" +
			"the proxy's network. hepta.proof is what the proxy believes and no image can know: keep it out of\n" +
			"images and of repositories that others read.\n\n" +
			"Examples:\n" +
			"   hepta labels --port 8000 wiki.example.org\n" +
			"   hepta labels --port 8000 --compose wiki.example.org\n" +
			"   hepta labels --port 8000 --json wiki.example.org | jq -r '.\"hepta.proof\"'",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "port", Value: 80, Usage: "port that the container listens on"},
			&cli.StringFlag{Name: "name", Usage: "name of router and service, unique on the proxy (default: the host name with - for .)"},
			&cli.BoolFlag{Name: "compose", Usage: "write labels for a compose file"},
			&cli.BoolFlag{Name: "json", Usage: "write the labels as JSON"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage{errors.New("labels takes one host name, after its options: hepta labels --port 8000 wiki.example.org")}
			}
			if c.Bool("compose") && c.Bool("json") {
				return usage{errors.New("--compose and --json exclude each other")}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			host := c.Args().First()
			name := c.String("name")
			if !c.IsSet("name") {
				name = hepta.RouteName(host)
			}
			labels, err := s.stack.Labels(c.Context, hepta.Route{Name: name, Host: host, Port: c.Int("port")})
			s.progress.Close()
			if err != nil {
				return err
			}
			switch {
			case c.Bool("json"):
				return writeJSON(t.out, labels)
			case c.Bool("compose"):
				return composeLabels(t.out, labels)
			}
			return dockerLabels(t.out, labels)
		},
	}
}

// dockerLabels writes labels as options for a shell, a line each.
func dockerLabels(out io.Writer, labels map[string]string) error {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "--label '%s' \\\n", strings.ReplaceAll(key+"="+labels[key], "'", `'\''`))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// composeLabels writes labels for a service of a compose file, which reads a $
// where there are two.
func composeLabels(out io.Writer, labels map[string]string) error {
	var b strings.Builder
	b.WriteString("labels:\n")
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "  %s: '%s'\n", key, strings.NewReplacer("'", "''", "$", "$$").Replace(labels[key]))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
