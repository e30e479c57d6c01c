package main

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// coldUp is from nothing but the images to n running containers on a network
// of their own. They have no healthcheck, so neither program waits for more
// than their start. cold_floor is the same made by nobody but the Engine: the
// fewest calls that have this effect, by a client that is already connected
// and neither looks nor locks. No program can be below it.
func coldUp(n int) func(*bench, context.Context) ([]result, error) {
	return func(b *bench, ctx context.Context) ([]result, error) {
		theirs, err := b.composeUp(n, b.small)
		if err != nil {
			return nil, err
		}
		ours := b.clear(plainHepta)
		samples, err := turns(ctx, b.n,
			step{before: ours, timed: b.plainUp(n, b.small)},
			step{before: b.clear(plainCompose), timed: theirs},
			step{before: ours, timed: b.bare(n)})
		if err != nil {
			return nil, err
		}
		floor := ratioOf(fmt.Sprintf("cold_floor_%d", n), 0, samples[2], samples[1])
		floor.By = "engine"
		results := []result{ratioOf(fmt.Sprintf("cold_up_%d", n), 0.5, samples[0], samples[1]), floor}
		if err := b.traced(ctx, n, b.small, ours); err != nil {
			return nil, err
		}
		if err := ours(ctx); err != nil {
			return nil, err
		}
		return results, b.clear(plainCompose)(ctx)
	}
}

// bare makes n plain containers and their network with as few calls as can be,
// and each as soon as it can be: a network has to be there for the start.
func (b *bench) bare(n int) func(context.Context) error {
	return func(ctx context.Context) error {
		labels := map[string]string{"hepta.stack": plainHepta}
		group, ctx := errgroup.WithContext(ctx)
		there := make(chan struct{})
		group.Go(func() error {
			if _, err := b.inner.NetworkCreate(ctx, plainHepta, network.CreateOptions{Labels: labels}); err != nil {
				return fmt.Errorf("create network: %w", err)
			}
			close(there)
			return nil
		})
		for range n {
			group.Go(func() error {
				made, err := b.inner.ContainerCreate(ctx, &container.Config{Image: b.small, Cmd: []string{"sleep", "86400"}, StopSignal: "SIGKILL", Labels: labels},
					&container.HostConfig{NetworkMode: plainHepta}, nil, nil, "")
				if err != nil {
					return fmt.Errorf("create container: %w", err)
				}
				select {
				case <-there:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if err := b.inner.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
					return fmt.Errorf("start container: %w", err)
				}
				return nil
			})
		}
		return group.Wait()
	}
}
