package main

import "context"

// noopUp is up where nothing is to be done: hepta's, which looks at networks,
// images, containers and the content of every file and waits until all is
// well, and compose's, which does not wait.
func (b *bench) noopUp(ctx context.Context) ([]result, error) {
	return b.ratio(ctx, "noop_up", 0.5,
		step{timed: b.command(b.hepta, "-f", b.config, "up")},
		step{timed: b.command(b.compose, "-f", b.peerProject, "up", "-d")})
}

// noopUpWait is the same with a compose that waits too.
func (b *bench) noopUpWait(ctx context.Context) ([]result, error) {
	return b.ratio(ctx, "noop_up_wait", 0.05,
		step{timed: b.command(b.hepta, "-f", b.config, "up")},
		step{timed: b.command(b.compose, "-f", b.peerProject, "up", "-d", "--wait")})
}
