package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/registry"
)

func registryGCCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "gc",
		Usage: "remove data that no image in the registry needs",
		Description: "A registry that keeps its metadata in a database does this by itself while it runs: then\n" +
			"there is nothing to do. One that keeps them beside its blobs is stopped meanwhile, so pulls\n" +
			"and pushes fail until it is done, which takes minutes to hours by the number of images. It\n" +
			"asks before on a terminal and wants --yes elsewhere. A dry run changes nothing: the registry\n" +
			"goes on, and what is being pushed meanwhile may be listed too.\n\n" +
			"Examples:\n" +
			"   hepta registry gc --dry-run\n" +
			"   hepta registry gc --untagged --yes",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "untagged", Aliases: []string{"m"}, Usage: "also remove images without a tag, such as those that a newer push replaced"},
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"d"}, Usage: "only show what would be removed"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask for confirmation"},
		},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			metadata, err := s.stack.RegistryMetadata(c.Context)
			s.progress.Close()
			if err != nil {
				return err
			}
			if metadata == registry.Database {
				fmt.Fprintln(t.out, "Nothing to do: the registry keeps its metadata in a database and removes what nothing needs by\n"+
					"itself while it runs, images without a tag a day after they lost it. 'hepta ctl registry-database gc-stats' shows it.")
				return nil
			}
			o := registry.CollectOptions{Untagged: c.Bool("untagged"), DryRun: c.Bool("dry-run")}
			if o.DryRun {
				if err := s.stack.CollectRegistry(c.Context, t.out, o); err != nil {
					return err
				}
				fmt.Fprintln(t.out, "Nothing was removed: this was a dry run.")
				return nil
			}
			s.progress.Told()
			fmt.Fprintln(t.err, "The registry stops meanwhile: pulls and pushes fail until it is done.")
			if o.Untagged {
				fmt.Fprintln(t.err, "Images without a tag go as well: what is pulled by its digest alone is lost.")
			}
			if err := agreed(c, t); err != nil {
				return err
			}
			start := time.Now()
			if err := s.stack.CollectRegistry(c.Context, t.out, o); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "Done in %s; the registry runs again.\n", time.Since(start).Round(100*time.Millisecond))
			return nil
		}),
	}
}

// agreed asks for a yes, which --yes has given already.
func agreed(c *cli.Context, t terminal) error {
	switch {
	case c.Bool("yes"):
		return nil
	case !t.interactive():
		return usage{errors.New("--yes is missing: there is nobody to ask")}
	}
	return consent(t, "Go on?")
}
