package heptapod

import (
	"context"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
)

// Plan looks at the Docker host and says what Up would do.
func (f *Forge) Plan(ctx context.Context) (*converge.Plan, error) {
	s, e, err := f.alone(ctx)
	if err != nil {
		return nil, err
	}
	return e.Plan(ctx, s)
}

// Up makes the Docker host run the forge, waits until it serves, and makes an
// API token when there is none that will last. It brings up the forge and
// nothing else: where a stack has other services too, it refuses, and the
// whole stack has to be brought up instead. What was done is returned even
// when it ends with an error.
func (f *Forge) Up(ctx context.Context) (*converge.Plan, error) {
	s, e, err := f.alone(ctx)
	if err != nil {
		return nil, err
	}
	return e.Up(ctx, s, engine.UpOptions{})
}

// Down stops and removes the forge's container, and the network where it was
// made for the stack. The data directory stays as it is. Like Up it refuses
// where the stack has other services.
func (f *Forge) Down(ctx context.Context) (*converge.Plan, error) {
	s, e, err := f.alone(ctx)
	if err != nil {
		return nil, err
	}
	return e.Down(ctx, s, engine.DownOptions{})
}

// alone is the stack that holds the forge only, and the Engine for it.
func (f *Forge) alone(ctx context.Context) (*converge.Stack, *engine.Engine, error) {
	s, err := f.Resources()
	if err != nil {
		return nil, nil, err
	}
	e, err := f.engine(ctx)
	return &s, e, err
}
