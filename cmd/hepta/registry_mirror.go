package main

import (
	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/render"
)

func registryMirrorCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "mirror",
		Usage: "show the mirror of Docker Hub and who uses it",
		Description: "A mirror fetches an image from Docker Hub once and gives it to every build after that. It is\n" +
			"described in hepta.yaml, 'registry: {mirror: true}', and brought up by 'hepta up'. The daemons of\n" +
			"jobs (mode dind) are told of it by themselves. The Docker host's own Engine, which builds for\n" +
			"mode socket, has to be told on the host; this says how, and whether it was. The exit code is 0\n" +
			"when the mirror serves, else 1.\n\n" +
			"Examples:\n" +
			"   hepta registry mirror\n" +
			"   hepta registry mirror --json | jq .host",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write the result as JSON"}},
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			st, err := s.stack.Mirror(c.Context)
			s.progress.Close()
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = writeJSON(t.out, st)
			} else {
				err = render.Table(t.out, t.colorful(t.out, c.Bool(flagNoColor)), mirrorTable(st))
			}
			if err == nil && !st.OK() {
				err = exit(exitFailure)
			}
			return err
		}),
	}
}

// mirrorTable says what the mirror is, who uses it, and what to do about those
// who do not.
func mirrorTable(st *hepta.MirrorStatus) render.Rows {
	rows := render.Rows{Head: []string{"MIRROR", "OF", "STATE", "JOBS' DAEMONS", "HOST'S ENGINE"}}
	row := render.Row{Mood: render.Good, Cells: []string{st.Address, "-", st.State, "use it", "uses it"}}
	if st.Remote != "" {
		row.Cells[1] = st.Remote
	}
	if st.Health != "" {
		row.Cells[2] += ", " + st.Health
	}
	if !st.Host {
		row.Mood, row.Cells[4] = render.Changed, "does not"
		rows.Below = []string{st.Remedy}
	}
	if !st.OK() {
		row.Mood, row.Cells[3] = render.Bad, "can not"
		rows.Below = append(rows.Below, "It does not serve. Bring it up: hepta up; see why it does not: hepta logs mirror")
	}
	rows.Lines = []render.Row{row}
	return rows
}
