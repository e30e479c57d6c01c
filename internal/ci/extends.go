package ci

import (
	"fmt"
	"slices"
	"strings"
)

// reserved are the names on the top level that are no jobs.
var reserved = []string{
	"image", "services", "stages", "types", "before_script", "after_script", "variables", "cache", "include", "workflow",
	"default", "spec", "true", "false", "nil",
}

const maxExtends = 11

// extend resolves extends in every job, hidden ones included.
func extend(root *value, errs *problems) *value {
	x := &extender{root: root, errs: errs, done: map[string]*value{}}
	out := newMap(root.at)
	for _, f := range root.fields {
		if f.val.kind == kMap && !slices.Contains(reserved, f.key) {
			f.val = x.job(f.key)
		}
		out.set(f)
		if out.size > 5*maxNodes {
			errs.add(f.at, "too large: more than %d values once extends is resolved", 5*maxNodes)
			break
		}
	}
	return out
}

type extender struct {
	root *value
	errs *problems
	done map[string]*value
	open []string
}

func (x *extender) job(name string) *value {
	if v, ok := x.done[name]; ok {
		return v
	}
	own := x.root.get(name)
	ext := own.get("extends")
	if ext == nil || ext.kind == kNull {
		x.done[name] = own
		return own
	}
	x.open = append(x.open, name)
	defer func() { x.open = x.open[:len(x.open)-1] }()
	bases := []*value{ext}
	if ext.kind == kList {
		bases = ext.items
	}
	merged := newMap(own.at)
	for _, b := range bases {
		base, ok := b.str()
		switch from := x.root.get(base); {
		case !ok:
			x.errs.add(b.at, "%s: extends config should be an array of strings or a string", jobPath(name))
		case from == nil || from.kind != kMap:
			x.errs.undefined(b.at, "%s: unknown keys in `extends` (%s)", name, base)
		case slices.Contains(x.open, base):
			x.errs.add(b.at, "%s: circular dependency detected in `extends`", name)
		case len(x.open) >= maxExtends:
			x.errs.add(b.at, "%s: nesting too deep in `extends`", name)
		default:
			merged = merge(merged, x.job(base))
		}
	}
	merged = without(merge(merged, own), "extends")
	x.done[name] = merged
	return merged
}

func without(v *value, key string) *value {
	out := newMap(v.at)
	for _, f := range v.fields {
		if f.key != key {
			out.set(f)
		}
	}
	return out
}

func jobPath(name string) string { return "jobs:" + name }

// dereference resolves !reference everywhere.
func dereference(root *value, errs *problems) *value {
	x := &dereferencer{root: root, errs: errs, done: map[*value]*value{}, open: map[*value]bool{}}
	return x.resolve(root, 0)
}

type dereferencer struct {
	root *value
	errs *problems
	done map[*value]*value
	open map[*value]bool
}

func (x *dereferencer) resolve(v *value, depth int) *value {
	if v.kind != kMap && v.kind != kList && v.kind != kReference {
		return v
	}
	if out, ok := x.done[v]; ok {
		return out
	}
	null := &value{at: v.at, size: 1}
	if v.kind == kReference && x.open[v] {
		x.errs.add(v.at, "%s is part of a circular chain", v)
		return null
	}
	if depth > maxDepth {
		x.errs.add(v.at, "nested more than %d levels deep", maxDepth)
		return null
	}
	x.open[v] = true
	defer delete(x.open, v)
	var out *value
	switch v.kind {
	case kReference:
		target := x.find(v)
		if target == nil {
			x.errs.undefined(v.at, "%s could not be found", v)
			return null
		}
		out = x.resolve(target, depth+1)
	case kList:
		out = &value{kind: kList, at: v.at, size: 1}
		for _, i := range v.items {
			r := x.resolve(i, depth+1)
			out.items = append(out.items, r)
			if out.size += r.size; out.size > 5*maxNodes {
				break
			}
		}
	default:
		out = newMap(v.at)
		for _, f := range v.fields {
			f.val = x.resolve(f.val, depth+1)
			out.set(f)
			if out.size > 5*maxNodes {
				break
			}
		}
	}
	if out.size > 5*maxNodes {
		x.errs.add(v.at, "too large: more than %d values once !reference is resolved", 5*maxNodes)
		return null
	}
	x.done[v] = out
	return out
}

// find follows the keys of a reference from the top of the configuration.
func (x *dereferencer) find(ref *value) *value {
	v := x.root
	for _, k := range ref.items {
		if !k.scalar() {
			return nil
		}
		if v = v.get(k.text); v == nil {
			return nil
		}
	}
	if len(ref.items) == 0 {
		return nil
	}
	return v
}

// String writes a reference as its author did.
func (v *value) String() string {
	var keys []string
	for _, k := range v.items {
		keys = append(keys, fmt.Sprintf("%q", k.text))
	}
	return "!reference [" + strings.Join(keys, ", ") + "]"
}
