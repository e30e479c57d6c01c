package faults

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// atOnce runs the programs side by side and gives their outcomes.
func atOnce(runs ...func() outcome) []outcome {
	out := make([]outcome, len(runs))
	var all sync.WaitGroup
	for i, run := range runs {
		all.Go(func() { out[i] = run() })
	}
	all.Wait()
	return out
}

// Of many at once one works, the others wait, say for whom, and find nothing
// left to do.
func TestManyAtOnce(t *testing.T) {
	g := onHost(t)
	s := newSite(t, g, false)
	s.write(t, settings{})
	var runs []func() outcome
	for range 16 {
		runs = append(runs, func() outcome { return s.run(t, "up") })
	}
	did, waited := 0, 0
	for _, o := range atOnce(runs...) {
		if o.code != 0 {
			t.Errorf("exit code %d\n%s", o.code, o.text)
		}
		if strings.Contains(o.text, "Done in") {
			did++
		}
		if strings.Contains(o.text, "(pid ") && strings.Contains(o.text, "waiting for ") {
			waited++
		}
	}
	if did != 1 || waited != 15 {
		t.Errorf("%d of 16 did something, %d said for whom they waited; want 1 and 15", did, waited)
	}
	seen := s.look(t)
	s.consistent(t, "16 at once", seen)
	if len(seen.Containers) != 4 || len(seen.Networks) != 2 {
		t.Errorf("there is %v", seen.Containers)
	}
	s.quiet(t, "16 at once")
}

// Stacks that share a network make it once.
func TestSharedNetwork(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	var all []*site
	var runs []func() outcome
	for range 4 {
		s := newSite(t, g, false)
		s.write(t, settings{network: "web"})
		all, runs = append(all, s), append(runs, func() outcome { return s.run(t, "up") })
	}
	for _, o := range atOnce(runs...) {
		if o.code != 0 {
			t.Errorf("exit code %d\n%s", o.code, o.text)
		}
	}
	named := func() []network.Summary {
		list, err := g.docker.NetworkList(t.Context(), network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", "^web$"))})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := named(); len(list) != 1 {
		t.Errorf("there are %d networks of the name: %v", len(list), list)
	}
	for _, s := range all {
		s.quiet(t, "4 stacks at once")
	}
	// The network outlives each but the last, whoever made it.
	for i, s := range all {
		s.must(t, "down")
		if i < len(all)-1 && len(named()) != 1 {
			t.Fatalf("the network went with stack %d", i+1)
		}
	}
}

// Up against down ends as one or the other, whole.
func TestUpAgainstDown(t *testing.T) {
	t.Parallel()
	g := onHost(t)
	s := newSite(t, g, false)
	s.write(t, settings{})
	s.must(t, "up")
	up := s.look(t)
	for round := range 3 {
		if round == 2 { // from nothing
			s.must(t, "down")
		}
		for i, o := range atOnce(func() outcome { return s.run(t, "up") }, func() outcome { return s.run(t, "down") }) {
			if o.code != 0 {
				t.Errorf("round %d, run %d: exit code %d\n%s", round, i, o.code, o.text)
			}
		}
		what := fmt.Sprint("round ", round)
		seen := s.look(t)
		if len(seen.Containers) > 0 {
			same(t, what, seen, up)
		} else if len(seen.Networks) > 0 {
			t.Errorf("%s: no containers, and yet %v", what, seen.Networks)
		}
		s.must(t, "up")
		same(t, what+", then up", s.look(t), up)
	}
}
