package main

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/registry"
)

func registrySecretCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "secret",
		Usage: "write a pull secret for Kubernetes",
		Description: "Writes a Secret of the type kubernetes.io/dockerconfigjson for each namespace. With --flux it\n" +
			"adds an ImageRepository and an ImagePolicy of Flux (image.toolkit.fluxcd.io/v1) for one image,\n" +
			"in the first namespace. A deploy token with read_registry is what fits. The result holds the\n" +
			"token: hand it on, don't keep it. Nothing is contacted.\n\n" +
			"Examples:\n" +
			"   hepta registry secret --username k8s --token-file k8s.token | kubectl apply -f -\n" +
			"   hepta registry secret --username k8s --token-file k8s.token --namespace flux-system --namespace default \\\n" +
			"      --flux group/project --semver '>=1.0.0'\n" +
			"   hepta registry secret --username k8s --token-file k8s.token --namespace flux-system --flux group/project \\\n" +
			"      --numerical asc --filter-tags '^main-[a-f0-9]+-(?P<ts>[0-9]+)$' --extract '$ts'",
		Flags: append(credentialFlags(),
			&cli.StringFlag{Name: "name", Value: "regcred", Usage: "name of the Secret"},
			&cli.StringSliceFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "namespace that pulls; may be given again (default: \"default\")"},
			&cli.StringFlag{Name: "flux", Usage: "image that Flux watches, by its path: group/project"},
			&cli.StringFlag{Name: "flux-name", Usage: "name of the objects of Flux (default: the last part of the path)"},
			&cli.StringFlag{Name: "interval", Usage: "time between two looks of Flux (default: 5m)"},
			&cli.StringFlag{Name: "semver", Usage: "the latest is the highest version in this range (default: >=0.0.0)"},
			&cli.StringFlag{Name: "numerical", Usage: "the latest by number, asc or desc"},
			&cli.StringFlag{Name: "alphabetical", Usage: "the latest by letters, asc or desc"},
			&cli.StringFlag{Name: "filter-tags", Usage: "regular expression of the tags that count"},
			&cli.StringFlag{Name: "extract", Usage: "what of a tag is compared, by groups of --filter-tags: '$ts'"}),
		Action: noArguments(func(c *cli.Context) error {
			p := registry.PullSecret{Name: c.String("name"), Namespaces: c.StringSlice("namespace")}
			if c.String("flux") != "" {
				p.Flux = &registry.Flux{
					Image: c.String("flux"), Name: c.String("flux-name"), Interval: c.String("interval"),
					Semver: c.String("semver"), Numerical: c.String("numerical"), Alphabetical: c.String("alphabetical"),
					Pattern: c.String("filter-tags"), Extract: c.String("extract"),
				}
			} else {
				for _, name := range []string{"flux-name", "interval", "semver", "numerical", "alphabetical", "filter-tags", "extract"} {
					if c.IsSet(name) {
						return usage{errors.New("--" + name + " is for --flux")}
					}
				}
			}
			for _, f := range c.Command.Flags {
				if name := f.Names()[0]; !utf8.ValidString(c.String(name)) {
					return usage{fmt.Errorf("--%s is not UTF-8", name)}
				}
			}
			var err error
			if p.Credentials, err = credentials(c, t); err != nil {
				return err
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			text, err := s.stack.PullSecret(p)
			s.progress.Close()
			if err != nil {
				return err
			}
			_, err = t.out.Write(text)
			return err
		}),
	}
}
