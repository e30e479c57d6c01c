package converge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// nextSuffix ends the name of a container until it takes the old one's place.
const nextSuffix = "_next"

// action is what a service needs.
type action int

const (
	keep    action = iota // runs as described
	start                 // is there as described, does not run
	create                // is not there
	replace               // is there, differs
	resume                // its successor is there already: an interrupted replace
)

// service is one container on its way from observed to desired.
type service struct {
	want   *Container
	cur    *ObservedContainer  // has the name, or gets it back
	next   *ObservedContainer  // has the name of a successor
	extras []ObservedContainer // further ones of the same service
	action action
	stale  bool // next is there and differs
	causes []string
	hashes map[string]string // LabelFile labels

	create, start, stop, wait, last *node
	connects                        []*node
	group                           string
}

func (v *service) creates() bool { return v.action == create || v.action == replace }

// starts reports whether the plan begins the process that will serve.
func (v *service) starts() bool {
	return v.action == start || v.creates() || v.action == resume && !v.next.Running()
}

// serving is the container that will have the name in the end; nil when it
// has to be created.
func (v *service) serving() *ObservedContainer {
	switch v.action {
	case keep, start:
		return v.cur
	case resume:
		return v.next
	}
	return nil
}

// sortServices assigns every container that the stack owns.
func (p *planner) sortServices() error {
	byService := make(map[string]*service)
	for i := range p.s.Containers {
		v := &service{want: &p.s.Containers[i]}
		p.services = append(p.services, v)
		byService[v.want.Service] = v
	}
	for _, c := range owned(p.o) {
		v := byService[c.Service]
		switch {
		case v == nil:
			p.orphans = append(p.orphans, c)
		case c.Name == v.want.Name:
			v.cur = &c
		case c.Name == v.want.Name+nextSuffix:
			v.next = &c
		default:
			v.extras = append(v.extras, c)
		}
	}
	for _, v := range p.services {
		switch {
		case v.cur != nil:
		case v.next != nil: // the old one is gone already
			v.cur, v.next = v.next, nil
		case len(v.extras) > 0: // renamed by hand
			slices.SortStableFunc(v.extras, func(a, b ObservedContainer) int {
				return cmp.Or(-compareBool(a.Running(), b.Running()), -a.Created.Compare(b.Created))
			})
			v.cur, v.extras = &v.extras[0], v.extras[1:]
		}
	}
	return nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// owned lists the stack's own containers, by name.
func owned(o *Observed) []ObservedContainer {
	var list []ObservedContainer
	for _, c := range o.Containers {
		if c.Service != "" {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b ObservedContainer) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list
}

// lookAtContainers decides what each service needs.
func (p *planner) lookAtContainers() error {
	for _, v := range p.services {
		v.hashes = make(map[string]string)
		for _, path := range v.want.RecreateOn {
			if f := p.file(path); f != nil && !f.want.Once {
				v.hashes[LabelFile+path] = p.hash(f)
			}
		}
		v.group = "start " + v.want.Service
		switch {
		case v.cur == nil:
			v.action, v.causes, v.group = create, []string{"not there"}, "create "+v.want.Service
			continue
		case v.next != nil && len(p.drift(v, v.next)) == 0:
			v.action, v.causes = resume, []string{"finishes what was interrupted"}
			v.group = "recreate " + v.want.Service
			continue
		}
		v.stale = v.next != nil
		if v.causes = p.drift(v, v.cur); len(v.causes) > 0 {
			v.action, v.group = replace, "recreate "+v.want.Service
		} else if !v.cur.Running() {
			v.action, v.causes = start, []string{v.cur.condition()}
		}
	}
	return nil
}

// condition says how a container stands in the Engine's words.
func (c ObservedContainer) condition() string {
	if c.Status == "" || c.State == "created" {
		return c.State
	}
	return strings.ToLower(c.Status[:1]) + c.Status[1:]
}

// drift says why c cannot stay or become the container of v.
func (p *planner) drift(v *service, c *ObservedContainer) []string {
	if c.State == "dead" || c.State == "removing" {
		return []string{"the old container is " + c.State}
	}
	causes := p.unproven(v, c)
	if spec, err := parseSpec(c.Labels[LabelSpec]); err != nil {
		causes = append(causes, "its label "+LabelSpec+" cannot be read")
	} else {
		causes = append(causes, changes(spec, *v.want)...)
		if NormalizeImage(spec.Image) == NormalizeImage(v.want.Image) {
			was := c.Labels[LabelImageID]
			if id, ok := p.o.ImageID(v.want.Image); ok && was != "" && was != id && !v.want.KeepImage {
				causes = append(causes, fmt.Sprintf("image %s now names another image", v.want.Image))
			}
		}
	}
	if was := c.Labels[LabelForge]; was != "" && p.s.Forge != "" && was != p.s.Forge {
		causes = append(causes, fmt.Sprintf("forge %s → %s", was, p.s.Forge))
	}
	if was := c.Labels[LabelData]; was != "" && was != p.s.Data {
		causes = append(causes, fmt.Sprintf("data directory %s → %s", was, p.s.Data))
		p.note("what lies in %s stays there: to go on with it, move it to %s while the stack is down", was, p.s.Data)
	}
	for _, path := range v.want.RecreateOn {
		f, hash := p.file(path), v.hashes[LabelFile+path]
		switch was := c.Labels[LabelFile+path]; {
		case hash == "":
		case was != "" && !strings.HasPrefix(was, keyedHash) && strings.HasPrefix(hash, keyedHash):
			causes = append(causes, fmt.Sprintf("a label of it shows the hash of %s without a key", path))
		case was != "" && was != hash || c.Running() && f.changed:
			causes = append(causes, fmt.Sprintf("file %s changed (needs a new container)", path))
		}
	}
	if !c.Running() {
		for _, name := range p.lost(c) {
			if p.o.Network(name).ID == "" && !slices.ContainsFunc(p.s.Networks, func(n Network) bool { return n.Name == name }) {
				causes = append(causes, fmt.Sprintf("network %s is gone", name))
				continue
			}
			causes = append(causes, fmt.Sprintf("network %s was created again", name))
		}
	}
	return causes
}

// unproven says why c may not go on for want of the stack's proof.
func (p *planner) unproven(v *service, c *ObservedContainer) []string {
	proof, id := c.Labels[LabelProof], p.o.Identity.ID
	switch {
	case !v.want.NeedsProof || p.s.Data == "":
	case proof == "":
		return []string{"carries no proof of this stack yet"}
	case id != "" && proof != id:
		return []string{"carries the proof of another data directory"}
	}
	return nil
}

// lost lists the networks that a container was attached to and that are not
// there any more: it cannot start.
func (p *planner) lost(c *ObservedContainer) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		id := c.Networks[name]
		if id != "" && !slices.ContainsFunc(p.o.Networks, func(n ObservedNetwork) bool { return n.ID == id }) {
			names = append(names, name)
		}
	}
	return names
}

// checkNames refuses when a name that is needed belongs to someone else.
func (p *planner) checkNames() error {
	for _, v := range p.services {
		names := []string{v.want.Name}
		if v.action == replace {
			names = append(names, v.want.Name+nextSuffix)
		}
		for _, c := range p.o.Containers {
			if !slices.Contains(names, c.Name) || c.Service != "" {
				continue
			}
			return &fault.Error{Op: "plan", What: "container " + v.want.Name,
				Why: fmt.Sprintf("the name %s belongs to %s", c.Name, c.whose()),
				Remedy: fmt.Sprintf("Rename that container (docker rename %s other-%s), remove it, or give this stack another name (stack: in hepta.yaml).",
					c.Name, c.Name)}
		}
	}
	return nil
}

// checkPorts refuses when a port that is needed is published by someone else.
func (p *planner) checkPorts() error {
	for _, v := range p.services {
		if !v.starts() {
			continue
		}
		for _, want := range v.want.Ports {
			for _, c := range p.o.Containers {
				if c.Service != "" || !c.Running() || !slices.ContainsFunc(c.Ports, want.Overlaps) {
					continue
				}
				f := &fault.Error{Op: "plan", What: "container " + v.want.Name,
					Why:    fmt.Sprintf("port %d is published by container %s (%s)", want.Host, c.Name, c.Image),
					Remedy: "Choose another port in hepta.yaml, or publish another port of that container."}
				if other := p.s.other(c); other != "" {
					f.Why += " of stack " + other
					f.Remedy = "Choose another port in hepta.yaml: two stacks on one host have ports of their own."
				}
				return f
			}
		}
	}
	return nil
}

// whose says to people what a container is that is not ours.
func (c ObservedContainer) whose() string {
	if stack := c.Labels[LabelStack]; stack != "" && c.Labels[LabelService] != "" {
		return fmt.Sprintf("the stack %s (%s, %s)", stack, c.Image, c.State)
	}
	return fmt.Sprintf("a container that is not this stack's (%s, %s)", c.Image, c.State)
}
