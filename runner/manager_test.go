package runner

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

// orphanage is a host with containers that run for jobs of runners that are no
// more, and others; the stack's runner has run for an hour.
func orphanage() *attic {
	a := &attic{ended: map[string]time.Time{}, started: map[string]time.Time{}, taken: map[string]error{},
		brings: map[string]map[string]string{"sha256:job": nil, "sha256:marked": {LabelJob: "lab"}}}
	const day = 24 * time.Hour
	with := func(more ...string) map[string]string {
		l := job(1, "service")
		for i := 0; i < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	const system, short = markPrefix + "runner.system_id", markPrefix + "runner.id"
	name := func(id string) string { return slot1 + "-0a1b2c3d-" + id }
	run := func(id string, ago time.Duration, labels map[string]string) {
		a.box(id, name(id), "running", labels, ago, "vol-"+id)
	}
	run("orphan-label", day, with(LabelJob, "lab"))
	run("orphan-service", day, with(markPrefix+LabelJob, "lab", system, "r_other"))
	run("orphan-system", day, with(system, "r_mine", short, "canaryGiv"))
	run("orphan-made", day, with(short, "canaryMad"))
	run("orphan-old-form", day, with(short, "glrt-can"))
	a.box("orphan-paused", name("orphan-paused"), "paused", with(LabelJob, "lab"), day)
	run("new", time.Minute, with(LabelJob, "lab"))
	run("same-second", time.Hour, with(LabelJob, "lab"))
	run("other-stack", day, with(LabelJob, "other", system, "r_mine", short, "canaryMad"))
	run("other-system", day, with(system, "r_other", short, "canaryMad"))
	run("other-token", day, with(system, "r_mine", short, "elsewhere"))
	run("given-token", day, with(short, "canaryGiv")) // may be in use by another, whose containers have no name of it
	run("short-token", day, with(short, "canary"))
	a.box("by-image", name("by-image"), "running", with(LabelJob, "lab"), day).ImageID = "sha256:marked"
	a.box("no-runners", "shop", "running", with(LabelJob, "lab"), day)
	a.box("cache", slot1+"-cache-"+hash, "exited", with(LabelJob, "lab"), day)
	a.box("runner", "lab-runner", "running", map[string]string{converge.LabelStack: "lab", converge.LabelService: Service}, time.Hour)
	a.started["runner"] = noon.Add(-time.Hour).Add(time.Second / 2)
	return a
}

var manager = Manager{stack: "lab", system: "r_mine", made: []Secret{NewSecret("glrt-canaryMade1")}, tokens: []Secret{NewSecret("glrt-canaryMade1"), NewSecret("glrt-t1_canaryGiven")}}

// What runs for the job of a runner that is no more goes, and what runs for any
// other stays: a runner's that started before, and everybody else's.
func TestOrphans(t *testing.T) {
	older := []string{"orphan-label", "orphan-made", "orphan-old-form", "orphan-paused", "orphan-service", "orphan-system"}
	all := slices.Concat([]string{"new"}, older, []string{"same-second"})
	replaced := orphanage()
	replaced.box("before", "lab-runner-before", "running", map[string]string{converge.LabelStack: "lab", converge.LabelService: Service}, 48*time.Hour)
	replaced.started["before"] = noon.Add(-48 * time.Hour)
	gone := orphanage()
	gone.containers = gone.containers[:len(gone.containers)-1]
	stopped := orphanage()
	delete(stopped.started, "runner")
	turnedBack := orphanage()
	turnedBack.started["runner"] = noon.Add(time.Minute)
	for name, c := range map[string]struct {
		a    *attic
		want []string
	}{
		"runs": {orphanage(), older}, "is not there": {gone, all}, "does not run": {stopped, all},
		"is being replaced": {replaced, nil}, "started in the future": {turnedBack, nil},
	} {
		for i := range c.a.containers { // only what belongs to orphans has to be forced
			if id := c.a.containers[i].ID; slices.Contains(c.want, id) && !strings.HasPrefix(id, "orphan") {
				c.a.containers[i].ID = "orphan " + id
			}
		}
		p, err := Prune(t.Context(), c.a, PruneOptions{Now: noon, Force: true, NoSizes: true, Manager: func(context.Context) Manager { return manager }})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var went []string
		for _, g := range c.a.gone {
			went = append(went, strings.TrimPrefix(strings.TrimPrefix(g, "container "), "orphan "))
		}
		slices.Sort(went)
		if diff := cmp.Diff(c.want, went); diff != "" {
			t.Errorf("the runner %s: -want +got:\n%s", name, diff)
		}
		for _, l := range p.Leftovers {
			if l.Kept == "" != l.Removed {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
}

// Nobody's runners are known without a manager, and then whatever runs stays.
func TestOrphansOfNobody(t *testing.T) {
	for name, of := range map[string]func(context.Context) Manager{
		"no manager": nil, "one that nothing is known of": func(context.Context) Manager { return Manager{} },
	} {
		a := orphanage()
		if _, err := Prune(t.Context(), a, PruneOptions{Now: noon, Force: true, NoSizes: true, Manager: of}); err != nil || len(a.gone) > 0 {
			t.Errorf("%s: %v, %v", name, a.gone, err)
		}
	}
}

// They are told with the jobs that they were for.
func TestLeftRunning(t *testing.T) {
	a := orphanage()
	said, err := LeftRunning(t.Context(), a, manager)
	if err != nil || !strings.Contains(said, slot1+"-0a1b2c3d-orphan-label (job 1 of project 7)") || strings.Contains(said, "-new ") || !strings.Contains(said, "hepta runner prune --force") {
		t.Errorf("%v: %s", err, said)
	}
	if runs, err := JobsRun(t.Context(), a); err != nil || !runs {
		t.Errorf("jobs run: %v, %v", runs, err)
	}
	a.containers = slices.DeleteFunc(a.containers, func(c container.Summary) bool { return strings.HasPrefix(c.ID, "orphan") })
	if said, err := LeftRunning(t.Context(), a, manager); err != nil || said != "" {
		t.Errorf("%v: %s", err, said)
	}
}

// The manager is read on the host: which tokens are its runners' own and which
// somebody created by hand.
func TestManager(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	r := runners(t, at(f, Runner{Name: "made"}, Runner{Name: "given", Token: NewSecret("glrt-canary-given")}))
	m.must(r)
	m.byHand("hand", f.URL, "canary-hand")
	m.files[FileSystemID] = "r_0123456789ab\n"
	got, err := r.roster(m).Manager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.stack != r.cfg.Stack || got.system != "r_0123456789ab" || len(got.made) != 1 || len(got.tokens) != 3 {
		t.Errorf("got %+v", got)
	}
	made := got.made[0].Reveal()
	if !got.owns(map[string]string{markPrefix + "runner.id": made[:8]}) || got.owns(map[string]string{markPrefix + "runner.id": "canary-hand"}) {
		t.Error("a token that somebody else may have counts by itself")
	}
}
