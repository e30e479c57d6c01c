package render

import (
	"bytes"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

func TestPlan(t *testing.T) {
	op := func(id int, kind converge.Kind, resource, target, group, cause string) converge.Operation {
		return converge.Operation{ID: id, Kind: kind, Resource: resource, Target: target, Group: group, Cause: cause}
	}
	task := op(9, converge.RunTask, "task update runner dind", "", "", "tags changed")
	task.Task = &converge.Task{Verb: "update"}
	mint := op(10, converge.RunTask, "task mint api token", "", "", "there is none")
	mint.Task = &converge.Task{Verb: "mint", Effect: converge.EffectAdd}
	config := op(7, converge.WriteFile, "file runner/config.toml", "", "", "for the new container hepta-runner")
	config.NewFile, config.ForContainer = true, "hepta-runner"
	plan := &converge.Plan{
		Stack: "hepta",
		Operations: []converge.Operation{
			op(1, converge.CreateNetwork, "network web", "web", "", "not there"),
			op(2, converge.PullImage, "image traefik:v3.6.12", "traefik:v3.6.12", "pull traefik:v3.6.12", "not on the host"),
			op(3, converge.CreateContainer, "container hepta-traefik-next", "hepta-traefik-next", "recreate traefik", "image traefik:v3.6.10 → traefik:v3.6.12; label a added"),
			op(4, converge.StopContainer, "container hepta-traefik", "x", "recreate traefik", "makes room"),
			op(5, converge.RemoveContainer, "container hepta-traefik", "x", "recreate traefik", "replaced"),
			op(6, converge.CreateContainer, "container hepta-runner", "hepta-runner", "create runner", "not there"),
			config,
			op(8, converge.WriteFile, "file traefik/dynamic.yaml", "", "", "content changed (+1 −0 lines)"),
			task, mint,
			op(11, converge.RemoveContainer, "container hepta-old", "y", "remove hepta-old", "no longer described\x1b[2J"),
			op(12, converge.WaitContainer, "container hepta-heptapod", "z", "start heptapod", "others wait for it"),
			op(13, converge.RemoveContainer, "container hepta-wiki_next", "a", "start wiki", "left by an interrupted run, no longer wanted"),
			op(14, converge.StartContainer, "container hepta-wiki", "b", "start wiki", "not running"),
			op(15, converge.WaitContainer, "container hepta-blog_next", "c", "recreate blog", "until it is healthy"),
			op(16, converge.RemoveContainer, "container hepta-blog", "d", "recreate blog", "replaced by hepta-blog_next"),
			op(17, converge.RenameContainer, "container hepta-blog_next", "c", "recreate blog", "finishes what was interrupted"),
		},
		Notes: []string{"network web was not created by this stack: it is used as it is"},
	}
	want := `  + create network web: not there
  + pull traefik:v3.6.12: not on the host
  ~ recreate traefik
      image traefik:v3.6.10 → traefik:v3.6.12
      label a added
  + create runner: not there, with 1 file
  ~ write file traefik/dynamic.yaml: content changed (+1 −0 lines)
  ~ update runner dind: tags changed
  + mint api token: there is none
  - remove hepta-old: no longer described [2J
  ~ wait for container hepta-heptapod: others wait for it
  ~ start wiki: not running
  ~ recreate blog: finishes what was interrupted
  • network web was not created by this stack: it is used as it is

4 to add, 6 to change, 1 to remove, in 17 calls. Do it with 'hepta up'.
`
	var out bytes.Buffer
	if err := Plan(&out, plan, "up", false); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := Plan(&out, &converge.Plan{Stack: "hepta"}, "up", true); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[32m✔\x1b[0m Nothing to do: hepta is up to date.\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	err := Table(&out, false, Rows{
		Head:  []string{"SERVICE", "STATE", "ADDRESS"},
		Lines: []Row{{Good, []string{"traefik", "running", "-"}}, {Changed, []string{"heptapod", "running", "https://hg"}}, {Bad, []string{"runner", "absent", "-"}}},
		Below: []string{"runner: not there"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `  SERVICE   STATE    ADDRESS
✔ traefik   running  -
~ heptapod  running  https://hg
✘ runner    absent   -

runner: not there
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
