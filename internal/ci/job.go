package ci

import (
	"slices"
	"strings"
)

// jobNode is one visible job of a file, before an event decides about it.
type jobNode struct {
	name         string
	at           place
	job          Job // what no event changes
	allowFailure *bool
	rules        []rule
	hasRules     bool
	only, except *filter
	needs        []need
	inheritVars  func(key string) bool
	parallel     int
	matrix       [][]Variable
}

// need is one entry of needs, with the place for messages.
type need struct {
	Need
	at       place
	matrix   [][]Variable // only these of a parallel job
	pipeline string       // the job is of this pipeline; "" is its own
}

var jobKeys = []string{
	"tags", "script", "image", "services", "start_in", "artifacts", "cache", "dependencies", "before_script", "after_script",
	"environment", "coverage", "retry", "parallel", "interruptible", "timeout", "release", "id_tokens", "publish", "pages",
	"manual_confirmation", "run", "hooks", "extends", "rules", "variables", "inherit", "allow_failure", "when",
	"needs", "resource_group", "stage", "only", "except", "trigger",
}

// defaultKeys can stand in default, or, the first of them, on the top level.
var (
	globalKeys  = []string{"image", "services", "before_script", "after_script", "cache"}
	defaultKeys = append(slices.Clone(globalKeys), "artifacts", "hooks", "id_tokens", "interruptible", "retry", "tags", "timeout")
)

// unsupported would change what a job can do; leaving them out silently would
// only fail later, in the job.
var unsupported = []string{"run"}

var unheeded = []string{"coverage", "release", "publish", "pages", "manual_confirmation"}

// inherited looks a key up in the job, then in what it inherits.
type inherited struct {
	own      *value
	path     string
	defaults *value // default:
	root     *value
	allowed  func(key string) bool
}

func (i inherited) get(key string) (v *value, path string) {
	if v := present(i.own, key); v != nil {
		return v, i.path + ":" + key
	}
	if i.own.has(key) && i.own.get(key).kind == kNull || !i.allowed(key) {
		return nil, ""
	}
	if v := present(i.defaults, key); v != nil {
		return v, "default:" + key
	}
	if v := present(i.root, key); v != nil && slices.Contains(globalKeys, key) {
		return v, key
	}
	return nil, ""
}

const maxJobName = 255

func (d *decoder) job(name string, at place, v, root *value) jobNode {
	path := jobPath(name)
	if strings.TrimSpace(name) == "" {
		d.errs.add(at, "jobs name can't be blank")
	}
	if len([]rune(name)) > maxJobName {
		d.errs.add(at, "%s name is too long (maximum is %d characters)", path, maxJobName)
	}
	n := jobNode{name: name, at: at, job: Job{Name: name, Stage: "test"}}
	if t := present(v, "trigger"); t != nil {
		d.known(v, path, bridgeKeys)
		n.job.Trigger = d.trigger(t, path+":trigger")
	} else {
		d.known(v, path, jobKeys)
	}
	for _, key := range unsupported {
		if u := present(v, key); u != nil {
			d.errs.add(u.at, "%s:%s is not supported by the embedded forge", path, key)
		}
	}
	for _, key := range unheeded {
		if present(v, key) != nil {
			d.ignored(path + ":" + key)
		}
	}
	d.unheeded(name, path, v)
	if present(v, "script") == nil && present(v, "trigger") == nil && present(v, "run") == nil {
		d.errs.undefined(at, "jobs %s config should implement the script:, run:, or trigger: keyword", name)
	}
	var allowed func(string) bool
	allowed, n.inheritVars = d.inherit(v.get("inherit"), path+":inherit")
	in := inherited{v, path, root.get("default"), root, allowed}
	d.body(&n.job, in)
	if s := present(v, "stage"); s != nil {
		n.job.Stage = d.text(s, path+" stage")
	}
	n.job.Variables = d.variables(v.get("variables"), path+":variables", false)
	d.conditions(&n, v, path)
	if needs := present(v, "needs"); needs != nil {
		n.needs, n.job.HasNeeds = d.needs(needs, path), true
	}
	if deps := present(v, "dependencies"); deps != nil {
		n.job.Dependencies, n.job.HasDeps = d.list(deps, path+" dependencies"), true
	}
	d.parallel(&n, v.get("parallel"), path+":parallel")
	n.job.ResourceGroup = d.text(v.get("resource_group"), path+" resource group")
	if e := present(v, "environment"); e != nil {
		d.environment(&n.job, e, path+":environment")
	}
	return n
}

// body reads the keys that a job can inherit.
func (d *decoder) body(j *Job, in inherited) {
	if v, path := in.get("image"); v != nil {
		image := d.image(v, path, false)
		j.Image = &image
	}
	if v, path := in.get("services"); v != nil {
		j.Services = d.services(v, path)
	}
	if v, path := in.get("before_script"); v != nil {
		j.Script = d.script(v, path)
	}
	if v := present(in.own, "script"); v != nil {
		own := d.script(v, in.path+":script")
		j.Script = append(slices.Clip(j.Script), own...)
		if own != nil && strings.Join(own, "") == "" {
			d.errs.add(v.at, "%s:script config can't be blank", in.path)
		}
	}
	if v, path := in.get("after_script"); v != nil {
		j.AfterScript = d.script(v, path)
	}
	if v, path := in.get("cache"); v != nil {
		j.Cache = d.caches(v, path)
	}
	if v, path := in.get("artifacts"); v != nil {
		j.Artifacts = d.artifacts(v, path)
	}
	if v, path := in.get("tags"); v != nil {
		if j.Tags = d.list(v, path); len(j.Tags) >= maxTags {
			d.errs.add(v.at, "%s config must be less than the limit of %d tags", path, maxTags)
		}
	}
	if v, path := in.get("interruptible"); v != nil {
		j.Interrupt = d.boolean(v, path+" config")
	}
	if v, path := in.get("timeout"); v != nil {
		j.TimeoutSecs = d.duration(v, strings.TrimSuffix(path, ":timeout")+" timeout", maxTimeout)
	}
	if v, path := in.get("retry"); v != nil {
		d.retry(j, v, path)
	}
	if v, path := in.get("hooks"); v != nil {
		d.hooks(j, v, path)
	}
	if v, path := in.get("id_tokens"); v != nil {
		j.IDTokens = d.idTokens(v, path)
	}
}

func (d *decoder) retry(j *Job, v *value, path string) {
	if v.kind != kMap {
		j.RetryMax = d.integer(v, path+" config", 0, 2)
		return
	}
	d.known(v, path, []string{"max", "when", "exit_codes"})
	if m := present(v, "max"); m != nil {
		j.RetryMax = d.integer(m, path+" max", 0, 2)
	}
	j.RetryWhen = d.strings(v.get("when"), path+" when")
	for _, reason := range j.RetryWhen {
		if !slices.Contains(retryReasons, reason) {
			d.errs.add(v.get("when").at, "%s when contains unknown values: %s", path, reason)
		}
	}
	j.RetryExitCodes = d.exitCodes(v.get("exit_codes"), path+" exit codes")
}

// retryReasons are the reasons for which a job can be run again.
var retryReasons = strings.Fields(`always unknown_failure script_failure api_failure stuck_or_timeout_failure runner_system_failure
	runner_unsupported stale_schedule job_execution_timeout archived_failure unmet_prerequisites scheduler_failure
	data_integrity_failure forward_deployment_failure user_blocked project_deleted insufficient_bridge_permissions
	downstream_bridge_project_not_found invalid_bridge_trigger upstream_bridge_project_not_found insufficient_upstream_permissions
	bridge_pipeline_is_child_pipeline downstream_pipeline_creation_failed secrets_provider_not_found
	reached_max_descendant_pipelines_depth ip_restriction_failure reached_max_pipeline_hierarchy_size
	reached_downstream_pipeline_trigger_rate_limit no_matching_runner trace_size_exceeded builds_disabled
	environment_creation_failure deployment_rejected failed_outdated_deployment_job protected_environment_failure
	runner_provisioning_timeout`)

// hooks reads scripts that the runner runs at its own steps.
func (d *decoder) hooks(j *Job, v *value, path string) {
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash", path)
		return
	}
	d.known(v, path, []string{"pre_get_sources_script"})
	j.PreGetSources = d.script(v.get("pre_get_sources_script"), path+":pre_get_sources_script")
}

func (d *decoder) idTokens(v *value, path string) []IDToken {
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash", path)
		return nil
	}
	var list []IDToken
	for _, f := range v.fields {
		path := path + ":" + f.key
		if f.val.kind != kMap {
			d.errs.add(f.at, "%s config should be a hash", path)
			continue
		}
		d.known(f.val, path, []string{"aud"})
		aud := present(f.val, "aud")
		if aud == nil {
			d.errs.add(f.at, "%s config missing required keys: aud", path)
			continue
		}
		list = append(list, IDToken{f.key, d.strings(aud, path+" aud"), aud.kind == kList})
	}
	return list
}

func (d *decoder) exitCodes(v *value, path string) []int {
	if v == nil || v.kind == kNull {
		return nil
	}
	items := []*value{v}
	if v.kind == kList {
		items = v.items
	}
	var codes []int
	for _, i := range items {
		codes = append(codes, d.integer(i, path, 0, 255))
	}
	return codes
}

// inherit reads which defaults and which global variables reach a job.
func (d *decoder) inherit(v *value, path string) (defaults, variables func(string) bool) {
	every := func(string) bool { return true }
	one := func(key string) func(string) bool {
		switch f := present(v, key); {
		case f == nil:
			return every
		case f.kind == kBool:
			return func(string) bool { return f.text == "true" }
		default:
			list := d.list(f, path+":"+key)
			for _, s := range list {
				if key == "default" && !slices.Contains(defaultKeys, s) {
					d.errs.add(f.at, "%s:default config contains unknown values: %s", path, s)
				}
			}
			return func(s string) bool { return slices.Contains(list, s) }
		}
	}
	if v == nil || v.kind == kNull {
		return every, every
	}
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash", path)
		return every, every
	}
	d.known(v, path, []string{"default", "variables"})
	return one("default"), one("variables")
}

// conditions reads what decides whether and how a job runs.
func (d *decoder) conditions(n *jobNode, v *value, path string) {
	n.job.When = d.oneOf(v.get("when"), path+" when", []string{"on_success", "on_failure", "always", "manual", "delayed"})
	if s := present(v, "start_in"); s != nil {
		n.job.StartInSecs = d.duration(s, path+" start in", maxStartIn)
		if n.job.When != "delayed" {
			d.errs.add(s.at, "%s start in must be blank", path)
		}
	} else if n.job.When == "delayed" {
		d.errs.add(v.get("when").at, "%s start in should be a duration", path)
	}
	switch a := present(v, "allow_failure"); {
	case a == nil:
	case a.kind == kMap:
		d.known(a, path+":allow_failure", []string{"exit_codes"})
		n.job.AllowExitCodes = d.exitCodes(a.get("exit_codes"), path+":allow_failure exit codes")
		b := false
		n.allowFailure = &b
	default:
		b := d.boolean(a, path+" allow failure")
		n.allowFailure = &b
	}
	if r := v.get("rules"); r != nil && r.kind != kNull {
		n.rules, n.hasRules = d.rules(r, path, ruleOfJob), true
		if s := present(v, "start_in"); s != nil {
			d.errs.add(s.at, "%s start in must be blank", path)
		}
		for _, key := range []string{"only", "except"} {
			if f := present(v, key); f != nil {
				d.errs.add(f.at, "%s config key may not be used with `rules`: %s", path, key)
			}
		}
		return
	}
	if f := present(v, "only"); f != nil {
		n.only = d.filter(f, path+":only")
	}
	if f := present(v, "except"); f != nil {
		n.except = d.filter(f, path+":except")
	}
}

// maxUpstream is how many jobs of other pipelines a job may need.
const maxUpstream = 5

// needs reads the needs of a job or of a rule; path is the job's or the rule's.
func (d *decoder) needs(v *value, path string) []need {
	if v.kind != kList && v.kind != kMap {
		d.errs.add(v.at, "%s:needs config can only be a hash or an array", path)
		return nil
	}
	list := []need{}
	upstream := 0
	for _, i := range flatten(v, 0) {
		n := need{Need: Need{Artifacts: true}, at: i.at}
		if s, ok := i.str(); ok {
			n.Job = s
			list = append(list, n)
			continue
		}
		if i.kind != kMap {
			d.errs.add(i.at, "%s:needs:need has an unsupported type", path)
			continue
		}
		d.known(i, path+":needs:need", []string{"job", "artifacts", "optional", "parallel", "pipeline", "project", "ref"})
		for _, key := range []string{"pipeline", "project"} {
			if f := i.get(key); f != nil && (key == "project" || !i.has("job")) {
				d.errs.add(f.at, "%s:needs:need %s is not supported by the embedded forge", path, key)
			}
		}
		n.Job = d.text(i.get("job"), path+":needs:need job")
		if n.pipeline = d.text(i.get("pipeline"), path+":needs:need pipeline"); n.pipeline != "" {
			d.known(i, path+":needs:need", []string{"pipeline", "job", "artifacts"})
			upstream++
		}
		if n.Job == "" && !i.has("pipeline") && !i.has("project") {
			d.errs.add(i.at, "%s:needs:need job can't be blank", path)
		}
		if a := present(i, "artifacts"); a != nil {
			n.Artifacts = d.boolean(a, path+":needs:need artifacts")
		}
		if o := present(i, "optional"); o != nil {
			n.Optional = d.boolean(o, path+":needs:need optional")
		}
		switch p := present(i, "parallel"); {
		case p == nil:
		case p.kind == kInt:
			d.errs.add(p.at, "%s:needs:need parallel config cannot use \"parallel: <number>\".", path)
		case p.kind != kMap || !p.has("matrix"):
			d.errs.add(p.at, "%s:needs:need:parallel config should be a hash with matrix", path)
		default:
			d.known(p, path+":needs:need:parallel", []string{"matrix"})
			n.matrix = d.matrix(p.get("matrix"), path+":needs:need:parallel")
		}
		list = append(list, n)
	}
	if upstream > maxUpstream {
		d.errs.add(v.at, "%s:needs config must be less than or equal to %d", path, maxUpstream)
	}
	return list
}
