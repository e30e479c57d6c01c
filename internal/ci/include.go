package ci

import (
	"regexp"
	"slices"
	"strings"
)

const maxIncludes = 150

// included lays root over what it includes, in order. The result has no
// include key.
func (l *loader) included(root *value) *value {
	inc := root.get("include")
	own := newMap(root.at)
	for _, f := range root.fields {
		if f.key != "include" {
			own.set(f)
		}
	}
	if inc == nil || inc.kind == kNull {
		return own
	}
	entries := []*value{inc}
	if inc.kind == kList {
		entries = inc.items
	}
	base := newMap(root.at)
	for _, e := range entries {
		for _, name := range l.names(e) {
			if v := l.include(name, e.at); v != nil {
				base = merge(base, v)
			}
		}
	}
	return merge(base, own)
}

// names gives the files of one entry of include.
func (l *loader) names(e *value) []string {
	local, ok := e.str()
	switch {
	case ok && strings.Contains(local, "://"):
		l.errs.add(e.at, "include:remote is not supported here: put `%s` into the repository and include it as local", local)
		return nil
	case ok:
	case e.kind == kMap:
		for _, f := range e.fields {
			switch f.key {
			case "local", "rules":
			case "remote", "project", "template", "component", "artifact", "inputs", "file", "ref", "job":
				l.errs.add(f.at, "include:%s is not supported here, only include:local is", f.key)
				return nil
			default:
				l.errs.add(f.at, "include config contains unknown keys: %s", f.key)
				return nil
			}
		}
		if local, ok = e.get("local").str(); !ok {
			l.errs.add(e.at, "include needs to match exactly one accessor!")
			return nil
		}
		if !l.wanted(e.get("rules")) {
			return nil
		}
	default:
		l.errs.add(e.at, "include config should be a hash or a string")
		return nil
	}
	if l.options.Event != nil {
		local = Expand(local, l.options.Event.lookup)
	}
	local = strings.TrimPrefix(local, "/")
	if !strings.HasSuffix(local, ".yml") && !strings.HasSuffix(local, ".yaml") {
		l.errs.add(e.at, "Included file `%s` does not have YAML extension!", local)
		return nil
	}
	if !strings.Contains(local, "*") {
		return []string{local}
	}
	re, err := regexp.Compile(globPattern(local))
	if err != nil {
		l.errs.add(e.at, "include pattern `%s` cannot be read", local)
		return nil
	}
	var list []string
	for _, f := range l.options.Files {
		if re.MatchString(f) {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		l.errs.add(e.at, "Local file `%s` does not exist!", local)
	}
	slices.Sort(list)
	return list
}

// wanted decides include:rules.
func (l *loader) wanted(v *value) bool {
	if v == nil {
		return true
	}
	d := &decoder{errs: l.errs}
	rules := d.rules(v, "include", ruleOfInclude)
	if l.options.Event == nil {
		l.warnings = append(l.warnings, "include:rules was not evaluated: every file is included")
		return true
	}
	r, ok := decide(rules, l.options.Event, l.options.Event.lookup)
	return ok && r.when != "never"
}

func (l *loader) include(name string, at place) *value {
	if l.count++; l.count > maxIncludes {
		if l.count == maxIncludes+1 {
			l.errs.add(at, "Maximum of %d nested includes are allowed!", maxIncludes)
		}
		return nil
	}
	if slices.Contains(l.open, name) {
		l.errs.add(at, "include: `%s` includes itself", name)
		return nil
	}
	if l.options.Include == nil {
		l.errs.add(at, "Local file `%s` does not exist!", name)
		return nil
	}
	src, err := l.options.Include(name)
	if err != nil {
		l.errs.add(at, "Local file `%s` does not exist!", name)
		return nil
	}
	l.open = append(l.open, name)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	before := len(l.errs.list)
	v := l.load(src, name)
	if v == nil && len(l.errs.list) == before {
		l.errs.add(at, "Local file `%s` is empty!", name)
	}
	return v
}
