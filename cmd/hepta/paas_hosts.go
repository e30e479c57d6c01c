package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/runner/paas"
)

func paasHostsCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "hosts",
		Usage:     "list the hosts that providers have, and remove one that nobody claims",
		ArgsUsage: "CONFIG",
		Description: "Lists the hosts of all runners with the phase of their job in the state file and its status in the\n" +
			"forge. It may be used while the manager runs. --remove removes a host whose job is not in the state\n" +
			"file; unless the forge says that the job is over, --force is needed: look at the job there first.\n\n" +
			"Examples:\n" +
			"   hepta paas hosts /etc/hepta/paas.toml\n" +
			"   hepta paas hosts --remove hpd-job-kvzWdEMo-275833 /etc/hepta/paas.toml",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "remove", Usage: "remove this host; may be repeated"},
			&cli.BoolFlag{Name: "force", Usage: "also when the forge does not say that its job is over"},
		},
		Action: func(c *cli.Context) error {
			_, cfg, err := paasConfig(c, t)
			if err != nil {
				return err
			}
			list, trouble := (&paas.Manager{Hosts: paasHosts}).Inventory(c.Context, cfg)
			if names := c.StringSlice("remove"); len(names) > 0 {
				return removePaasHosts(c.Context, t, list, trouble, names, c.Bool("force"))
			}
			rows := render.Rows{Head: []string{"HOST", "ID", "RUNNER", "GROUP", "STATE FILE", "FORGE"}}
			for _, h := range list {
				row := render.Row{Cells: []string{h.Name, h.ID, h.Runner, dash(h.Tenant), dash(string(h.Phase)), dash(h.Status)}}
				if h.Phase == "" {
					row.Mood = render.Changed
				}
				rows.Lines = append(rows.Lines, row)
			}
			return errors.Join(render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), rows), trouble)
		},
	}
}

// removePaasHosts removes hosts by name; none when one of them may not go.
func removePaasHosts(ctx context.Context, t terminal, list []paas.HostInfo, trouble error, names []string, force bool) error {
	var going []paas.HostInfo
	for _, name := range names {
		found := slices.ContainsFunc(list, func(h paas.HostInfo) bool { return h.Name == name })
		if !found {
			return errors.Join(&fault.Error{Op: "remove host", What: name, Why: "no provider has a host of that name", Remedy: "See 'hepta paas hosts CONFIG'."}, trouble)
		}
		for _, h := range list {
			switch {
			case h.Name != name:
				continue
			case h.Phase != "":
				return &fault.Error{Op: "remove host", What: name, Why: "its job is in the state file (" + string(h.Phase) + ")",
					Remedy: "The manager removes it when the job is over. Cancel the job in the forge to end it."}
			case !h.Over() && !force:
				why := "the forge does not say what became of its job"
				if h.Status != "" {
					why = "its job is " + h.Status
				}
				return &fault.Error{Op: "remove host", What: name, Why: why,
					Remedy: fmt.Sprintf("Look at job %d in the forge. When it is over, or was deleted, add --force.", h.Job)}
			}
			going = append(going, h)
		}
	}
	for _, h := range going {
		if err := h.Remove(ctx); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "Removed %s (%s).\n", h.Name, h.ID)
	}
	return nil
}
