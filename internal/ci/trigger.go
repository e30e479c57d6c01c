package ci

import "encoding/json"

// Trigger is what a job does that makes another pipeline instead of running a
// script.
type Trigger struct {
	// Config is the configuration of a child pipeline, in JSON; empty for a
	// pipeline of another project.
	Config []byte
	// Project and Branch say where the other pipeline is; an empty branch is
	// the project's default one.
	Project, Branch string
	// Depend gives the job the other pipeline's status.
	Depend bool
	// JobVariables and PipelineVariables say which variables go along.
	JobVariables, PipelineVariables bool
}

var (
	bridgeKeys = []string{
		"trigger", "parallel", "extends", "rules", "variables", "inherit", "allow_failure", "when", "needs", "resource_group",
		"stage", "only", "except", "environment", "interruptible", "start_in",
	}
	triggerKeys = map[bool][]string{
		true:  {"include", "strategy", "forward"},
		false: {"project", "branch", "strategy", "forward", "inputs"},
	}
)

// trigger reads what makes another pipeline.
func (d *decoder) trigger(v *value, path string) *Trigger {
	t := &Trigger{JobVariables: true}
	if name, ok := v.str(); ok {
		t.Project = name
		return t
	}
	if v.kind != kMap {
		d.errs.add(v.at, "%s has to be either a string or a hash", path)
		return t
	}
	include := present(v, "include")
	d.known(v, path, triggerKeys[include != nil])
	t.Depend = d.oneOf(v.get("strategy"), path+" strategy", []string{"depend", "mirror"}) != ""
	if f := present(v, "forward"); f != nil && f.kind == kMap {
		d.known(f, path+":forward", []string{"yaml_variables", "pipeline_variables"})
		if y := present(f, "yaml_variables"); y != nil {
			t.JobVariables = d.boolean(y, path+":forward yaml variables")
		}
		t.PipelineVariables = d.boolean(f.get("pipeline_variables"), path+":forward pipeline variables")
	} else if f != nil {
		d.errs.add(f.at, "%s:forward config should be a hash", path)
	}
	if include != nil {
		if include.kind == kList && len(include.items) > 3 {
			d.errs.add(include.at, "%s:include config is too long (maximum is 3)", path)
		}
		root := newMap(v.at)
		root.set(field{"include", include.at, include})
		t.Config = root.json()
		return t
	}
	if t.Project = d.text(v.get("project"), path+" project"); t.Project == "" {
		d.errs.add(v.at, "%s project can't be blank", path)
	}
	t.Branch = d.text(v.get("branch"), path+" branch")
	if v.has("inputs") {
		d.errs.add(v.get("inputs").at, "%s:inputs is not supported by the embedded forge", path)
	}
	return t
}

// json writes a value so that it reads as the same one.
func (v *value) json() []byte {
	data, err := json.Marshal(v.plain())
	if err != nil {
		return nil // of text, lists and maps alone
	}
	return data
}

func (v *value) plain() any {
	switch v.kind {
	case kNull:
		return nil
	case kBool:
		return v.text == "true"
	case kInt, kFloat:
		return json.Number(v.text)
	case kList, kReference:
		list := make([]any, len(v.items))
		for i, e := range v.items {
			list[i] = e.plain()
		}
		return list
	case kMap:
		m := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			m[f.key] = f.val.plain()
		}
		return m
	}
	return v.text
}
