package converge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// ErrOrphans says that the stack has containers of services that are not
// described, and that nobody has agreed to their removal.
var ErrOrphans = errors.New("it has services that are not described")

// checkOrphans refuses to remove what is not described without a word: the
// description may be one of another stack that has the same name.
func (s *Stack) checkOrphans(orphans []ObservedContainer) error {
	if len(orphans) == 0 || s.Allow.RemoveOrphans {
		return nil
	}
	return &fault.Error{
		Op: "change", What: "stack " + s.Name, Err: ErrOrphans,
		Why:    fmt.Sprintf("%s: %s would be removed", ErrOrphans, strings.Join(namesOf(orphans), ", ")),
		Remedy: "If what is described is a stack of its own, give it a name of its own (stack: in hepta.yaml). If they are to go, add --remove-orphans.",
	}
}

func (p *planner) checkUndescribed() error { return p.s.checkOrphans(p.s.undescribed(p.o)) }

// undescribed lists the stack's own containers of services that it does not
// describe and that nobody has said are to go.
func (s *Stack) undescribed(o *Observed) []ObservedContainer {
	return slices.DeleteFunc(owned(o), func(c ObservedContainer) bool {
		return slices.Contains(s.Drops, c.Service) || slices.ContainsFunc(s.Containers, func(d Container) bool { return d.Service == c.Service })
	})
}

func namesOf(list []ObservedContainer) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}
