package converge

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// DownOptions says how far Down goes.
type DownOptions struct {
	Volumes bool // also remove the stack's named volumes, and what is in them
}

// Down decides what has to be done so that nothing of the stack runs any
// more. Files on the host are never touched, nor is what does not carry the
// stack's label or is used by others.
func Down(s *Stack, o *Observed, d DownOptions) (*Plan, error) {
	if s.Name == "" {
		return nil, errors.New("check stack: stack has no name")
	}
	p := &planner{s: s, o: o, orphans: s.undescribed(o)}
	if err := cmp.Or(s.checkForge(o, "To take that forge down, name it in hepta.yaml."), s.checkOrphans(p.orphans)); err != nil {
		return nil, err
	}
	containers := owned(o)
	stops, gone := make(map[string][]*node), make([]*node, 0, len(containers))
	removal := make(map[string]*node, len(containers))
	for _, c := range containers {
		p.noteExtraNetworks(c)
		var stop *node
		group := "remove " + c.Name
		if c.Running() {
			stop = p.add(Operation{Kind: StopContainer, Resource: "container " + c.Name, Target: c.ID, Cause: "down", Group: group})
			stops[c.Service] = append(stops[c.Service], stop)
		}
		n := p.add(Operation{Kind: RemoveContainer, Resource: "container " + c.Name, Target: c.ID, Cause: "down", Group: group}, stop)
		gone = append(gone, n)
		removal[c.ID] = n
	}
	// Who waited for others at the start goes first.
	for _, c := range s.Containers {
		for _, r := range c.After {
			if name, ok := strings.CutPrefix(string(r), "container:"); ok {
				for _, stop := range stops[name] {
					stop.after(stops[c.Service]...)
				}
			}
		}
	}
	for _, n := range sortedNetworks(o.Networks) {
		if s.ours(n.Labels) {
			p.downNetwork(n, removal)
		}
	}
	volumes := slices.Clone(o.Volumes)
	slices.SortFunc(volumes, func(a, b ObservedVolume) int { return cmp.Compare(a.Name, b.Name) })
	for _, v := range volumes {
		if !s.ours(v.Labels) {
			continue
		}
		if !d.Volumes {
			p.note("volume %s is kept with what is in it", v.Name)
			continue
		}
		p.add(Operation{Kind: RemoveVolume, Resource: "volume " + v.Name, Target: v.Name, Cause: "down with volumes"}, gone...)
	}
	return p.plan()
}

// downNetwork removes a network of ours unless someone else is on it.
func (p *planner) downNetwork(n ObservedNetwork, removal map[string]*node) {
	var deps []*node
	var others []string
	for _, c := range p.o.Containers {
		if !c.on(n) {
			continue
		}
		if r := removal[c.ID]; r != nil {
			deps = append(deps, r)
		} else {
			others = append(others, c.Name)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		p.note("network %s is kept: %s on it", n.Name, strings.Join(others, ", "))
		return
	}
	p.add(Operation{Kind: RemoveNetwork, Resource: "network " + n.Name, Target: n.ID, Cause: "down"}, deps...)
}
