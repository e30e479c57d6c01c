// Package lifecycle plans, brings up and takes down a part of a stack by
// itself, the same way for each part.
package lifecycle

import (
	"context"
	"fmt"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/wiring"
)

// Part is what one package contributes to a stack.
type Part struct {
	Stack converge.Stack
	// Check refuses an Engine that the part cannot work with, where not every
	// part refuses it; may be nil.
	Check func(context.Context, client.APIClient) error
}

// Unit is a part, or several, on one Engine.
type Unit struct {
	What string // for errors: "proxy of stack hepta"
	Part Part
	Opts wiring.Options
}

// Plan says what Up would do. An Engine that cannot do it is an error, told
// with the plan.
func (u Unit) Plan(ctx context.Context) (*converge.Plan, error) {
	return u.On(ctx, "plan", func(e *engine.Engine, docker client.APIClient) (*converge.Plan, error) {
		plan, err := e.Plan(ctx, &u.Part.Stack)
		if err == nil && !plan.Empty() {
			err = u.check(ctx, docker)
		}
		return plan, err
	})
}

// Up makes the Engine look like the part and waits until it serves. It returns
// what it did, also when that came not to its end. An Engine that cannot do it
// is refused before anything is touched.
func (u Unit) Up(ctx context.Context) (*converge.Plan, error) {
	return u.On(ctx, "bring up", func(e *engine.Engine, docker client.APIClient) (*converge.Plan, error) {
		check := func(ctx context.Context) error { return u.check(ctx, docker) }
		return e.Up(ctx, &u.Part.Stack, engine.UpOptions{Check: check})
	})
}

// Down removes the containers of the part. Data stays.
func (u Unit) Down(ctx context.Context) (*converge.Plan, error) {
	return u.On(ctx, "take down", func(e *engine.Engine, _ client.APIClient) (*converge.Plan, error) {
		return e.Down(ctx, &u.Part.Stack, engine.DownOptions{})
	})
}

// On runs f on the Engine that the options name. A connection that it makes
// for that is closed again. What f returns is returned, with verb and What
// before the error.
func (u Unit) On(ctx context.Context, verb string, f func(*engine.Engine, client.APIClient) (*converge.Plan, error)) (*converge.Plan, error) {
	docker := u.Opts.Docker
	switch {
	case docker != nil:
	case u.Opts.Dial != nil:
		shared, err := u.Opts.Dial(ctx)
		if err != nil {
			return nil, err
		}
		docker = shared
	default:
		made, err := engine.Dial(ctx, u.Opts.Host)
		if err != nil {
			return nil, err
		}
		defer made.Close()
		docker = made
	}
	plan, err := f(engine.New(docker, u.Opts.Log, u.Opts.Progress).Reached(u.Opts.Host), docker)
	if err != nil {
		return plan, fmt.Errorf("%s %s: %w", verb, u.What, err)
	}
	return plan, nil
}

// check asks the Engine whether containers can work with files of its host,
// and the part whether it can work with the Engine.
func (u Unit) check(ctx context.Context, docker client.APIClient) error {
	info, err := docker.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask engine for its settings: %w", err)
	}
	if err := engine.CheckSecurity(info.SecurityOptions); err != nil || u.Part.Check == nil {
		return err
	}
	return u.Part.Check(ctx, docker)
}
