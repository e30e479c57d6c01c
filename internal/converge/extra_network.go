package converge

import (
	"maps"
	"slices"
)

// extraNetworks lists the networks that somebody has connected a container to
// by hand: it is on them and was not made for them.
func extraNetworks(c *ObservedContainer) []string {
	spec, err := parseSpec(c.Labels[LabelSpec])
	if err != nil {
		return nil // nobody knows what it was made for
	}
	made := networkTable(spec.Networks)
	if len(made) == 0 {
		made = map[string]string{DefaultNetwork: ""}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		if _, own := made[name]; !own {
			names = append(names, name)
		}
	}
	return names
}

// planExtraNetworks connects what takes a container's place to the networks
// that somebody has connected the container to by hand.
func (p *planner) planExtraNetworks(v *service) {
	if v.action != replace && v.action != resume {
		return
	}
	for _, name := range extraNetworks(v.cur) {
		if slices.ContainsFunc(v.want.Networks, func(a Attachment) bool { return a.Network == name }) {
			continue
		}
		if v.next != nil && v.action == resume {
			if _, on := v.next.Networks[name]; on {
				continue
			}
		}
		if p.o.Network(name).ID == "" {
			p.note("container %s was connected to network %s by hand, and that network is gone", v.want.Name, name)
			continue
		}
		p.note("container %s was connected to network %s by hand: so is the new one", v.want.Name, name)
		v.connects = append(v.connects, p.add(Operation{Kind: ConnectNetwork, Resource: "container " + v.name(), Target: v.target(),
			Cause: "the old one was connected to network " + name + " by hand", Network: &Network{Name: name}, Container: v.want, Like: v.cur.ID, Group: v.group}, v.create))
	}
}

// noteExtraNetworks tells what the next up does not bring back.
func (p *planner) noteExtraNetworks(c ObservedContainer) {
	for _, name := range extraNetworks(&c) {
		p.note("container %s was connected to network %s by hand: after the next up, `docker network connect %[2]s %[1]s` does it again", c.Name, name)
	}
}
