package main

import "context"

// recreate gives one of eight running containers another image, back and forth.
func (b *bench) recreate(ctx context.Context) ([]result, error) {
	const n = 8
	var ours, theirs [2]func(context.Context) error
	for i, image := range []string{b.small, b.changed} {
		ours[i] = b.plainUp(n, image)
		var err error
		if theirs[i], err = b.composeUp(n, image); err != nil {
			return nil, err
		}
		// The first two bring everything up and try the change.
		if err := ours[i](ctx); err != nil {
			return nil, err
		}
		if err := theirs[i](ctx); err != nil {
			return nil, err
		}
	}
	alternate := func(ups [2]func(context.Context) error) func(context.Context) error {
		turn := 0
		return func(ctx context.Context) error {
			up := ups[turn%2]
			turn++
			return up(ctx)
		}
	}
	results, err := b.ratio(ctx, "recreate_1", 0.6, step{timed: alternate(ours)}, step{timed: alternate(theirs)})
	if err != nil {
		return nil, err
	}
	// After an even number of turns and one that does not count.
	next := []string{b.changed, b.small}[b.n%2]
	if err := b.traced(ctx, n, next, func(context.Context) error { return nil }); err != nil {
		return nil, err
	}
	if err := b.clear(plainHepta)(ctx); err != nil {
		return nil, err
	}
	return results, b.clear(plainCompose)(ctx)
}
