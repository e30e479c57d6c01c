package converge

import (
	"errors"
	"fmt"
	"slices"

	"github.com/heptaup/hepta/internal/fault"
)

// ErrRenamed says that another stack of the host is this one under another name.
var ErrRenamed = errors.New("the forge is there under the name of another stack")

// checkOtherStacks refuses to begin a second forge of the same name on the same
// ports: that is a stack whose name was changed, and its data are elsewhere.
func (p *planner) checkOtherStacks() error {
	if p.s.Forge == "" || len(owned(p.o)) > 0 {
		return nil
	}
	hosts := slices.ContainsFunc(p.s.Containers, func(c Container) bool { return c.Hostname == p.s.Forge })
	for _, c := range p.o.Containers {
		other := p.s.other(c)
		if !hosts || other == "" || forgeOf(c) != p.s.Forge || !p.wantsPortOf(other) {
			continue
		}
		f := &fault.Error{
			Op: "begin", What: "stack " + p.s.Name, Err: ErrRenamed,
			Why: fmt.Sprintf("%s: stack %s on this Docker host is %s already (container %s, %s)", ErrRenamed, other, p.s.Forge, c.Name, c.State),
			Remedy: fmt.Sprintf("If this is that stack, name it so again (stack: %[1]s). If it is to have a new name: hepta down under the old one, then under the new one, with data: %[2]s, hepta up --renamed. "+
				"A second forge beside it needs ports of its own.", other, c.Labels[LabelData]),
		}
		return f
	}
	return nil
}

// wantsPortOf reports whether the stack describes a port that one of the
// containers of another stack publishes, or would if it ran.
func (p *planner) wantsPortOf(stack string) bool {
	for _, c := range p.o.Containers {
		if p.s.other(c) != stack {
			continue
		}
		spec, _ := parseSpec(c.Labels[LabelSpec])
		for _, port := range spec.Ports {
			if slices.ContainsFunc(p.s.Containers, func(d Container) bool { return slices.ContainsFunc(d.Ports, port.Overlaps) }) {
				return true
			}
		}
	}
	return false
}
