package ci

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// ErrNoPipeline is what Pipeline returns when rules leave nothing to run.
var ErrNoPipeline = errors.New("no jobs for this event")

// files are all paths of the commit.
func (e *Event) files() []string {
	if e.Files == nil {
		return nil
	}
	return e.Files()
}

// scope is what variables are at some point: as they were written, which
// conditions see, and expanded.
type scope struct{ written, expanded lookup }

// bare is what the event brings by itself, and all that includes see.
func (e *Event) bare() scope { return e.laid(nil, nil) }

// scope is what rules of the workflow and of jobs see, with the file's variables.
// Later lists cover earlier ones.
func (e *Event) scope(lists ...[]Variable) scope { return e.laid(e.User, lists) }

// predefined tells the variables that a file may override from those that a
// project, group or user set and that win over the file's.
func predefined(name string) bool {
	return name == "CI" || name == "GITLAB_CI" || strings.HasPrefix(name, "CI_") || strings.HasPrefix(name, "GITLAB_")
}

// laid lays the file's variables between the predefined ones and those that
// were set for the event, and expands them.
func (e *Event) laid(user map[string]string, lists [][]Variable) scope {
	var all []Variable
	add := func(from map[string]string, wanted bool) {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			if predefined(name) == wanted {
				all = append(all, Variable{Key: name, Value: from[name], Raw: true})
			}
		}
	}
	add(e.Variables, true)
	for _, l := range lists {
		all = append(all, l...)
	}
	add(user, true)
	add(e.Variables, false)
	return scope{lookupIn(all), lookupIn(ExpandAll(all))}
}

func lookupIn(list []Variable) lookup {
	known := make(map[string]string, len(list))
	for _, v := range list {
		known[v.Key] = v.Value
	}
	return func(name string) (string, bool) {
		v, ok := known[name]
		return v, ok
	}
}

// overlay covers variables of base with those of over that have the same key.
func overlay(base, over []Variable) []Variable {
	out := slices.Clone(base)
	if len(over) == 0 {
		return out
	}
	index := make(map[string]int, len(base))
	for i, v := range base {
		index[v.Key] = i
	}
	for _, v := range over {
		if i, ok := index[v.Key]; ok {
			out[i] = v
		} else {
			index[v.Key] = len(out)
			out = append(out, v)
		}
	}
	return out
}

// maxNeeds counts what parallel jobs become.
const maxNeeds = 50

// Pipeline decides which jobs e makes. ErrNoPipeline says that it makes none;
// Problems say what is wrong with those that it would make.
func (c *Config) Pipeline(e Event) (*Pipeline, error) {
	p := &Pipeline{Variables: slices.Clone(c.variables), Warnings: slices.Clone(c.warnings), Cancel: c.autoCancel}
	if c.hasWorkflow {
		r, ok := decide(c.workflow, &e, e.scope(c.variables))
		if !ok || r.when == "never" {
			return nil, ErrNoPipeline
		}
		p.Variables = overlay(p.Variables, r.variables)
		p.Cancel.OnNewCommit = firstOf(r.autoCancel.OnNewCommit, p.Cancel.OnNewCommit)
		p.Cancel.OnJobFailure = firstOf(r.autoCancel.OnJobFailure, p.Cancel.OnJobFailure)
	}
	p.Name = strings.TrimSpace(ExpandFully(c.workflowName, e.scope(p.Variables).expanded))
	taken := map[string][]instance{} // by the name in the file, and by their own
	for i := range c.jobs {
		n := &c.jobs[i]
		jobs, kept := c.decideJob(n, &e, p.Variables)
		if len(jobs) > 0 {
			p.Jobs = append(p.Jobs, jobs...)
			for _, one := range kept {
				taken[one.name] = []instance{one}
			}
			taken[n.name] = kept
		}
	}
	errs := &problems{}
	for i := range p.Jobs {
		bind(&p.Jobs[i], taken, errs)
	}
	if e.failed != nil {
		errs.add(place{file: c.file}, "%v", e.failed)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.Jobs, func(a, b Job) int {
		return slices.Index(c.stages, a.Stage) - slices.Index(c.stages, b.Stage)
	})
	real := false
	for _, j := range p.Jobs {
		if !slices.Contains(p.Stages, j.Stage) {
			p.Stages = append(p.Stages, j.Stage)
		}
		real = real || j.Stage != ".pre" && j.Stage != ".post"
	}
	if !real {
		return nil, ErrNoPipeline
	}
	return p, nil
}

// decideJob gives a job's instances that run on the event, with their needs
// not yet bound. Each instance is decided on its own, as its variables differ.
func (c *Config) decideJob(n *jobNode, e *Event, global []Variable) (jobs []Job, kept []instance) {
	var base []Variable
	for _, v := range global {
		if n.inheritVars(v.Key) {
			base = append(base, v)
		}
	}
	base = overlay(base, n.job.Variables)
	for _, one := range n.instances() {
		vars := overlay(base, one.variables)
		j := n.job
		j.Name, j.NodeIndex, j.NodeTotal = one.name, one.index, one.total
		get := j.scope(e, vars)
		r, ok := n.runs(e, get)
		if !ok {
			continue
		}
		j.Variables = overlay(vars, r.variables)
		if len(r.variables) > 0 {
			get = j.scope(e, j.Variables)
		}
		j.When = firstOf(r.when, j.When, "on_success")
		j.AllowFailure = n.job.When == "manual"
		for _, set := range []*bool{n.allowFailure, r.allowFailure} {
			if set != nil {
				j.AllowFailure = *set
			}
		}
		if r.allowFailure != nil {
			j.AllowExitCodes = nil
		}
		if r.when == "delayed" {
			j.StartInSecs = r.startIn
		}
		if r.interruptible != nil {
			j.Interrupt = *r.interruptible
		}
		needs := n.needs
		if r.hasNeeds {
			needs, j.HasNeeds = r.needs, true
		}
		j.Needs = nil
		j.raw = needs
		j.Tags = slices.Clone(n.job.Tags)
		for k := range j.Tags {
			j.Tags[k] = ExpandFully(j.Tags[k], get.expanded)
		}
		if j.Trigger != nil {
			t := *j.Trigger
			t.Project, t.Branch = ExpandFully(t.Project, get.expanded), ExpandFully(t.Branch, get.expanded)
			j.Trigger = &t
		}
		j.ResourceGroup = ExpandFully(j.ResourceGroup, get.expanded)
		if j.Environment != nil {
			e := *j.Environment
			e.Name = ExpandFully(e.Name, get.expanded)
			j.Environment = &e
		}
		jobs, kept = append(jobs, j), append(kept, one)
	}
	return jobs, kept
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// runs reports whether the event makes the job, and by which rule.
func (n *jobNode) runs(e *Event, get scope) (rule, bool) {
	if n.hasRules {
		r, ok := decide(n.rules, e, get)
		return r, ok && r.when != "never"
	}
	if n.only != nil && !n.only.all(e, get) {
		return rule{}, false
	}
	return rule{}, n.except == nil || !n.except.some(e, get)
}

// bind turns the needs and dependencies of a job into names of jobs that are
// there: one on a parallel job waits for each of its instances.
func bind(j *Job, taken map[string][]instance, errs *problems) {
	if j.HasNeeds {
		j.Needs = []Need{}
	}
	j.Upstream = nil
	for _, n := range j.raw {
		if n.pipeline != "" {
			j.Upstream = append(j.Upstream, UpstreamNeed{n.pipeline, n.Job, n.Artifacts})
			continue
		}
		found := false
		for _, name := range bound(n.Job, n.matrix, taken) {
			found = true
			if !slices.ContainsFunc(j.Needs, func(o Need) bool { return o.Job == name }) {
				j.Needs = append(j.Needs, Need{name, n.Artifacts, n.Optional})
			}
		}
		if !found && !n.Optional {
			errs.add(n.at, "'%s' job needs '%s' job, but '%s' does not exist in the pipeline. This might be because of the only, except, or rules keywords. To need a job that sometimes does not exist in the pipeline, use needs:optional.", j.Name, n.Job, n.Job)
		}
	}
	if n := len(j.Needs); n > maxNeeds {
		errs.add(j.raw[0].at, "%s job: one job can only need %d others, but you have listed %d. See needs keyword documentation for more details", j.Name, maxNeeds, n)
	}
	var deps []string
	for _, d := range j.Dependencies {
		deps = append(deps, bound(d, nil, taken)...)
	}
	j.Dependencies = deps
	j.raw = nil
}

// bound gives the names of the instances that a name stands for, with a matrix
// of those whose names it makes as it is written.
func bound(name string, matrix [][]Variable, taken map[string][]instance) []string {
	if matrix != nil {
		var names []string
		for _, combo := range matrix {
			names = append(names, bound(matrixName(name, combo), nil, taken)...)
		}
		return names
	}
	var names []string
	for _, i := range taken[name] {
		names = append(names, i.name)
	}
	return names
}
