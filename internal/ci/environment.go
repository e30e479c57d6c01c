package ci

import (
	"regexp"
	"slices"
)

var environmentKeys = []string{"name", "url", "action", "on_stop", "auto_stop_in", "kubernetes", "deployment_tier"}

// environment reads where a job deploys to: a name, or a hash.
func (d *decoder) environment(j *Job, v *value, path string) {
	if name, ok := v.str(); ok {
		j.Environment = &Environment{Name: name, Action: "start"}
		d.environmentName(v, name, path)
		return
	}
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash or a string", path)
		return
	}
	d.known(v, path, environmentKeys)
	e := &Environment{
		Name:   d.text(v.get("name"), path+" name"),
		URL:    d.text(v.get("url"), path+" url"),
		Action: firstOf(d.oneOf(v.get("action"), path+" action", []string{"start", "stop", "prepare", "verify", "access"}), "start"),
		Tier:   d.oneOf(v.get("deployment_tier"), path+" deployment tier", []string{"production", "staging", "testing", "development", "other"}),
		OnStop: d.text(v.get("on_stop"), path+" on stop"),
	}
	d.environmentName(v, e.Name, path)
	if len(e.URL) > 255 {
		d.errs.add(v.get("url").at, "%s url is too long (maximum is 255 characters)", path)
	}
	if a := present(v, "auto_stop_in"); a != nil {
		if e.AutoStopIn = d.text(a, path+" auto stop in"); e.AutoStopIn != "" && e.AutoStopIn != "never" && !variableIn(e.AutoStopIn) {
			if _, ok := seconds(e.AutoStopIn); !ok {
				d.errs.add(a.at, "%s auto stop in should be a duration", path)
			}
		}
	}
	if v.has("kubernetes") {
		d.ignored(path + ":kubernetes")
	}
	j.Environment = e
}

func (d *decoder) environmentName(v *value, name, path string) {
	switch {
	case name == "":
		d.errs.add(v.at, "%s name can't be blank", path)
	case len(name) > 255:
		d.errs.add(v.at, "%s name is too long (maximum is 255 characters)", path)
	case !environmentText.MatchString(name):
		d.errs.add(v.at, "%s name can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'", path)
	}
}

var environmentText = regexp.MustCompile(`^[\w${}. -]([\w/${}. -]*[\w${}. -])?$`)

func variableIn(text string) bool { return reference.MatchString(text) }

// validateEnvironments checks what a job says of the job that stops its environment.
func (c *Config) validateEnvironments(d *decoder) {
	for i := range c.jobs {
		n := &c.jobs[i]
		e := n.job.Environment
		if e == nil || e.OnStop == "" {
			continue
		}
		at := slices.IndexFunc(c.jobs, func(o jobNode) bool { return o.name == e.OnStop })
		switch {
		case at < 0:
			d.errs.undefined(n.at, "%s job: on_stop job %s is not defined", n.name, e.OnStop)
		case c.jobs[at].job.Environment == nil:
			d.errs.add(n.at, "%s job: on_stop job %s does not have environment defined", n.name, e.OnStop)
		case c.jobs[at].job.Environment.Name != e.Name:
			d.errs.add(n.at, "%s job: on_stop job %s have different environment name", n.name, e.OnStop)
		case c.jobs[at].job.Environment.Action != "stop":
			d.errs.add(n.at, "%s job: on_stop job %s needs to have action stop defined", n.name, e.OnStop)
		}
	}
}
