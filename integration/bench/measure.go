package main

import (
	"context"
	"time"
)

// measure is one thing that is measured, with what has to be there for it.
type measure struct {
	name  string
	needs []func(*bench, context.Context) error // each does its work once
	take  func(*bench, context.Context) ([]result, error)
}

// suites are the groups of measures that one run can take.
var suites = map[string]func() []measure{
	defaultSuite: stackMeasures,
	"builds":     buildMeasures,
	"paas":       paasMeasures,
}

const defaultSuite = "stack"

// stackMeasures lists them in the order in which they are taken: what needs
// little first, what leaves something behind last.
func stackMeasures() []measure {
	binaries := []func(*bench, context.Context) error{(*bench).engine, (*bench).programs}
	plain := append(binaries[:len(binaries):len(binaries)], (*bench).plainImages)
	stacks := append(plain[:len(plain):len(plain)], (*bench).forge)
	peers := append(stacks[:len(stacks):len(stacks)], (*bench).peer)
	return []measure{
		{"binary_mb", binaries, (*bench).binarySize},
		{"process_start", binaries, (*bench).processStart},
		{"heptapodtest_ready_ms", nil, (*bench).ready},
		{"job_requests_per_s", nil, (*bench).jobRequests},
		{"cold_up_1", plain, coldUp(1)},
		{"cold_up_4", plain, coldUp(4)},
		{"cold_up_8", plain, coldUp(8)},
		{"recreate_1", plain, (*bench).recreate},
		{"noop_calls", stacks, (*bench).noopCalls},
		{"noop_up", peers, (*bench).noopUp},
		{"noop_up_wait", peers, (*bench).noopUpWait},
		{"push_to_first_line_s", stacks, (*bench).push},
	}
}

// names are those of a suite's measures.
func names(suite string) []string {
	var list []string
	for _, m := range suites[suite]() {
		list = append(list, m.name)
	}
	return list
}

// step is what one program does once; before is done untimed.
type step struct {
	before func(context.Context) error
	timed  func(context.Context) error
}

func (s step) take(ctx context.Context) (time.Duration, error) {
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	err := s.timed(ctx)
	return time.Since(began), err
}

// turns takes n samples of each step, one of each in turn, after one of each
// that does not count. Who begins changes with every turn.
func turns(ctx context.Context, n int, steps ...step) ([][]time.Duration, error) {
	samples := make([][]time.Duration, len(steps))
	for i := range n + 1 {
		for j := range steps {
			at := (i + j) % len(steps)
			took, err := steps[at].take(ctx)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				samples[at] = append(samples[at], took)
			}
		}
	}
	return samples, nil
}

// ratio measures hepta against compose.
func (b *bench) ratio(ctx context.Context, name string, aim float64, hepta, peer step) ([]result, error) {
	samples, err := turns(ctx, b.n, hepta, peer)
	if err != nil {
		return nil, err
	}
	return []result{ratioOf(name, aim, samples[0], samples[1])}, nil
}
