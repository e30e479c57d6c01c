package integration

import (
	"flag"
	"testing"
)

// turns hands out values, each to one test at a time.
type turns[T any] chan T

// turnsOf are turns with the given values.
func turnsOf[T any](values ...T) turns[T] {
	all := make(turns[T], len(values))
	for _, v := range values {
		all <- v
	}
	return all
}

// take waits for a value and has it until the test ends.
func (all turns[T]) take(t *testing.T) T {
	t.Helper()
	select {
	case v := <-all:
		t.Cleanup(func() { all <- v })
		return v
	case <-t.Context().Done():
		t.Fatal("its turn did not come")
		panic("unreachable")
	}
}

// single is the turn of the tests that need no site. One of them at a time
// runs beside those of the sites.
var single = turnsOf(struct{}{})

// besideSites makes a test run while others have the sites.
func besideSites(t *testing.T) {
	t.Helper()
	t.Parallel()
	single.take(t)
}

// parallelByTurns lets turns alone limit what runs at once: were it -parallel,
// tests that wait for a site would keep the subtests of the one that has it
// from running.
func parallelByTurns() error { return flag.Set("test.parallel", "1000") }
