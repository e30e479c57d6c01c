package converge

import (
	"fmt"
	"slices"
	"strings"
)

// node is an operation that has no number yet.
type node struct {
	op   Operation
	deps []*node
}

// after makes n wait for each of others; nil ones are left out.
func (n *node) after(others ...*node) {
	for _, o := range others {
		if o != nil && o != n && !slices.Contains(n.deps, o) {
			n.deps = append(n.deps, o)
		}
	}
}

// graph holds nodes in the order in which they were thought of.
type graph struct{ nodes []*node }

func (g *graph) add(op Operation, deps ...*node) *node {
	n := &node{op: op}
	n.after(deps...)
	g.nodes = append(g.nodes, n)
	return n
}

// order numbers the nodes so that each comes after those it waits for, and
// otherwise keeps the order of adding: the same graph gives the same plan.
func (g *graph) order() ([]Operation, error) {
	ids := make(map[*node]int, len(g.nodes))
	ops := make([]Operation, 0, len(g.nodes))
	ready := func(n *node) bool {
		return !slices.ContainsFunc(n.deps, func(d *node) bool { return ids[d] == 0 })
	}
	for len(ops) < len(g.nodes) {
		i := slices.IndexFunc(g.nodes, func(n *node) bool { return ids[n] == 0 && ready(n) })
		if i < 0 {
			return nil, fmt.Errorf("order operations: %s wait for each other", g.waiting(ids))
		}
		n := g.nodes[i]
		op := n.op
		op.ID = len(ops) + 1
		ids[n] = op.ID
		op.After = g.direct(n, ids)
		ops = append(ops, op)
	}
	return ops, nil
}

// direct lists what n waits for without what those wait for themselves.
func (g *graph) direct(n *node, ids map[*node]int) []int {
	further := make(map[*node]bool)
	var walk func(*node)
	walk = func(m *node) {
		for _, d := range m.deps {
			if !further[d] {
				further[d] = true
				walk(d)
			}
		}
	}
	for _, d := range n.deps {
		walk(d)
	}
	var after []int
	for _, d := range n.deps {
		if !further[d] {
			after = append(after, ids[d])
		}
	}
	slices.Sort(after)
	return after
}

// waiting names the operations of one circle.
func (g *graph) waiting(ids map[*node]int) string {
	i := slices.IndexFunc(g.nodes, func(n *node) bool { return ids[n] == 0 })
	var path []*node
	for n := g.nodes[i]; !slices.Contains(path, n); {
		path = append(path, n)
		n = n.deps[slices.IndexFunc(n.deps, func(d *node) bool { return ids[d] == 0 })]
		if k := slices.Index(path, n); k >= 0 {
			path = path[k:]
			break
		}
	}
	names := make([]string, len(path))
	for i, n := range path {
		names[i] = n.op.Text()
	}
	return strings.Join(names, ", ")
}
