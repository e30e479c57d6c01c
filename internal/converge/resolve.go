package converge

import (
	"cmp"
	"fmt"
	"slices"
)

// Resolved is s with what the host alone knows filled in. s stays as it is.
func (s *Stack) Resolved(o *Observed) (*Stack, error) {
	r := *s
	r.Resolve = nil
	r.Files, r.Containers = slices.Clone(s.Files), slices.Clone(s.Containers)
	for _, resolve := range s.Resolve {
		if err := resolve(&r, o); err != nil {
			return nil, fmt.Errorf("resolve stack: %w", err)
		}
	}
	return &r, nil
}

// Container is the described container of a service; nil when there is none.
func (s *Stack) Container(service string) *Container {
	i := slices.IndexFunc(s.Containers, func(c Container) bool { return c.Service == service })
	if i < 0 {
		return nil
	}
	return &s.Containers[i]
}

// File is the described file of a path; nil when there is none.
func (s *Stack) File(path string) *File {
	i := slices.IndexFunc(s.Files, func(f File) bool { return f.Path == path })
	if i < 0 {
		return nil
	}
	return &s.Files[i]
}

// Of lists the stack's own containers of one service, the one that does the
// work first: it runs, or has the service's name.
func (s *Stack) Of(service string, o *Observed) []ObservedContainer {
	list := slices.DeleteFunc(owned(o), func(c ObservedContainer) bool { return c.Service != service })
	name := ""
	if c := s.Container(service); c != nil {
		name = c.Name
	}
	slices.SortStableFunc(list, func(a, b ObservedContainer) int {
		return cmp.Or(-compareBool(a.Running(), b.Running()), -compareBool(a.Name == name, b.Name == name))
	})
	return list
}

// MadeFrom is the image that a container was made from, by the reference that
// described it and by its id.
func (c ObservedContainer) MadeFrom() (reference, id string) {
	if spec, err := parseSpec(c.Labels[LabelSpec]); err == nil {
		return spec.Image, c.Labels[LabelImageID]
	}
	return c.Image, cmp.Or(c.Labels[LabelImageID], c.ImageID)
}

// HasRun reports whether a container's process was ever started.
func (c ObservedContainer) HasRun() bool { return c.State != "created" }
