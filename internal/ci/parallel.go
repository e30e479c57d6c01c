package ci

import (
	"fmt"
	"slices"
	"strings"
)

const maxParallel = 200

func (d *decoder) parallel(n *jobNode, v *value, path string) {
	switch {
	case v == nil || v.kind == kNull:
	case v.kind == kInt:
		n.parallel = d.integer(v, path+" config", 1, maxParallel)
	case v.kind == kMap:
		d.known(v, path, []string{"matrix"})
		n.matrix = d.matrix(v.get("matrix"), path)
	default:
		d.errs.add(v.at, "%s config should be an integer or a hash", path)
	}
}

// matrix gives every combination, in the order in which variables and values
// are written; the last variable changes fastest.
func (d *decoder) matrix(v *value, path string) [][]Variable {
	path += ":matrix"
	if v == nil || v.kind != kList {
		if v != nil {
			d.errs.add(v.at, "%s config should be an array of hashes", path)
		}
		return nil
	}
	var all [][]Variable
	for _, hash := range v.items {
		if hash.kind != kMap || len(hash.fields) == 0 {
			d.errs.add(hash.at, "%s config should be an array of hashes", path)
			continue
		}
		combos := [][]Variable{nil}
		for _, f := range hash.fields {
			values := d.matrixValues(f.val, path+":"+f.key)
			if len(values) == 0 {
				return nil // told
			}
			if len(combos)*len(values) > maxParallel {
				d.errs.add(hash.at, "%s config generates too many jobs (maximum is %d)", path, maxParallel)
				return nil
			}
			var next [][]Variable
			for _, c := range combos {
				for _, val := range values {
					next = append(next, append(slices.Clone(c), Variable{Key: f.key, Value: val}))
				}
			}
			combos = next
		}
		if all = append(all, combos...); len(all) > maxParallel {
			d.errs.add(hash.at, "%s config generates too many jobs (maximum is %d)", path, maxParallel)
			return nil
		}
	}
	return all
}

// matrixValues reads the values of one variable: text or whole numbers, one or
// a list. What is wrong gives none.
func (d *decoder) matrixValues(v *value, path string) []string {
	items := []*value{v}
	if v.kind == kList {
		items = v.items
	}
	blank := len(items) == 0 || v.kind == kText && strings.TrimSpace(v.text) == ""
	var list []string
	for _, i := range items {
		if blank || i.kind != kText && i.kind != kInt {
			break
		}
		list = append(list, i.text)
	}
	if blank || len(list) < len(items) {
		d.errs.add(v.at, "%s config should be a hash of key value pairs, value can be an array", path)
		return nil
	}
	return list
}

// instance is one of the jobs that a parallel job becomes.
type instance struct {
	name         string
	index, total int
	variables    []Variable
}

// instances gives at least one.
func (n *jobNode) instances() []instance {
	switch {
	case n.parallel > 0:
		var list []instance
		for i := 1; i <= n.parallel; i++ {
			list = append(list, instance{name: fmt.Sprintf("%s %d/%d", n.name, i, n.parallel), index: i, total: n.parallel})
		}
		return list
	case len(n.matrix) > 0:
		var list []instance
		for i, vars := range n.matrix {
			list = append(list, instance{matrixName(n.name, vars), i + 1, len(n.matrix), vars})
		}
		return list
	}
	return []instance{{name: n.name}}
}

func matrixName(name string, vars []Variable) string {
	values := make([]string, len(vars))
	for i, v := range vars {
		values[i] = v.Value
	}
	return fmt.Sprintf("%s: [%s]", name, strings.Join(values, ", "))
}
