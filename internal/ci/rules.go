package ci

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// rule is one entry of rules. Its clauses are ANDed; a rule without clauses
// always matches.
type rule struct {
	cond          expr
	changes       []string
	hasChanges    bool
	exists        []string
	hasExists     bool
	when          string // "" when the rule has none
	allowFailure  *bool
	variables     []Variable
	needs         []need
	hasNeeds      bool
	interruptible *bool
	startIn       int // seconds, of when: delayed
	compareTo     string
	autoCancel    AutoCancel
}

type ruleOf int

const (
	ruleOfJob ruleOf = iota
	ruleOfWorkflow
	ruleOfInclude
)

var ruleKeys = map[ruleOf][]string{
	ruleOfJob:      {"if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible"},
	ruleOfWorkflow: {"if", "changes", "exists", "when", "variables", "auto_cancel"},
	ruleOfInclude:  {"if", "changes", "exists", "when"},
}

var ruleWhens = map[ruleOf][]string{
	ruleOfJob:      {"on_success", "on_failure", "always", "never", "manual", "delayed"},
	ruleOfWorkflow: {"always", "never"},
	ruleOfInclude:  {"always", "never"},
}

// rules reads a list of rules; lists that !reference brought are flattened.
func (d *decoder) rules(v *value, path string, of ruleOf) []rule {
	if v.kind != kList {
		d.errs.add(v.at, "%s:rules config should be an array", path)
		return nil
	}
	if len(v.items) == 0 {
		d.errs.add(v.at, "%s:rules config can't be blank", path)
	}
	var list []rule
	for _, item := range flatten(v, 0) {
		if item.kind != kMap || len(item.fields) == 0 {
			d.errs.add(item.at, "%s:rules:rule config should be a hash", path)
			continue
		}
		list = append(list, d.rule(item, path+":rules:rule", of))
	}
	return list
}

func flatten(v *value, depth int) []*value {
	if v.kind != kList || depth > 10 {
		return []*value{v}
	}
	var list []*value
	for _, i := range v.items {
		list = append(list, flatten(i, depth+1)...)
	}
	return list
}

func (d *decoder) rule(v *value, path string, of ruleOf) rule {
	d.known(v, path, ruleKeys[of])
	var r rule
	if c := present(v, "if"); c != nil {
		text, ok := c.str()
		e, err := parseExpr(text)
		if !ok || err != nil {
			d.errs.add(c.at, "%s if invalid expression syntax%s", path, detail(err))
		} else {
			r.cond = e
		}
	}
	r.changes, r.hasChanges, r.compareTo = d.changes(v.get("changes"), path+":changes")
	r.exists, r.hasExists = d.exists(v.get("exists"), path+":exists")
	r.when = d.oneOf(v.get("when"), path+" when", ruleWhens[of])
	if w := r.when; (w == "delayed") != v.has("start_in") && of == ruleOfJob {
		if w == "delayed" {
			d.errs.add(v.get("when").at, "%s start in can't be blank when when is delayed", path)
		} else {
			d.errs.add(v.get("start_in").at, "%s start in must be blank", path)
		}
	}
	if s := v.get("start_in"); s != nil {
		r.startIn = d.duration(s, path+" start in", maxStartIn)
	}
	if of == ruleOfWorkflow {
		r.autoCancel = d.autoCancel(present(v, "auto_cancel"), path+":auto_cancel")
	}
	if a := v.get("allow_failure"); a != nil {
		b := d.boolean(a, path+" allow failure")
		r.allowFailure = &b
	}
	if i := v.get("interruptible"); i != nil {
		b := d.boolean(i, path+" interruptible")
		r.interruptible = &b
	}
	r.variables = d.simple(v.get("variables"), path+":variables")
	if n := v.get("needs"); n != nil {
		r.needs, r.hasNeeds = d.needs(n, path), true
	}
	return r
}

// detail adds to GitLab's few words what else is known.
func detail(err error) string {
	if err == nil || err == errExpression {
		return ""
	}
	return " (" + strings.TrimPrefix(err.Error(), errExpression.Error()+": ") + ")"
}

// changes reads a list of patterns, or a hash with paths.
func (d *decoder) changes(v *value, path string) (patterns []string, has bool, compareTo string) {
	if v == nil || v.kind == kNull {
		return nil, false, ""
	}
	list := v
	if v.kind == kMap {
		d.known(v, path, []string{"paths", "compare_to"})
		if c := v.get("compare_to"); c != nil {
			if compareTo = d.text(c, path+" compare to"); compareTo == "" {
				d.errs.add(c.at, "%s compare to should be a string", path)
			}
		}
		if list = v.get("paths"); list == nil {
			d.errs.add(v.at, "%s paths can't be blank", path)
			return nil, false, ""
		}
	}
	return d.patterns(list, d.list(list, path), path), true, compareTo
}

// exists reads a list of patterns, a single one, or a hash with paths.
func (d *decoder) exists(v *value, path string) ([]string, bool) {
	if v == nil || v.kind == kNull {
		return nil, false
	}
	if v.kind != kMap {
		return d.patterns(v, d.strings(v, path), path), true
	}
	d.known(v, path, []string{"paths", "project", "ref"})
	if v.has("ref") && !v.has("project") {
		d.errs.add(v.get("ref").at, "%s config the following keys depend on each other: project, ref", path)
	}
	if p := v.get("project"); p != nil {
		d.errs.add(p.at, "%s project is not supported here", path)
	}
	list := v.get("paths")
	if list == nil {
		d.errs.add(v.at, "%s paths can't be blank", path)
		return nil, false
	}
	return d.patterns(list, d.list(list, path), path), true
}

func (d *decoder) patterns(v *value, list []string, path string) []string {
	if len(list) > 50 {
		d.errs.add(v.at, "%s config is too long (maximum is 50)", path)
	}
	return list
}

// matches evaluates a rule's clauses. Conditions see variables as they were
// written, patterns of paths see them expanded.
func (r *rule) matches(e *Event, s scope) bool {
	if r.cond != nil && !r.cond(s.written).truthy() {
		return false
	}
	if r.hasChanges {
		changed := e.Changed
		if r.compareTo != "" && e.ChangedSince != nil {
			since, err := e.ChangedSince(ExpandFully(r.compareTo, s.expanded))
			if err != nil {
				e.failed = errors.New("rules:changes:compare_to is not a valid ref")
			}
			changed = since
		}
		if changed != nil && !globsOf(r.changes, s.expanded).match(changed) {
			return false
		}
	}
	if r.hasExists {
		return existsMatch(globsOf(r.exists, s.expanded), r.exists, e.files())
	}
	return true
}

func globsOf(patterns []string, get lookup) globs {
	list := make([]string, len(patterns))
	for i, p := range patterns {
		list[i] = Expand(p, get)
	}
	return compileGlobs(list)
}

// existsMatch also knows directories, which a pattern names with a final slash.
func existsMatch(g globs, patterns, paths []string) bool {
	if g.match(paths) {
		return true
	}
	for _, p := range patterns {
		if dir := strings.TrimPrefix(p, "/"); strings.HasSuffix(dir, "/") && !strings.ContainsAny(dir, "*?[{") {
			if slices.ContainsFunc(paths, func(f string) bool { return strings.HasPrefix(f, dir) }) {
				return true
			}
		}
	}
	return false
}

// decide gives the first rule that matches.
func decide(rules []rule, e *Event, s scope) (rule, bool) {
	for i := range rules {
		if rules[i].matches(e, s) {
			return rules[i], true
		}
	}
	return rule{}, false
}

// filter is only or except. Conditions of one kind are ORed; only ANDs the
// kinds, except ORs them.
type filter struct {
	refs      []refPattern
	variables []expr
	changes   []string
	has       struct{ refs, variables, changes, kubernetes bool }
}

type refPattern struct {
	name    string
	re      *regexp.Regexp
	project string // of name@group/project
}

var filterKeys = []string{"refs", "variables", "changes", "kubernetes"}

func (d *decoder) filter(v *value, path string) *filter {
	f := &filter{}
	refs := v
	if v.kind == kMap {
		d.known(v, path, filterKeys)
		if len(v.fields) == 0 {
			d.errs.add(v.at, "%s config can't be blank", path)
		}
		if k := present(v, "kubernetes"); k != nil && k.text != "active" {
			d.errs.add(k.at, "%s kubernetes unknown value: %s", path, cut(k.text, 40))
		}
		refs = v.get("refs")
		for _, text := range d.list(v.get("variables"), path+" variables") {
			if e, err := parseExpr(text); err != nil {
				d.errs.add(v.get("variables").at, "%s variables invalid expression syntax%s", path, detail(err))
			} else {
				f.variables = append(f.variables, e)
			}
		}
		f.has.variables = v.has("variables")
		f.changes = d.list(v.get("changes"), path+" changes")
		f.has.changes = present(v, "changes") != nil
		f.has.kubernetes = v.has("kubernetes")
	}
	if refs == nil || refs.kind == kNull {
		return f
	}
	f.has.refs = true
	for _, text := range d.list(refs, path) {
		p := refPattern{name: text}
		if i := strings.LastIndexByte(text, '@'); i > 0 {
			p.name, p.project = text[:i], text[i+1:]
		}
		if strings.HasPrefix(p.name, "/") {
			re, err := compile(p.name)
			if err != nil {
				d.errs.add(refs.at, "%s config should be an array of strings or regexps (%v)", path, err)
				continue
			}
			p.re = re
		}
		f.refs = append(f.refs, p)
	}
	return f
}

var refSources = map[string]string{
	"pushes": "push", "web": "web", "api": "api", "schedules": "schedule", "triggers": "trigger",
	"pipelines": "pipeline", "external": "external", "chat": "chat", "merge_requests": "merge_request_event",
	"external_pull_requests": "external_pull_request_event",
}

func (p refPattern) matches(e *Event) bool {
	if p.project != "" && p.project != e.Variables["CI_PROJECT_PATH"] {
		return false
	}
	switch {
	case p.re != nil:
		return p.re.MatchString(e.Ref)
	case p.name == "branches":
		return !e.Tag
	case p.name == "tags":
		return e.Tag
	case refSources[p.name] != "":
		return e.Source == refSources[p.name]
	}
	return p.name == e.Ref
}

// conditions evaluates the kinds that the filter has.
func (f *filter) conditions(e *Event, s scope) []bool {
	var list []bool
	if f.has.refs {
		list = append(list, slices.ContainsFunc(f.refs, func(p refPattern) bool { return p.matches(e) }))
	}
	if f.has.variables {
		list = append(list, slices.ContainsFunc(f.variables, func(x expr) bool { return x(s.written).truthy() }))
	}
	if f.has.changes {
		list = append(list, e.Changed == nil || globsOf(f.changes, s.expanded).match(e.Changed))
	}
	if f.has.kubernetes {
		list = append(list, false) // no cluster is ever there
	}
	return list
}

func (f *filter) all(e *Event, s scope) bool {
	return !slices.Contains(f.conditions(e, s), false)
}

func (f *filter) some(e *Event, s scope) bool {
	return slices.Contains(f.conditions(e, s), true)
}
