package converge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// planContainers adds what happens before anything is stopped: leftovers go,
// names come back, new containers are created beside the old ones.
func (p *planner) planContainers() {
	for _, v := range p.services {
		name := v.want.Name
		for _, c := range v.extras {
			p.discard(c, "a second container of service "+v.want.Service, v.group)
		}
		if v.stale {
			gone := p.discard(*v.next, "left by an interrupted run, no longer wanted", v.group)
			if v.action != replace { // else they may have to come back yet
				gone.op.Files = p.ownFiles(v)
			}
		}
		if v.cur != nil && v.cur.Name != name {
			cause := "was renamed by hand"
			if v.cur.Name == name+nextSuffix {
				cause = "finishes what was interrupted"
			}
			v.last = p.add(Operation{Kind: RenameContainer, Resource: "container " + v.cur.Name, Target: v.cur.ID, NewName: name,
				Cause: cause, Group: v.group})
			p.freed[v.cur.Name] = v.last
		}
		if v.creates() {
			v.create = p.add(p.creation(v))
			p.undoable(v, v.create, created)
			if v.action == replace {
				v.create.after(v.last)
			}
		}
		p.planConnects(v)
		p.planExtraNetworks(v)
	}
}

func (p *planner) creation(v *service) Operation {
	labels := p.s.labels()
	labels[LabelService] = v.want.Service
	if id := p.o.Identity.ID; id != "" {
		labels[LabelProof] = id
	}
	if p.s.Forge != "" {
		labels[LabelForge] = p.s.Forge
	}
	labels[LabelSpec] = v.want.Spec()
	if p.s.Data != "" {
		labels[LabelData] = p.s.Data
	}
	if id, ok := p.o.ImageID(v.want.Image); ok {
		labels[LabelImageID] = id
	}
	maps.Copy(labels, v.hashes)
	made := v.want
	if id := p.kept(v); id != "" {
		c := *v.want
		c.Image, labels[LabelImageID] = id, id
		made = &c
	}
	return Operation{Kind: CreateContainer, Resource: "container " + v.name(), Target: v.name(), Cause: strings.Join(v.causes, "; "),
		Group: v.group, Container: made, Labels: labels}
}

// kept is the id of the image that a service keeps where its name means
// another one by now, or none; "" when the name will do.
func (p *planner) kept(v *service) string {
	if !v.want.KeepImage {
		return ""
	}
	for _, c := range []*ObservedContainer{v.cur, v.next} {
		if c == nil {
			continue
		}
		reference, id := c.MadeFrom()
		if now, _ := p.o.ImageID(v.want.Image); NormalizeImage(reference) == NormalizeImage(v.want.Image) && now != id {
			return id
		}
	}
	return ""
}

// name is what the serving container is called until everything is done.
func (v *service) name() string {
	if v.action == replace || v.action == resume {
		return v.want.Name + nextSuffix
	}
	return v.want.Name
}

// target is how the executor finds the serving container.
func (v *service) target() string {
	if c := v.serving(); c != nil {
		return c.ID
	}
	return v.name()
}

func (p *planner) planConnects(v *service) {
	c := v.serving()
	if c == nil {
		return
	}
	for i := range v.want.Networks {
		a := v.want.Networks[i]
		if _, on := c.Networks[a.Network]; on {
			continue
		}
		v.connects = append(v.connects, p.add(Operation{Kind: ConnectNetwork, Resource: "container " + v.name(), Target: c.ID,
			Cause: "not on network " + a.Network, Network: p.network(a.Network), Container: v.want, Group: v.group}, p.networks[a.Network]))
	}
}

func (p *planner) network(name string) *Network {
	i := slices.IndexFunc(p.s.Networks, func(n Network) bool { return n.Name == name })
	return &p.s.Networks[i]
}

// planStarts adds what begins and ends processes.
func (p *planner) planStarts() {
	for _, v := range p.services {
		op := func(kind Kind, name, target, cause string) Operation {
			return Operation{Kind: kind, Resource: "container " + name, Target: target, Cause: cause, Group: v.group, Container: v.want}
		}
		cause := strings.Join(v.causes, "; ")
		replaces := v.action == replace || v.action == resume
		if replaces && v.cur.Running() {
			v.stop = p.add(op(StopContainer, v.want.Name, v.cur.ID, "makes room for "+v.name()), v.create)
			p.undoable(v, v.stop, stopped)
			p.stops[v.cur.ID] = v.stop
		}
		if v.starts() {
			v.start = p.add(op(StartContainer, v.name(), v.target(), cause), v.create, v.stop)
			v.start.op.Applies = p.startApplies(v)
			p.undoable(v, v.start, started)
			if v.action == start {
				v.start.after(v.last)
			}
		}
		if v.starts() || replaces || v.cur.Health == "starting" {
			v.wait = p.add(op(WaitContainer, v.name(), v.target(), v.want.until()), v.start)
			p.undoable(v, v.wait, started)
			v.wait.after(v.last)
			v.last = v.wait
		}
		if replaces {
			v.wait.op.Files = p.ownFiles(v)
			gone := p.add(op(RemoveContainer, v.want.Name, v.cur.ID, "replaced by "+v.name()), v.wait)
			if v.cur.Name == v.want.Name {
				p.leaves(*v.cur, gone)
			} else { // it has given its other name up before
				p.leavesNetworks(*v.cur, gone)
			}
			takes := "takes the name over"
			if v.action == resume && v.start == nil { // the only call that says why
				takes = cause
			}
			v.last = p.add(op(RenameContainer, v.name(), v.target(), takes), gone)
			v.last.op.NewName = v.want.Name
		}
		if v.action == keep {
			p.noteCondition(v)
		}
	}
}

func (p *planner) noteCondition(v *service) {
	switch {
	case v.cur.State == "paused":
		p.note("container %s is paused: `docker unpause %s`", v.want.Name, v.want.Name)
	case v.cur.State == "restarting":
		p.note("container %s restarts over and over: see its logs", v.want.Name)
	case v.cur.Health == "unhealthy":
		p.note("container %s is unhealthy although nothing changed: see its logs", v.want.Name)
	}
}

// until says what a wait is for.
func (c *Container) until() string {
	if c.Health != nil {
		return "until it is healthy"
	}
	return fmt.Sprintf("until it has run for %s", c.Ready.SettleTime())
}

// SettleTime is how long a container without a healthcheck has to run.
func (r Ready) SettleTime() time.Duration {
	if r.Settle == 0 {
		return time.Second
	}
	return r.Settle
}
