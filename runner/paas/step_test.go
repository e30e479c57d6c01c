package paas

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heptaup/hepta/internal/secret"
)

func inPhase(p Phase) Record {
	r := Record{Key: Key{"abcdefgh", 7}, Token: secret.New("t"), Phase: p}
	switch p {
	case Acquired, Creating:
		r.Payload = secret.New("{}")
	case Created, Pushing, Pushed:
		r.Payload = secret.New("{}")
		r.Host = &Host{ID: "app"}
	case Running:
		r.Host = &Host{ID: "app"}
	}
	return r
}

func phases() []Phase {
	return []Phase{Acquired, Creating, Created, Pushing, Pushed, Running, Failing, Deleting, Gone}
}

func kinds() []EventKind {
	return []EventKind{Resumed, HostMade, HostPrepared, HandedOver, Started, LaunchFailed, Canceled, Ended, Reported, HostGone}
}

// What each event makes of each phase: the next phase and what is due, a dot
// where nothing happens.
func TestStep(t *testing.T) {
	var b strings.Builder
	for _, k := range kinds() {
		fmt.Fprintf(&b, "%s:", k)
		for _, p := range phases() {
			next, action := Step(inPhase(p), Event{Kind: k, Host: &Host{ID: "app"}})
			if next.Phase == p && action == Nothing {
				b.WriteString(" .")
				continue
			}
			fmt.Fprintf(&b, " %s", next.Phase)
		}
		b.WriteString("\n")
	}
	const want = `resumed: creating creating created pushing pushed running failing deleting gone
host made: . created . . . . . . .
host prepared: . . pushing . . . . . .
handed over: . . . pushed . . . . .
started: . . . running running . . . .
launch failed: failing failing failing failing failing . . . .
canceled: failing failing failing failing . . . . .
ended: deleting deleting deleting deleting deleting deleting deleting . .
reported: . . . . . . deleting . .
host gone: . . . . . . . gone .
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Whatever comes in whatever order: a job never goes back, a host that was
// known stays known until it is gone, and after a kill the same is due.
func TestStepGoesForward(t *testing.T) {
	order := map[Phase]int{}
	for i, p := range phases() {
		order[p] = i
	}
	rapid.Check(t, func(t *rapid.T) {
		r := inPhase(Acquired)
		for range rapid.IntRange(1, 30).Draw(t, "length") {
			e := Event{Kind: rapid.SampledFrom(kinds()).Draw(t, "event"), Host: &Host{ID: "app"}}
			next, action := Step(r, e)
			if order[next.Phase] < order[r.Phase] {
				t.Fatalf("%s: from %s back to %s", e.Kind, r.Phase, next.Phase)
			}
			if r.Host != nil && (next.Host == nil || next.Host.ID != r.Host.ID) {
				t.Fatalf("%s: the host was forgotten in %s", e.Kind, r.Phase)
			}
			if _, again := Step(next, Event{Kind: Resumed}); action != Nothing && again != action {
				t.Fatalf("%s: %s is due, and after a kill %s", e.Kind, action, again)
			}
			if next.Phase == Running && !next.Payload.Empty() {
				t.Fatal("the payload of a running job is kept")
			}
			r = next
		}
	})
}

// What others hold of a record does not change under them.
func TestStepIsPure(t *testing.T) {
	r := inPhase(Pushing)
	host := r.Host
	next, _ := Step(r, Event{Kind: HandedOver})
	if host.Launched || !next.Host.Launched {
		t.Errorf("before %+v, after %+v", host, next.Host)
	}
}

func TestSweep(t *testing.T) {
	at := time.Unix(1000, 0)
	host := func(id, name string) Host { return Host{ID: id, Name: name} }
	records := []Record{
		{Key: Key{"abcdefgh", 1}, Host: &Host{ID: "a"}},
		{Key: Key{"abcdefgh", 2}},
		{Key: Key{"otherone", 4}, Host: &Host{ID: "d"}},
	}
	hosts := []Host{
		host("a", "hpd-job-abcdefgh-1"), // its host
		host("b", "hpd-job-abcdefgh-1"), // a second one for the same job
		host("c", "hpd-job-abcdefgh-2"), // its record will find it
		host("d", "hpd-job-otherone-4"), // of another runner
		host("e", "hpd-job-abcdefgh-5"), // nobody's, its job is over
		host("f", "hpd-job-abcdefgh-6"), // nobody's, its job runs
		host("g", "website"),
	}
	over := func(job int64) bool { return job == 5 }
	pass := func(seen map[string]Sighting, now time.Time, limit int) (string, map[string]Sighting) {
		remove, seen := Sweep("abcdefgh", hosts, records, seen, now, time.Minute, limit, over)
		text := ""
		for _, h := range remove {
			text += h.ID
		}
		return text, seen
	}
	got, seen := pass(nil, at, 10)
	if got != "" || len(seen) != 3 {
		t.Errorf("first pass removes %q, sees %v", got, seen)
	}
	if got, _ := pass(seen, at.Add(59*time.Second), 10); got != "" {
		t.Errorf("within the grace period: %q", got)
	}
	if got, _ := pass(seen, at.Add(time.Minute), 1); got != "b" {
		t.Errorf("one a pass: %q", got)
	}
	got, seen = pass(seen, at.Add(time.Minute), 10)
	if got != "be" || len(seen) != 1 || seen["f"].Since != at {
		t.Errorf("removes %q, sees %v", got, seen)
	}
}
