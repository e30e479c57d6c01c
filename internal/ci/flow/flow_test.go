package flow

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// jobs reads "name:stage:status[:when][?][<need,need]" words; ? allows failure, < makes it DAG.
func jobs(t *testing.T, text string) []Job {
	t.Helper()
	var all []Job
	for _, w := range strings.Fields(text) {
		head, needs, dag := strings.Cut(w, "<")
		j := Job{DAG: dag, When: "on_success", AllowFailure: strings.HasSuffix(head, "?")}
		f := strings.Split(strings.TrimSuffix(head, "?"), ":")
		j.Name, j.Status = f[0], f[2]
		if _, err := fmt.Sscan(f[1], &j.Stage); err != nil {
			t.Fatal(err)
		}
		if len(f) > 3 {
			j.When = f[3]
		}
		for _, n := range strings.Split(needs, ",") {
			if n != "" {
				j.Needs = append(j.Needs, Need{Job: n})
			}
		}
		all = append(all, j)
	}
	return all
}

func TestAdvance(t *testing.T) {
	for name, c := range map[string]struct{ in, want, status string }{
		"first stage starts":              {"a:0:created b:1:created", "pending created", "pending"},
		"second follows success":          {"a:0:success b:1:created", "success pending", "running"},
		"waits for running":               {"a:0:running b:1:created", "running created", "running"},
		"failure skips":                   {"a:0:failed b:1:created", "failed skipped", "failed"},
		"allowed failure goes on":         {"a:0:failed? b:1:created", "failed pending", "pending"},
		"only a warning is success":       {"a:0:failed?", "failed", "success"},
		"on_failure after failure":        {"a:0:failed b:1:created:on_failure", "failed pending", "running"},
		"on_failure after success":        {"a:0:success b:1:created:on_failure", "success skipped", "success"},
		"always after failure":            {"a:0:failed b:1:created:always", "failed pending", "running"},
		"always not after cancel":         {"a:0:canceled b:1:created:always", "canceled skipped", "canceled"},
		"blocking manual":                 {"a:0:created:manual b:1:created", "manual created", "manual"},
		"optional manual is ignored":      {"a:0:created:manual? b:1:created", "manual pending", "pending"},
		"needs nothing starts at once":    {"a:0:running b:1:created<", "running pending", "running"},
		"need done, stage not":            {"a:0:success x:0:running b:1:created<a", "success running pending", "running"},
		"need waits":                      {"a:0:running b:1:created<a", "running created", "running"},
		"need on skipped skips":           {"a:0:failed m:0:skipped b:1:created<m", "failed skipped skipped", "failed"},
		"need on optional manual skips":   {"a:0:created:manual? b:1:created<a", "manual skipped", "skipped"},
		"need fails":                      {"a:0:failed b:1:created<a", "failed skipped", "failed"},
		"chain of skips":                  {"a:0:failed b:1:created c:2:created d:3:created:always", "failed skipped skipped pending", "running"},
		"same stage need":                 {"a:0:success b:0:created<a", "success pending", "running"},
		"delayed":                         {"a:0:created:delayed", "scheduled", "scheduled"},
		"canceling runs":                  {"a:0:canceling b:0:success", "canceling success", "canceling"},
		"skipped stage goes on":           {"a:0:created:on_failure b:1:created", "skipped pending", "pending"},
		"everything skipped":              {"a:0:created:on_failure", "skipped", "skipped"},
		"later stage waits for both":      {"a:0:success b:0:pending c:1:created", "success pending created", "running"},
		"canceled pipeline skips the end": {"a:0:canceled b:1:created", "canceled skipped", "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			all := jobs(t, c.in)
			Advance(all)
			var got []string
			for _, j := range all {
				got = append(got, j.Status)
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("jobs: %s, want %s", g, c.want)
			}
			if s := Composite(all, false); s != c.status {
				t.Errorf("pipeline: %s, want %s", s, c.status)
			}
		})
	}
}

func TestNeedOnParallelWaitsForAll(t *testing.T) {
	all := []Job{
		{Name: "t 1/2", Status: "success"}, {Name: "t 2/2", Status: "running"}, {Name: "t: [a, b]", Status: "success"},
		{Name: "tool", Status: "failed"}, {Name: "t x", Status: "failed"},
		{Name: "d", Stage: 1, Status: "created", DAG: true, Needs: []Need{{Job: "t"}}},
	}
	Advance(all)
	if all[5].Status != "created" {
		t.Fatalf("decided as %s while 2/2 runs", all[5].Status)
	}
	all[1].Status = "success"
	Advance(all)
	if all[5].Status != "pending" {
		t.Fatalf("status %s, want pending", all[5].Status)
	}
}

func TestReopen(t *testing.T) {
	all := jobs(t, "a:0:manual b:1:skipped c:1:success d:2:skipped<b e:0:skipped f:2:skipped<e")
	got := Reopen(all, "a")
	if !slices.Equal(got, []int{1, 3}) {
		t.Errorf("reopened %v, want b and d", got)
	}
}

// Whatever the jobs do, a pipeline ends: with every started job finished, no
// job stays created unless a manual or delayed one blocks it.
func TestEveryPipelineEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "jobs")
		all := make([]Job, n)
		stage := 0
		for i := range all {
			stage += rapid.IntRange(0, 1).Draw(t, "next stage")
			all[i] = Job{
				Name: fmt.Sprint("j", i), Stage: stage, Status: "created",
				When:         rapid.SampledFrom([]string{"on_success", "on_failure", "always", "manual"}).Draw(t, "when"),
				AllowFailure: rapid.Bool().Draw(t, "allow"),
			}
			if i > 0 && rapid.Bool().Draw(t, "dag") {
				all[i].DAG = true
				all[i].Needs = []Need{{Job: fmt.Sprint("j", rapid.IntRange(0, i-1).Draw(t, "need"))}}
			}
		}
		for range n + 1 {
			Advance(all)
			for i := range all {
				if all[i].Status == "pending" || all[i].Status == "manual" && !all[i].AllowFailure {
					all[i].Status = rapid.SampledFrom([]string{"success", "failed", "canceled"}).Draw(t, "end")
				}
			}
		}
		if s := Composite(all, false); !complete(s) {
			t.Fatalf("ends as %q: %+v", s, all)
		}
		for _, j := range all {
			if j.Status == "created" {
				t.Fatalf("%s stays created: %+v", j.Name, all)
			}
		}
	})
}

// A job that is being canceled counts for less than what still has to come.
func TestCanceling(t *testing.T) {
	for other, want := range map[string]string{"created": "running", "manual": "manual", "scheduled": "scheduled", "success": "canceling", "running": "running"} {
		if got := Composite([]Job{{Name: "a", Status: "canceling"}, {Name: "b", Status: other}}, false); got != want {
			t.Errorf("canceling and %s is %s, want %s", other, got, want)
		}
	}
}

// A pipeline that has begun does not wait again.
func TestEnter(t *testing.T) {
	for now, want := range map[string]string{"created": "pending", "pending": "pending", "running": "running", "failed": "running", "success": "running", "canceled": "running"} {
		if got := Enter(now, "pending"); got != want {
			t.Errorf("%s becomes %s, want %s", now, got, want)
		}
	}
	if got := Enter("running", "failed"); got != "failed" {
		t.Errorf("running becomes %s, want failed", got)
	}
}
