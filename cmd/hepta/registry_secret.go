package main

import (
	"errors"
	"fmt"
	"time"
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
			"in the first namespace. --create-token has the forge make a deploy token of a project for it, with\n" +
			"the scope read_registry: for a year, unless --expires says otherwise. Each run makes another one.\n" +
			"Without it one of yours is taken and nothing is contacted. The result holds the token: hand it\n" +
			"on, don't keep it. Its comments say how pods name the Secret, and what nodes need beside it.\n\n" +
			"Examples:\n" +
			"   hepta registry secret --create-token --project group/project | kubectl apply -f -\n" +
			"   hepta registry secret --create-token --project group/project --expires 90 --namespace apps\n" +
			"   hepta registry secret --username k8s --token-file k8s.token | kubectl apply -f -\n" +
			"   hepta registry secret --username k8s --token-file k8s.token --namespace flux-system --namespace default \\\n" +
			"      --flux group/project --semver '>=1.0.0'\n" +
			"   hepta registry secret --username k8s --token-file k8s.token --namespace flux-system --flux group/project \\\n" +
			"      --numerical asc --filter-tags '^main-[a-f0-9]+-(?P<ts>[0-9]+)$' --extract '$ts'",
		Flags: append(credentialFlags(),
			&cli.BoolFlag{Name: "create-token", Usage: "let the forge create a deploy token"},
			&cli.StringFlag{Name: "project", Usage: "path of the project whose images the new token pulls"},
			&cli.IntFlag{Name: "expires", Value: 365, Usage: "days until the new token expires; 0: never"},
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
			creates, err := createsToken(c)
			if err != nil {
				return err
			}
			if !creates {
				if p.Credentials, err = credentials(c, t); err != nil {
					return err
				}
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			if creates {
				// What is wrong is said before a token is made for it.
				p.Credentials = registry.Credentials{User: "user", Password: registry.NewSecret("password")}
				if _, err := s.stack.PullSecret(p); err != nil {
					return err
				}
				var ends time.Time
				if days := c.Int("expires"); days > 0 {
					ends = time.Now().UTC().AddDate(0, 0, days)
				}
				token, err := s.stack.CreateDeployToken(c.Context, c.String("project"), "hepta "+p.Name, ends)
				if err != nil {
					return err
				}
				p.Credentials = token.Credentials
				s.progress.Close()
				until := "for ever"
				if !token.Ends.IsZero() {
					until = "until " + token.Ends.Format(time.DateOnly)
				}
				fmt.Fprintf(t.err, "Deploy token %d of %s (%s) lasts %s; it can be revoked there, under Settings → Repository → Deploy tokens.\n",
					token.ID, c.String("project"), token.Credentials.User, until)
			}
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

// maxTokenDays bounds how long a deploy token lasts.
const maxTokenDays = 36500

// createsToken reports whether a token is to be made; flags that contradict it
// are an error.
func createsToken(c *cli.Context) (bool, error) {
	creates := c.Bool("create-token")
	if !creates {
		for _, name := range []string{"project", "expires"} {
			if c.IsSet(name) {
				return false, usage{errors.New("--" + name + " is for --create-token")}
			}
		}
		return false, nil
	}
	for _, f := range credentialFlags() {
		if name := f.Names()[0]; c.IsSet(name) {
			return true, usage{errors.New("--create-token and --" + name + " exclude each other")}
		}
	}
	switch days := c.Int("expires"); {
	case c.String("project") == "":
		return true, usage{errors.New("--create-token needs --project, the path of a project such as group/project")}
	case days < 0 || days > maxTokenDays:
		return true, usage{fmt.Errorf("--expires takes days, 0 to %d", maxTokenDays)}
	}
	return true, nil
}
