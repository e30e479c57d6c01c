package converge

import (
	"cmp"
	"fmt"

	"github.com/heptaup/hepta/internal/fault"
)

// forgeOf is the forge that a container serves, "" when it does not tell.
// Releases that set no label gave the forge's container its host name.
func forgeOf(c ObservedContainer) string {
	spec, _ := parseSpec(c.Labels[LabelSpec])
	return cmp.Or(c.Labels[LabelForge], spec.Hostname)
}

// checkForge refuses to touch containers that serve another forge.
func (s *Stack) checkForge(o *Observed, remedy string) error {
	if s.Forge == "" || s.Allow.Renamed {
		return nil
	}
	for _, c := range owned(o) {
		if other := forgeOf(c); other != "" && other != s.Forge {
			return &fault.Error{
				Op: "change", What: "stack " + s.Name, Err: ErrOtherForge,
				Why:    fmt.Sprintf("%s: container %s on this Docker host serves %s, and what is described is for %s", ErrOtherForge, c.Name, other, s.Forge),
				Remedy: "If this is the wrong Docker host or another stack, name the right one (docker: or stack: in hepta.yaml). " + remedy,
			}
		}
	}
	return nil
}
