package main

import (
	"context"
	"fmt"
	"os"
)

// processStart is a program that only says its version.
func (b *bench) processStart(ctx context.Context) ([]result, error) {
	return b.ratio(ctx, "process_start", 0.4,
		step{timed: b.command(b.hepta, "version")},
		step{timed: b.command(b.compose, "version")})
}

// binarySize is the stripped program in megabytes.
func (b *bench) binarySize(context.Context) ([]result, error) {
	i, err := os.Stat(b.hepta)
	if err != nil {
		return nil, fmt.Errorf("look at program: %w", err)
	}
	return []result{{Name: "binary_mb", Value: float64(i.Size()) / 1e6, Aim: 25}}, nil
}
