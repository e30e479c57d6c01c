package ci

import (
	"slices"
	"strings"
)

var rootKeys = []string{
	"default", "include", "image", "services", "before_script", "after_script", "variables", "stages", "cache", "workflow", "spec",
}

// maxWeight bounds the values of all jobs together, with what each inherits.
const maxWeight = 2_000_000

// config reads the whole file, everything merged.
func (d *decoder) config(root *value, file string) *Config {
	c := &Config{file: file, stages: []string{".pre", "build", "test", "deploy", ".post"}}
	if t := root.get("types"); t != nil {
		d.errs.add(t.at, "root config contains unknown keys: types")
	}
	if s := present(root, "stages"); s != nil {
		c.stages = []string{".pre"}
		for _, name := range d.nested(s, "stages") {
			if !slices.Contains(c.stages, name) && name != ".post" {
				c.stages = append(c.stages, name)
			}
		}
		c.stages = append(c.stages, ".post")
	}
	c.variables = d.variables(root.get("variables"), "variables", true)
	d.defaults(root)
	d.workflow(c, root.get("workflow"))
	weight, shared := 0, 0
	for _, key := range append([]string{"default", "variables", "workflow"}, globalKeys...) {
		if v := root.get(key); v != nil {
			shared += v.size
		}
	}
	for _, f := range root.fields {
		if slices.Contains(rootKeys, f.key) || slices.Contains(reserved, f.key) || strings.HasPrefix(f.key, ".") {
			continue
		}
		if f.val.kind != kMap {
			d.errs.add(f.at, "%s config should implement the script:, run:, or trigger: keyword", jobPath(f.key))
			continue
		}
		n := d.job(f.key, f.at, f.val, root)
		if weight += (f.val.size + shared) * len(n.instances()); weight > maxWeight {
			d.errs.add(f.at, "too large: too many jobs with too much in each")
			return c
		}
		c.jobs = append(c.jobs, n)
	}
	if len(c.jobs) == 0 {
		d.errs.undefined(root.at, "jobs config should contain at least one visible job")
	}
	if !d.errs.any() || d.errs.incomplete {
		c.validate(d)
	}
	c.warnings = d.warnings
	return c
}

// defaults checks default: and its older form on the top level, whether or not
// a job uses them.
func (d *decoder) defaults(root *value) {
	every := func(string) bool { return true }
	def := root.get("default")
	if def != nil && def.kind == kMap {
		d.known(def, "default", defaultKeys)
		if present(def, "identity") != nil {
			d.ignored("default:identity")
		}
	} else if def != nil && def.kind != kNull {
		d.errs.add(def.at, "default config should be a hash")
	}
	for _, key := range globalKeys {
		if v := present(root, key); v != nil && present(def, key) != nil {
			d.errs.add(v.at, "%s is defined in top-level and `default:` entry", key)
		}
	}
	d.body(&Job{}, inherited{newMap(root.at), "default", def, root, every})
}

func (d *decoder) workflow(c *Config, v *value) {
	if v == nil || v.kind == kNull {
		return
	}
	if v.kind != kMap {
		d.errs.add(v.at, "workflow config should be a hash")
		return
	}
	d.known(v, "workflow", []string{"rules", "name", "auto_cancel"})
	if n := present(v, "name"); n != nil {
		c.workflowName = d.text(n, "workflow name")
	}
	c.autoCancel = d.autoCancel(present(v, "auto_cancel"), "workflow:auto_cancel")
	if r := v.get("rules"); r != nil && r.kind != kNull {
		c.workflow, c.hasWorkflow = d.rules(r, "workflow", ruleOfWorkflow), true
	}
}

// validate checks what jobs say of stages and of each other.
func (c *Config) validate(d *decoder) {
	byName := map[string]*jobNode{}
	for i := range c.jobs {
		for _, one := range c.jobs[i].instances() {
			byName[one.name] = &c.jobs[i]
		}
	}
	for i := range c.jobs {
		byName[c.jobs[i].name] = &c.jobs[i]
	}
	for i := range c.jobs {
		n := &c.jobs[i]
		if !slices.Contains(c.stages, n.job.Stage) {
			d.errs.undefined(n.at, "%s job: chosen stage %s does not exist; available stages are %s", n.name, n.job.Stage, strings.Join(c.stages, ", "))
			continue
		}
		c.validateNeeds(d, n, n.needs, byName)
		for _, r := range n.rules {
			c.validateNeeds(d, n, r.needs, byName)
		}
		for _, dep := range n.job.Dependencies {
			other := byName[dep]
			switch {
			case other == nil:
				d.errs.undefined(n.at, "%s job: undefined dependency: %s", n.name, dep)
			case c.stage(other) > c.stage(n):
				d.errs.add(n.at, "%s job: dependency %s is not defined in current or prior stages", n.name, dep)
			}
			if len(n.needs) > 0 && !slices.ContainsFunc(n.needs, func(x need) bool { return x.Job == dep }) {
				d.errs.add(n.at, "%s job: dependencies the %s should be part of needs", n.name, dep)
			}
		}
		if !c.hasWorkflow && slices.ContainsFunc(n.rules, func(r rule) bool { return r.cond == nil && r.when != "" && r.when != "never" }) {
			d.warn(jobPath(n.name) + " may allow multiple pipelines to run for a single action due to `rules:when` clause with no `workflow:rules`")
		}
	}
	c.validateCircles(d, byName)
	c.validateEnvironments(d)
}

// autoCancel reads which pipelines and jobs are canceled by themselves.
func (d *decoder) autoCancel(v *value, path string) AutoCancel {
	if v == nil {
		return AutoCancel{}
	}
	if v.kind != kMap {
		d.errs.add(v.at, "%s config must be a hash", path)
		return AutoCancel{}
	}
	d.known(v, path, []string{"on_new_commit", "on_job_failure"})
	return AutoCancel{
		OnNewCommit:  d.oneOf(v.get("on_new_commit"), path+" on new commit", []string{"conservative", "interruptible", "none"}),
		OnJobFailure: d.oneOf(v.get("on_job_failure"), path+" on job failure", []string{"none", "all"}),
	}
}

func (c *Config) stage(n *jobNode) int { return slices.Index(c.stages, n.job.Stage) }

func (c *Config) validateNeeds(d *decoder, n *jobNode, needs []need, byName map[string]*jobNode) {
	seen := map[string]bool{}
	for _, x := range needs {
		other := byName[x.Job]
		if x.pipeline != "" {
			continue // of a pipeline that is not known yet
		}
		switch {
		case other == nil && x.Optional:
		case other == nil:
			d.errs.undefined(x.at, "%s job: undefined need: %s", n.name, x.Job)
		case c.stage(other) > c.stage(n):
			d.errs.add(x.at, "%s job: need %s is not defined in current or prior stages", n.name, x.Job)
		}
		if seen[x.Job] && x.matrix == nil {
			d.errs.add(x.at, "%s has the following needs duplicated: %s.", n.name, x.Job)
		}
		seen[x.Job] = true
	}
}

// validateCircles refuses jobs that wait for each other.
func (c *Config) validateCircles(d *decoder, byName map[string]*jobNode) {
	const open, done = 1, 2
	state := map[*jobNode]int{}
	var visit func(n *jobNode)
	visit = func(n *jobNode) {
		state[n] = open
		for _, x := range n.needs {
			other := byName[x.Job]
			switch {
			case other == nil, x.pipeline != "":
			case state[other] == open:
				d.errs.add(x.at, "The pipeline has circular dependencies: %s needs %s", n.name, x.Job)
			case state[other] == 0:
				visit(other)
			}
		}
		state[n] = done
	}
	for i := range c.jobs {
		if state[&c.jobs[i]] == 0 {
			visit(&c.jobs[i])
		}
	}
}
