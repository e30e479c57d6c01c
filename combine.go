package hepta

import (
	"context"
	"fmt"
	"slices"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/lifecycle"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/wiring"
)

// Resources are what a Part contributes to a stack.
type Resources = opaque.Value[lifecycle.Part]

// Part is one of those that Combine takes: a *traefik.Proxy, a
// *heptapod.Forge, *runner.Runners or a registry.Mirror.
type Part interface {
	Resources() (Resources, error)
}

// Combination is one stack of parts that are described each by itself, for
// what a Config cannot say. A Stack does more: it derives what the parts have
// to know of each other.
type Combination struct{ unit lifecycle.Unit }

// Combine makes one stack of parts. They have the same Stack and Data in their
// configurations, and no two of them are of one kind. Nothing is contacted. The
// Engine is that of opts; those of the parts count for their own methods.
func Combine(parts []Part, opts ...Option) (*Combination, error) {
	refuse := func(why, remedy string) (*Combination, error) {
		return nil, &fault.Error{Op: "combine parts", Why: why, Remedy: remedy}
	}
	if len(parts) == 0 {
		return refuse("there are none", "Give at least one: a proxy, a forge, runners or a mirror.")
	}
	var whole converge.Stack
	var checks []func(context.Context, client.APIClient) error
	for i, p := range parts {
		r, err := p.Resources()
		if err != nil {
			return nil, err
		}
		part := opaque.Show(r)
		if i == 0 {
			whole.Name, whole.Data = part.Stack.Name, part.Stack.Data
		}
		if part.Stack.Name != whole.Name || part.Stack.Data != whole.Data {
			return refuse(fmt.Sprintf("one is of stack %s with data in %s, another of stack %s with data in %s", whole.Name, whole.Data, part.Stack.Name, part.Stack.Data),
				"Give all of them the same Stack and Data.")
		}
		for _, c := range part.Stack.Containers {
			if slices.ContainsFunc(whole.Containers, func(other converge.Container) bool { return other.Service == c.Service }) {
				return refuse("two of them describe the service "+c.Service, "Give one part of each kind.")
			}
		}
		if part.Check != nil {
			checks = append(checks, part.Check)
		}
		addTo(&whole, part.Stack)
	}
	check := func(ctx context.Context, docker client.APIClient) error {
		for _, check := range checks {
			if err := check(ctx, docker); err != nil {
				return err
			}
		}
		return nil
	}
	return &Combination{lifecycle.Unit{What: "stack " + whole.Name, Part: lifecycle.Part{Stack: whole, Check: check}, Opts: wiring.Apply(opts)}}, nil
}

// Plan looks at the Docker host and says what Up would do.
func (c *Combination) Plan(ctx context.Context) (*Plan, error) { return c.unit.Plan(ctx) }

// Up makes the Docker host run the parts and waits until they serve. It
// returns what it did, also when that came not to its end.
func (c *Combination) Up(ctx context.Context) (*Plan, error) { return c.unit.Up(ctx) }

// Down removes the containers of the parts, and their network when nobody
// else is on it. Data stay.
func (c *Combination) Down(ctx context.Context) (*Plan, error) { return c.unit.Down(ctx) }
