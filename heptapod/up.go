package heptapod

import (
	"context"

	"github.com/heptaup/hepta/internal/lifecycle"
	"github.com/heptaup/hepta/internal/opaque"
)

// Resources are the forge as a part of a larger stack.
func (f *Forge) Resources() (Resources, error) {
	p, err := f.part()
	return opaque.Hide(p), err
}

// Plan looks at the Docker host and says what Up would do.
func (f *Forge) Plan(ctx context.Context) (*Plan, error) {
	u, err := f.unit()
	if err != nil {
		return nil, err
	}
	return u.Plan(ctx)
}

// Up makes the Docker host run the forge, waits until it serves, and makes an
// API token when there is none that will last. It brings up the forge and
// nothing else: where a stack has other services too, it refuses, and the
// whole stack has to be brought up instead. What was done is returned even
// when it ends with an error.
func (f *Forge) Up(ctx context.Context) (*Plan, error) {
	u, err := f.unit()
	if err != nil {
		return nil, err
	}
	return u.Up(ctx)
}

// Down stops and removes the forge's container, and the network where it was
// made for the stack. The data directory stays as it is. Like Up it refuses
// where the stack has other services.
func (f *Forge) Down(ctx context.Context) (*Plan, error) {
	u, err := f.unit()
	if err != nil {
		return nil, err
	}
	return u.Down(ctx)
}

func (f *Forge) part() (lifecycle.Part, error) {
	s, err := f.resources()
	return lifecycle.Part{Stack: s}, err
}

// unit is the stack that holds the forge only, on the Forge's connection.
func (f *Forge) unit() (lifecycle.Unit, error) {
	p, err := f.part()
	opts := f.opts
	opts.Dial = f.connection
	return lifecycle.Unit{What: "forge of stack " + f.cfg.Stack, Part: p, Opts: opts}, err
}
