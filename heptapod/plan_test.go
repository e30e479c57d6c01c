package heptapod

import (
	"maps"
	"slices"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

func TestDataIsLookedAtFirst(t *testing.T) {
	f := forge(t, Config{})
	s := resources(t, f)
	plan, err := converge.Up(&s, &converge.Observed{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/first.plan", plan.String())
}

func TestSetupsPlan(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(setups(t))) {
		s := resources(t, forge(t, setups(t)[name]))
		if _, err := converge.Up(&s, &converge.Observed{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
