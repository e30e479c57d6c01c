package converge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// task is a call that is due, and its place in the plan.
type task struct {
	Task
	node *node
}

// decideTasks asks for the calls that go elsewhere.
func (p *planner) decideTasks() error {
	seen := make(map[Ref]bool)
	for _, decide := range p.s.Decide {
		tasks, err := decide(p.o)
		if err != nil {
			return fmt.Errorf("decide tasks: %w", err)
		}
		for _, t := range tasks {
			p.tasks = append(p.tasks, &task{Task: t})
		}
	}
	slices.SortStableFunc(p.tasks, func(a, b *task) int {
		return strings.Compare(a.Name+"\x00"+string(a.Ref), b.Name+"\x00"+string(b.Ref))
	})
	for _, t := range p.tasks {
		if t.Run == nil {
			return fmt.Errorf("task %s has nothing to run", t.Name)
		}
		if t.Ref != "" && seen[t.Ref] {
			return fmt.Errorf("%s is due twice", t.Ref)
		}
		seen[t.Ref] = true
	}
	return nil
}

func (p *planner) planTasks() {
	p.tasks = slices.DeleteFunc(p.tasks, func(t *task) bool {
		return t.RunsOn != "" && !slices.ContainsFunc(p.services, func(v *service) bool { return v.want.Service == t.RunsOn && v.action == keep })
	})
	for _, t := range p.tasks {
		t.node = p.add(Operation{Kind: RunTask, Resource: "task " + t.text(), Target: t.Name, Cause: t.Cause, Task: &t.Task})
		if t.Ref != "" {
			p.calls[t.Ref] = t.node
		}
	}
}

// text is what a plan shows: "create runner dind".
func (t Task) text() string { return strings.TrimSpace(t.Verb + " " + t.Name) }

// wire makes every operation wait for what it needs.
func (p *planner) wire() {
	for _, f := range p.files {
		if f.write != nil {
			f.write.after(p.before(f)...)
		}
		if f.apply != nil {
			f.apply.after(p.service(f.want.Apply.Service).last)
		}
	}
	for _, t := range p.tasks {
		t.node.after(p.refs(t.After)...)
		for _, r := range t.Before {
			for _, n := range p.startNodes(r) {
				n.after(t.node)
			}
		}
	}
	p.wireOrphans()
	portReleases := p.portReleases()
	for _, v := range p.services {
		if v.create != nil {
			v.create.after(p.pulls[NormalizeImage(v.want.Image)], p.freed[v.name()])
			for _, a := range v.want.Networks[min(1, len(v.want.Networks)):] {
				v.create.after(p.networks[a.Network])
			}
			for _, m := range v.want.Mounts {
				if m.Kind == VolumeKind {
					v.create.after(p.volumes[m.Source])
				}
			}
		}
		if v.cur != nil && v.cur.Name != v.want.Name { // it gets its name back
			if back := p.freed[v.cur.Name]; back.op.NewName == v.want.Name {
				back.after(p.freed[v.want.Name])
			}
		}
		p.wireStart(v, portReleases)
	}
}

// wireOrphans lets a container go only after the files that it has left are in
// order: while it is there, they are looked at.
func (p *planner) wireOrphans() {
	for i := range p.orphans {
		c := &p.orphans[i]
		for _, f := range p.files {
			if f.want.Existing && f.write != nil && p.showed(c, f.want.Path) {
				cmp.Or(p.stops[c.ID], p.orphanRemovals[c.ID]).after(f.write)
			}
		}
	}
}

func (p *planner) wireStart(v *service, portReleases map[*node][]*node) {
	if v.start == nil {
		p.wireWait(v)
		return
	}
	needs := slices.Clone(v.connects)
	if len(v.want.Networks) > 0 { // the Engine looks the first one up when it starts a container
		needs = append(needs, p.networks[v.want.Networks[0].Network])
	}
	needs = append(needs, p.refs(v.want.After)...)
	for _, f := range p.files {
		if _, shows := p.s.Shows(v.want, f.want.Path); !shows || f.write == nil || p.reaches(f.want.ref(), v.want.ref()) {
			continue
		}
		f.write.after(v.create)
		needs = append(needs, f.write)
	}
	v.start.after(needs...)
	for _, want := range v.want.Ports {
		for _, c := range p.o.Containers {
			if stop := p.stops[c.ID]; stop != nil && slices.ContainsFunc(c.Ports, want.Overlaps) {
				v.start.after(stop)
			}
		}
	}
	// The old one serves until the new one can start, unless someone else
	// waits for its ports: two that swap ports must both stop first.
	if v.stop != nil && len(portReleases[v.stop]) == 0 {
		v.stop.after(needs...)
	}
}

// wireWait lets the wait for a container that an interrupted run has started
// begin after the files that it shows are written, as after a start: what makes
// it ready may read and write them.
func (p *planner) wireWait(v *service) {
	if v.action != resume || v.wait == nil {
		return
	}
	for _, f := range p.files {
		if _, shows := p.s.Shows(v.want, f.want.Path); shows && f.write != nil && !p.reaches(f.want.ref(), v.want.ref()) {
			v.wait.after(f.write)
		}
	}
}

// portReleases are stops that make ports free for other services.
func (p *planner) portReleases() map[*node][]*node {
	portReleases := make(map[*node][]*node)
	for _, v := range p.services {
		if v.start == nil {
			continue
		}
		for _, want := range v.want.Ports {
			for _, c := range p.o.Containers {
				if stop := p.stops[c.ID]; stop != nil && stop != v.stop && slices.ContainsFunc(c.Ports, want.Overlaps) {
					portReleases[stop] = append(portReleases[stop], v.start)
				}
			}
		}
	}
	return portReleases
}

// refs gives the operations after which everything in list is there.
func (p *planner) refs(list []Ref) []*node {
	var nodes []*node
	for _, r := range list {
		kind, name, _ := strings.Cut(string(r), ":")
		switch kind {
		case "network":
			nodes = append(nodes, p.networks[name])
		case "volume":
			nodes = append(nodes, p.volumes[name])
		case "file":
			if f := p.file(name); f != nil {
				nodes = append(nodes, f.write, f.apply)
			}
		case "container":
			if v := p.service(name); v != nil {
				nodes = append(nodes, p.ready(v))
			}
		case "task":
			nodes = append(nodes, p.calls[r])
		}
	}
	return slices.DeleteFunc(nodes, func(n *node) bool { return n == nil })
}

// before gives what a file waits for. Another file has to lie there, not to
// be taken over: one command may take both over.
func (p *planner) before(f *file) []*node {
	var nodes []*node
	for _, r := range f.want.After {
		if path, ok := strings.CutPrefix(string(r), "file:"); !ok {
			nodes = append(nodes, p.refs([]Ref{r})...)
		} else if g := p.file(path); g != nil {
			nodes = append(nodes, g.write)
		}
	}
	return nodes
}

// ready gives the operation after which v serves. A container that is kept is
// looked at once more when what makes it ready cannot be seen in a list.
func (p *planner) ready(v *service) *node {
	if v.action == keep && v.wait == nil && (v.want.Ready.Check != nil || v.cur.Health == "unhealthy") {
		v.wait = p.add(Operation{Kind: WaitContainer, Resource: "container " + v.want.Name, Target: v.cur.ID,
			Cause: "others wait for it", Group: v.group, Container: v.want}, v.last)
		v.last = v.wait
	}
	return v.last
}

// startNodes gives the operations that must not begin before a task that
// names r in Before.
func (p *planner) startNodes(r Ref) []*node {
	kind, name, _ := strings.Cut(string(r), ":")
	var nodes []*node
	switch kind {
	case "container":
		if v := p.service(name); v != nil {
			nodes = []*node{v.stop, v.start}
		}
	case "file":
		if f := p.file(name); f != nil {
			nodes = []*node{f.write}
		}
	case "network":
		nodes = []*node{p.networks[name]}
	case "task":
		nodes = []*node{p.calls[r]}
	}
	return slices.DeleteFunc(nodes, func(n *node) bool { return n == nil })
}

// reaches reports whether from waits for to, as far as the stack says so itself.
func (p *planner) reaches(from, to Ref) bool {
	seen := make(map[Ref]bool)
	var walk func(Ref) bool
	walk = func(r Ref) bool {
		if r == to {
			return true
		}
		if seen[r] {
			return false
		}
		seen[r] = true
		return slices.ContainsFunc(p.declared(r), walk)
	}
	return slices.ContainsFunc(p.declared(from), walk)
}

// declared lists what r says it waits for.
func (p *planner) declared(r Ref) []Ref {
	var list []Ref
	kind, name, _ := strings.Cut(string(r), ":")
	switch kind {
	case "file":
		if f := p.file(name); f != nil {
			list = append(list, f.want.After...)
		}
	case "container":
		if v := p.service(name); v != nil {
			list = append(list, v.want.After...)
		}
	}
	for _, t := range p.tasks {
		if t.Ref == r {
			list = append(list, t.After...)
		}
		if slices.Contains(t.Before, r) && t.Ref != "" {
			list = append(list, t.Ref)
		}
	}
	return list
}
