package converge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// planner is one run of Up: what is described, what is there, and the graph
// that grows between the two.
type planner struct {
	graph
	s        *Stack
	o        *Observed
	notes    []string
	warnings []func(*Observed) []string

	services []*service // in the order in which they start
	files    []*file
	tasks    []*task
	orphans  []ObservedContainer

	networks map[string]*node   // being made, by name
	volumes  map[string]*node   // being made
	pulls    map[string]*node   // by normalized reference
	calls    map[Ref]*node      // tasks that are due
	freed    map[string]*node   // what makes a container name free
	stops    map[string]*node   // what ends a running container, by id
	removals map[string][]*node // containers leaving a network, by network name

	orphanRemovals map[string]*node // removals of orphans, by id
}

// Up decides what has to be done so that o becomes s. It reads only; the same
// arguments give the same plan. An error means that nothing may be done: the
// stack contradicts itself, or something that is not ours is in the way.
func Up(s *Stack, o *Observed) (*Plan, error) {
	if err := cmp.Or(s.CheckIdentity(o), s.checkForge(o, "If the forge got a new name: hepta up --renamed")); err != nil {
		return nil, err
	}
	s, err := s.Resolved(o)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("check stack: %w", err)
	}
	p := &planner{
		s: s, o: o, warnings: s.Warn,
		networks: make(map[string]*node), volumes: make(map[string]*node),
		pulls: make(map[string]*node), calls: make(map[Ref]*node), freed: make(map[string]*node),
		stops: make(map[string]*node), removals: make(map[string][]*node), orphanRemovals: make(map[string]*node),
	}
	for _, step := range []func() error{
		p.checkDataUsers, p.checkOtherStacks, p.checkUndescribed, p.checkNewData,
		p.decideTasks, p.lookAtFiles, p.sortServices, p.lookAtContainers, p.checkNames, p.checkPorts,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	p.noteUnpublished()
	p.planImages()
	if err := p.planNetworks(); err != nil {
		return nil, err
	}
	p.planVolumes()
	p.planOrphans()
	p.planContainers()
	p.planTasks()
	p.planFiles()
	p.planStarts()
	p.wire()
	p.planOldNetworks()
	p.pullFirst()
	return p.plan()
}

// pullFirst makes everything wait for the pulls: an image that can't be had
// stops a run before it has changed anything.
func (p *planner) pullFirst() {
	var pulls []*node
	for _, n := range p.nodes {
		if n.op.Kind == PullImage {
			pulls = append(pulls, n)
		}
	}
	for _, n := range p.nodes {
		if n.op.Kind != PullImage && len(n.deps) == 0 {
			n.after(pulls...)
		}
	}
}

func (p *planner) plan() (*Plan, error) {
	ops, err := p.order()
	if err != nil {
		return nil, err
	}
	slices.Sort(p.notes)
	plan := &Plan{Stack: p.s.Name, Operations: ops, Notes: slices.Compact(p.notes), Orphans: namesOf(p.orphans)}
	if !plan.Empty() {
		for _, warn := range p.warnings {
			plan.Notes = append(plan.Notes, warn(p.o)...)
		}
	}
	return plan, nil
}

func (p *planner) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// ours reports whether a network or a volume with these labels was made for the
// stack. For a container that is not enough: see Recognize.
func (s *Stack) ours(labels map[string]string) bool { return labels[LabelStack] == s.Name }

// LockName is the name of the container that is the stack's lock.
func (s *Stack) LockName() string { return s.Name + "-lock" }

// noteUnpublished tells of containers that releases before the proof published
// by the label of the stack alone.
func (p *planner) noteUnpublished() {
	if p.s.Publishes == "" {
		return
	}
	for _, c := range p.o.Containers {
		if c.Service != "" || !c.Running() || !p.s.ours(c.Labels) || c.Labels[p.s.Publishes] == "" || c.Name == p.s.LockName() {
			continue
		}
		if proof := c.Labels[LabelProof]; proof == "" || p.o.Identity.ID != "" && proof != p.o.Identity.ID {
			p.note("the proxy does not publish container %s: its labels carry no proof of this stack. If it is yours, create it anew with what `hepta labels` prints", c.Name)
		}
	}
}

func (p *planner) planImages() {
	for _, v := range p.services {
		if !v.creates() || p.kept(v) != "" {
			continue
		}
		ref := NormalizeImage(v.want.Image)
		if _, local := p.o.ImageID(v.want.Image); local || p.pulls[ref] != nil {
			continue
		}
		p.pulls[ref] = p.add(Operation{Kind: PullImage, Resource: "image " + v.want.Image, Target: v.want.Image,
			Cause: "not on the host", Group: "pull " + v.want.Image})
	}
}

func (p *planner) planNetworks() error {
	for i := range p.s.Networks {
		want := &p.s.Networks[i]
		there := p.networksNamed(want.Name)
		if len(there) == 0 {
			// The Engine's own setting reaches no network but its default one.
			made := *want
			made.MTU = cmp.Or(made.MTU, p.o.Network(DefaultNetwork).MTU)
			p.networks[want.Name] = p.add(Operation{Kind: CreateNetwork, Resource: "network " + want.Name, Target: want.Name,
				Cause: "not there", Network: &made, Labels: p.s.labels()})
			continue
		}
		first := there[0]
		if want.Internal && !(p.s.ours(first.Labels) && first.Internal) {
			return &fault.Error{Op: "plan", What: "network " + want.Name,
				Why:    "it is for this stack's containers alone, and a network of that name is there which others may be on",
				Remedy: fmt.Sprintf("See who made it (docker network inspect %s). Remove it (docker network rm %[1]s), or give this stack another name (stack: in hepta.yaml).", want.Name)}
		}
		if !p.s.ours(first.Labels) {
			p.note("network %s %s: it is used as it is", want.Name, p.s.creator(first.Labels))
		}
		for _, extra := range there[1:] {
			if !p.s.ours(extra.Labels) || p.attached(extra) {
				p.note("there is a second network named %s (%s) in use: `docker network rm %s` once it is free", want.Name, short(extra.ID), short(extra.ID))
				continue
			}
			p.networks[want.Name] = p.add(Operation{Kind: RemoveNetwork, Resource: "network " + want.Name, Target: extra.ID,
				Cause: fmt.Sprintf("there are two of that name; %s stays", short(first.ID))}, p.networks[want.Name])
		}
	}
	return nil
}

// networksNamed lists the networks of one name, the one to keep first: one in
// use, then one that is not ours, then the smallest id.
func (p *planner) networksNamed(name string) []ObservedNetwork {
	var list []ObservedNetwork
	for _, n := range p.o.Networks {
		if n.Name == name {
			list = append(list, n)
		}
	}
	rank := func(n ObservedNetwork) int {
		switch {
		case p.attached(n):
			return 0
		case !p.s.ours(n.Labels):
			return 1
		}
		return 2
	}
	slices.SortFunc(list, func(a, b ObservedNetwork) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID))
	})
	return list
}

func (p *planner) attached(n ObservedNetwork) bool {
	return slices.ContainsFunc(p.o.Containers, func(c ObservedContainer) bool { return c.on(n) })
}

// on reports whether the container is attached to exactly this network.
func (c ObservedContainer) on(n ObservedNetwork) bool {
	id, ok := c.Networks[n.Name]
	return ok && (id == n.ID || id == "")
}

func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

func (p *planner) planVolumes() {
	for i := range p.s.Volumes {
		want := &p.s.Volumes[i]
		at := slices.IndexFunc(p.o.Volumes, func(v ObservedVolume) bool { return v.Name == want.Name })
		if at < 0 {
			p.volumes[want.Name] = p.add(Operation{Kind: CreateVolume, Resource: "volume " + want.Name, Target: want.Name,
				Cause: "not there", Volume: want, Labels: p.s.labels()})
		} else if !p.s.ours(p.o.Volumes[at].Labels) {
			p.note("volume %s %s: it is used as it is", want.Name, p.s.creator(p.o.Volumes[at].Labels))
		}
	}
}

// creator says to people who made a network or a volume that is not the stack's.
func (s *Stack) creator(labels map[string]string) string {
	if other := labels[LabelStack]; other != "" && other != s.Name {
		return "belongs to stack " + other
	}
	return "was not created by this stack"
}

// labels are those on everything that the stack makes.
func (s *Stack) labels() map[string]string {
	return map[string]string{LabelStack: s.Name, LabelSchema: Schema}
}

// planOrphans ends the containers of services that are no longer described.
func (p *planner) planOrphans() {
	for _, c := range p.orphans {
		p.orphanRemovals[c.ID] = p.discard(c, fmt.Sprintf("service %s is no longer described", c.Service), "remove "+c.Name)
	}
}

// discard stops and removes a container that has no place in the stack, and
// gives the removal.
func (p *planner) discard(c ObservedContainer, cause, group string) *node {
	var stop *node
	if c.Running() {
		stop = p.add(Operation{Kind: StopContainer, Resource: "container " + c.Name, Target: c.ID, Cause: cause, Group: group})
		p.stops[c.ID] = stop
	}
	gone := p.add(Operation{Kind: RemoveContainer, Resource: "container " + c.Name, Target: c.ID, Cause: cause, Group: group}, stop)
	p.leaves(c, gone)
	return gone
}

// leaves remembers that a container will be gone when n is done.
func (p *planner) leaves(c ObservedContainer, n *node) {
	p.freed[c.Name] = n
	p.leavesNetworks(c, n)
}

func (p *planner) leavesNetworks(c ObservedContainer, n *node) {
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		p.removals[name] = append(p.removals[name], n)
	}
}

// planOldNetworks removes networks of ours that are no longer described, once
// nothing is on them.
func (p *planner) planOldNetworks() {
	for _, n := range sortedNetworks(p.o.Networks) {
		if !p.s.ours(n.Labels) || slices.ContainsFunc(p.s.Networks, func(w Network) bool { return w.Name == n.Name }) {
			continue
		}
		on := 0
		for _, c := range p.o.Containers {
			if c.on(n) {
				on++
			}
		}
		if on > len(p.removals[n.Name]) {
			p.note("network %s is no longer described but still in use", n.Name)
			continue
		}
		p.add(Operation{Kind: RemoveNetwork, Resource: "network " + n.Name, Target: n.ID, Cause: "no longer described"}, p.removals[n.Name]...)
	}
}

func sortedNetworks(list []ObservedNetwork) []ObservedNetwork {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b ObservedNetwork) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list
}
