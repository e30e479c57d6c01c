package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
)

// written are the files that wait for every call to the forge.
var written = []converge.Ref{"file:" + FileConfig, "file:" + FileRecords}

const causeNew = "it is new"

// decide compares the runners that are described with what config.toml holds,
// with what the forge was told, with what the runners' log says of their
// tokens, and with where their jobs were seen to stand. It asks nobody.
func (r *Runners) decide(o *converge.Observed) ([]converge.Task, error) {
	config, looked := seen(o, FileConfig)
	have, err := holdings(config)
	if err != nil {
		return nil, err
	}
	content, _ := seen(o, FileRecords)
	known, err := parseRecords(content)
	if err != nil {
		return nil, err
	}
	list, err := entries(config)
	if err != nil {
		return nil, err
	}
	// A container that starts is waited for until its runners are online and
	// their jobs reach what they need; beside one that runs on, tasks see to it.
	on := looked && r.running(o)
	var stands map[string]string
	var differs map[string]bool
	if on {
		future, err := r.mergeConfig(o, config)
		if err != nil {
			return nil, err
		}
		stands, differs = r.stands(future), changed(config, future)
	}
	var made []converge.Task
	tasks := r.hostTask(o)
	for _, x := range r.cfg.Runners {
		was, there := known[x.Name]
		heard := r.refused(o, have[x.Name].token)
		if !heard.After(was.Heard) {
			heard = time.Time{}
		}
		fresh, again := have[x.Name].token.Empty(), unseen(stands[x.Name], was)
		if x.given() {
			if was.ID != 0 {
				tasks = append(tasks, r.task(x.Name, "delete", "its token is created by hand now", r.forget))
			}
			if !heard.IsZero() && was.Given == fingerprint(x.Token) {
				made = append(made, r.givenTask(x, heard))
			}
			switch {
			case !on || x.Paused:
			case fresh:
				made = append(made, r.onlineTask(x, causeNew, true))
			case again != "":
				made = append(made, r.seeTask(x, again))
			}
			continue
		}
		if len(doubles(list, x)) > 0 {
			t := r.task(x.Name, "delete", FileConfig+" holds it more than once", r.forgetDoubles)
			t.Name, t.Ref = "doubles of runner "+x.Name, t.Ref+"-doubles"
			tasks = append(tasks, t)
		}
		verb, cause := r.due(x, have[x.Name], was, there)
		if verb == "create" {
			fresh = true
		}
		if !looked && cause != "" {
			cause = converge.CauseUnseen
		}
		switch {
		case heard.IsZero() && cause != "":
			tasks = append(tasks, r.task(x.Name, verb, cause, r.settle))
		case !heard.IsZero() && cause != "":
			tasks = append(tasks, r.mendTask(x, verb, cause+", "+causeRefused, heard))
		case !heard.IsZero():
			tasks = append(tasks, r.mendTask(x, "repair", causeRefused, heard))
		}
		switch {
		case !on || x.Paused:
		case fresh && r.connected():
			made = append(made, r.onlineTask(x, causeNew, true))
		case !heard.IsZero() && r.connected():
			made = append(made, r.onlineTask(x, "it may have been created again", again != ""))
		case fresh || again != "":
			made = append(made, r.seeTask(x, cmp.Or(again, causeUnseen)))
		}
		if on && !x.Paused && !fresh && heard.IsZero() && r.connected() && differs[x.Name] {
			made = append(made, r.tellTask(x))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !r.declares(name) && known[name].ID != 0 {
			tasks = append(tasks, r.task(name, "delete", "no longer described", r.forget))
		}
	}
	return append(tasks, made...), nil
}

// due says what has to be told to the forge about x, and why.
func (r *Runners) due(x Runner, have held, was record, there bool) (verb, cause string) {
	want := r.cfg.attributes(x)
	switch {
	case have.token.Empty():
		return "create", "no token for it in " + FileConfig
	case !there:
		return "update", "in " + FileConfig + " but not known as ours"
	case was.ID == 0:
		return "create", "its token was created by hand before"
	case was.Forge != x.URL:
		return "update", "forge " + was.Forge + " → " + x.URL
	case was.Applied == nil:
		return "update", "not known what the forge was told"
	case want.moved(*was.Applied):
		return "create", "belongs to another group or project now"
	}
	return "update", strings.Join(want.changes(*was.Applied), ", ")
}

// doubles are the tokens of sections that have the name and the forge of x and
// stand behind the one that counts: somebody has registered the runner again.
func doubles(list []held, x Runner) []Secret {
	var first *held
	var out []Secret
	for i, h := range list {
		switch {
		case h.name != x.Name:
		case first == nil:
			first = &list[i]
		case h.url == x.URL && !h.token.Empty() && h.token != first.token:
			out = append(out, h.token)
		}
	}
	return out
}

// forgetDoubles takes the doubles of a runner out of its forge, each with its
// own token. Their sections go when config.toml is written.
func (r *Runners) forgetDoubles(ctx context.Context, host converge.Host, name string) error {
	content, err := readFile(ctx, host, FileConfig)
	if err != nil {
		return err
	}
	list, err := entries(content)
	if err != nil {
		return err
	}
	api, err := r.connect(ctx, host)
	if err != nil {
		return fmt.Errorf("reach the forge for runner %s: %w", name, err)
	}
	x := r.cfg.runner(name)
	for _, token := range doubles(list, x) {
		if err := gone(api.DeleteByToken(ctx, token)); err != nil && !errors.Is(err, ErrRefused) {
			return r.explain("delete double of runner", name, err)
		}
	}
	return nil
}

func (r *Runners) task(name, verb, cause string, run func(context.Context, converge.Host, string) error) converge.Task {
	t := converge.Task{
		Name: "runner " + name, Verb: verb, Cause: cause, Ref: converge.Ref("task:runner-" + name),
		Before: written,
		Run:    func(ctx context.Context, host converge.Host) error { return run(ctx, host, name) },
	}
	switch verb {
	case "create":
		t.Effect = converge.EffectAdd
	case "delete":
		t.Effect = converge.EffectRemove
	}
	for _, ref := range r.cfg.After {
		t.After = append(t.After, converge.Ref(ref))
	}
	return t
}

// running reports whether the container is there to take a new section over.
func (r *Runners) running(o *converge.Observed) bool {
	return slices.ContainsFunc(o.Containers, r.ours)
}

// ours reports whether a container is the runners' and runs.
func (r *Runners) ours(c converge.ObservedContainer) bool {
	return c.Service == Service && c.Running()
}
