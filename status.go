package hepta

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/traefik"
)

// Status is how a stack does.
type Status struct {
	Stack    string          `json:"stack"`
	Services []ServiceStatus `json:"services"`
	// Changes is the number of operations that Up would do now, 0 when the
	// host is as it is described.
	Changes int      `json:"changes"`
	Notes   []string `json:"notes,omitempty"`
	// Refused is why Up refuses what is described, and what to do about it.
	Refused string `json:"refused,omitempty"`
	// Certificates are those that the proxy has, and hosts without one.
	Certificates []Certificate `json:"certificates,omitempty"`
}

// ServiceStatus is how one service does.
type ServiceStatus struct {
	Name      string    `json:"name"`      // of the service: traefik, heptapod, runner
	Container string    `json:"container"` // its name on the host
	State     string    `json:"state"`     // absent, created, running, paused, restarting, exited, dead
	Health    string    `json:"health,omitempty"`
	Detail    string    `json:"detail,omitempty"` // in the Engine's words: Up 3 minutes (healthy)
	Image     string    `json:"image"`
	Version   string    `json:"version,omitempty"` // as the image's tag names it
	Created   time.Time `json:"created,omitzero"`
	URLs      []string  `json:"urls,omitempty"`
	// Problem is what is known against a service that runs: a change of its
	// settings that it has refused. It would refuse to start with them, too.
	Problem string `json:"problem,omitempty"`
	// Drift are the reasons why Up would touch this service.
	Drift []string `json:"drift,omitempty"`
}

// OK reports whether the service runs and nothing is known against it.
func (s ServiceStatus) OK() bool {
	return s.State == "running" && (s.Health == "" || s.Health == "healthy") && s.Problem == ""
}

// OK reports whether every service is.
func (s *Status) OK() bool {
	return !slices.ContainsFunc(s.Services, func(x ServiceStatus) bool { return !x.OK() })
}

// Status looks at the host once and says how each service does and whether it
// is as the configuration describes it. A configuration that Up refuses is part
// of what it says, no error.
func (s *Stack) Status(ctx context.Context) (*Status, error) {
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	o, err := e.Observe(ctx, &s.want)
	if err != nil {
		return nil, fmt.Errorf("look at stack %s: %w", s.cfg.Stack, err)
	}
	st, plan := s.statusOf(o)
	st.Notes = append(st.Notes, s.tokenNotes(ctx, o, plan)...)
	return st, nil
}

// statusOf is the status with the plan, an empty one where Up refuses.
func (s *Stack) statusOf(o *converge.Observed) (*Status, *Plan) {
	plan, refused := converge.Up(s.wanted(converge.Allow{RemoveOrphans: true}), o)
	if refused != nil {
		plan = &Plan{Stack: s.cfg.Stack}
	}
	st := s.status(o, plan)
	st.Refused = fault.Describe(refused)
	return st, plan
}

func (s *Stack) status(o *converge.Observed, plan *Plan) *Status {
	st := &Status{Stack: s.cfg.Stack, Changes: len(plan.Operations), Notes: plan.Notes, Certificates: s.certificates(o)}
	for _, c := range s.want.Containers {
		x := ServiceStatus{Name: c.Service, Container: c.Name, State: "absent", Image: c.Image, URLs: s.urls(c.Service)}
		if seen := serving(o, c); seen != nil {
			x.State, x.Health, x.Detail = seen.State, seen.Health, seen.Status
			x.Image, x.Created = cmp.Or(seen.Image, c.Image), seen.Created
		}
		x.Version = versionOf(x.Image)
		x.Drift = drift(plan, c)
		x.Problem = s.refusal(o, c.Service)
		st.Services = append(st.Services, x)
	}
	for _, op := range plan.Operations {
		if op.Task != nil && op.Task.Ref == heptapod.RefToken {
			st.Notes = append(st.Notes, op.Task.Name+": "+op.Cause)
		}
	}
	return st
}

// refusal is what a service has said last when it failed to take its files over.
func (s *Stack) refusal(o *converge.Observed, service string) string {
	for _, f := range s.want.Files {
		if said := o.Files[f.Path].Refused; said != "" && f.Apply != nil && f.Apply.Service == service {
			return fmt.Sprintf("%s has failed for %s: %s", strings.Join(f.Apply.Cmd, " "), f.Path, said)
		}
	}
	return ""
}

// serving is the container that does the work of a service: in the middle of
// a replacement the one that runs.
func serving(o *converge.Observed, c converge.Container) *converge.ObservedContainer {
	var best *converge.ObservedContainer
	for i := range o.Containers {
		x := &o.Containers[i]
		if x.Service != c.Service {
			continue
		}
		if best == nil || x.Running() && !best.Running() || x.Running() == best.Running() && x.Name == c.Name {
			best = x
		}
	}
	return best
}

// drift are the causes of what a plan does to one container.
func drift(plan *Plan, c converge.Container) []string {
	var causes, told []string
	for _, o := range plan.Operations {
		touches := o.Container != nil && o.Container.Service == c.Service || o.Apply != nil && o.Apply.Service == c.Service
		leads := o.Kind == converge.CreateContainer || o.Kind == converge.StartContainer || o.Kind == converge.ConnectNetwork ||
			o.Kind == converge.RenameContainer || o.Kind == converge.RunInContainer
		// The first call of a group has the reason, the others follow from it.
		if !touches || !leads || o.Group != "" && slices.Contains(told, o.Group) {
			continue
		}
		told = append(told, o.Group)
		causes = append(causes, o.Cause)
	}
	return causes
}

func versionOf(image string) string {
	v, err := heptapod.ParseVersion(image)
	if err != nil || v.Parts == 0 {
		return ""
	}
	return v.String()
}

// urls are the addresses that a service is reached under.
func (s *Stack) urls(service string) []string {
	switch service {
	case traefik.Service:
		if d := s.cfg.Traefik.Dashboard; d != nil && d.Host != "" {
			return []string{s.cfg.address(d.Host)}
		}
	case heptapod.Service:
		list := []string{s.forge.URL()}
		if host := s.cfg.registryHost(); host != "" {
			scheme := "https://"
			if s.cfg.tlsMode() == traefik.TLSOff && len(s.cfg.forgeRegistry().Certificate) == 0 {
				scheme = "http://"
			}
			list = append(list, scheme+host)
		}
		return list
	}
	return nil
}
