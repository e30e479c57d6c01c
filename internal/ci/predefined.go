package ci

import (
	"regexp"
	"strconv"

	"github.com/heptaup/hepta/internal/ci/expand"
)

var parallelPart = regexp.MustCompile(`[\s:]+(\[.*\]|\d+[\s:/\\]+\d+)\s*$`)

// GroupName is a job's name without what parallel added: "1/3", "[a, b]".
func GroupName(name string) string { return parallelPart.ReplaceAllString(name, "") }

// Predefined are the variables that tell a job of itself, as far as they are
// known before it runs. The URL of its environment is not expanded.
func (j *Job) Predefined() []Variable {
	var list []Variable
	add := func(key, value string) { list = append(list, Variable{Key: key, Value: value}) }
	add("CI_JOB_NAME", j.Name)
	add("CI_JOB_NAME_SLUG", expand.Slug(j.Name))
	add("CI_JOB_GROUP_NAME", GroupName(j.Name))
	add("CI_JOB_STAGE", j.Stage)
	if j.When == "manual" {
		add("CI_JOB_MANUAL", "true")
	}
	if j.NodeIndex > 0 {
		add("CI_NODE_INDEX", strconv.Itoa(j.NodeIndex))
	}
	add("CI_NODE_TOTAL", strconv.Itoa(max(j.NodeTotal, 1)))
	if e := j.Environment; e != nil {
		add("CI_ENVIRONMENT_NAME", e.Name)
		add("CI_ENVIRONMENT_ACTION", e.Action)
		add("CI_ENVIRONMENT_TIER", firstOf(e.Tier, expand.EnvironmentTier(e.Name)))
		if e.URL != "" {
			add("CI_ENVIRONMENT_URL", e.URL)
		}
	}
	return list
}

// scope is what the rules of j see, with the file's variables that reach it.
// The name of its environment is expanded first, by the others.
func (j Job) scope(e *Event, vars []Variable) scope {
	if j.Environment == nil {
		return e.scope(j.Predefined(), vars)
	}
	own := *j.Environment
	j.Environment = nil
	own.Name = ExpandFully(own.Name, e.scope(j.Predefined(), vars).expanded)
	j.Environment = &own
	return e.scope(j.Predefined(), vars)
}
