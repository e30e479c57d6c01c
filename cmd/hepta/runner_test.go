package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/render"
	"github.com/heptaup/hepta/runner"
)

func drawn(t *testing.T, rows render.Rows) string {
	t.Helper()
	var b strings.Builder
	if err := render.Table(&b, false, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRunnerTable(t *testing.T) {
	got := drawn(t, runnerTable([]runner.State{
		{Name: "dind", Declared: true, Mode: runner.Dind, Tags: []string{"a", "b"}, ID: 3, Forge: "https://hg.example.org", State: runner.Online},
		{Name: "old", Forge: "https://hg.example.org", ID: 4, State: runner.Gone, Problem: "the forge does not know it any more", Remedy: "Remove what is left of it: hepta runner remove old"},
	}))
	want := `  RUNNER  STATE          MODE  TAGS  ID  FORGE
✔ dind    online         dind  a,b   3   https://hg.example.org
✘ old     gone in forge  -     -     4   https://hg.example.org

old: the forge does not know it any more. Remove what is left of it: hepta runner remove old
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestVerdictTable(t *testing.T) {
	yes, no := true, false
	got := drawn(t, verdictTable([]runner.Verdict{
		{Name: "a", Alive: true, ID: 1, Forge: "x", Reached: &yes}, {Name: "b", Dead: true, Forge: "x", Problem: "refused", Remedy: "Repair it."},
		{Name: "c", Dead: true, Done: "created again", ID: 2, Forge: "x"}, {Name: "d", Forge: "x", Problem: "could not be asked"},
		{Name: "e", Alive: true, Forge: "x", Reached: &no, Problem: "not reached", Remedy: "Let it."},
	}))
	want := `  RUNNER  TOKEN        REACHED  DONE           ID  FORGE
✔ a       good         yes      -              1   x
✘ b       refused      -        -              -   x
~ c       was refused  -        created again  2   x
~ d       unknown      -        -              -   x
✘ e       good         no       -              -   x

b: refused. Repair it.
d: could not be asked.
e: not reached. Let it.
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPruneTable(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	p := &runner.Pruned{Bytes: 2_000_000, Leftovers: []runner.Leftover{
		{Kind: runner.LeftContainer, Name: "x", Job: "7", Bytes: 2_000_000, Created: now.Add(-time.Hour)},
		{Kind: runner.LeftVolume, Name: "y", Kept: "its job runs"},
	}}
	for _, c := range []struct {
		name              string
		force, all, sizes bool
		want              []string
	}{
		{"dry run", false, false, true, []string{"2.0 MB", "To be removed: 1; 2.0 MB would be freed. Kept: 1.", "Nothing was done: the same command with --force removes them."}},
		{"forced", true, true, true, []string{"Removed: 1; 2.0 MB freed. Kept: 1.", "its job runs"}},
		{"no sizes", true, false, false, []string{"Removed: 1. Kept: 1."}},
	} {
		got := drawn(t, pruneTable(p, c.force, c.all, c.sizes, now))
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: there is no %q in\n%s", c.name, want, got)
			}
		}
		if strings.Contains(got, "its job runs") != c.all {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
