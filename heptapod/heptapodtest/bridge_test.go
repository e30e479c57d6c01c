package heptapodtest_test

import (
	"archive/zip"
	"bytes"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// A job with trigger makes a child pipeline, which it waits for where it says
// so, or a pipeline of another project.
func TestTriggers(t *testing.T) {
	s := heptapodtest.New(t, heptapodtest.WithLongPoll(-1))
	other := s.CreateProject(t, "g/other", "git")
	push(t, other, filepath.Join(t.TempDir(), "other"), map[string]string{
		".gitlab-ci.yml": "workflow: {rules: [{if: $CI_PIPELINE_SOURCE == \"pipeline\"}]}\nfar: {script: [x], rules: [{if: $WORD == \"sent\"}]}\n",
	}, "first")
	p := s.CreateProject(t, "g/p", "git")
	if err := s.SetVariable(p.Path, "OTHER", "other", false); err != nil {
		t.Fatal(err)
	}
	push(t, p, filepath.Join(t.TempDir(), "w"), map[string]string{
		".gitlab-ci.yml": `
stages: [make, go, after]
variables: {GLOBAL: g}
make: {stage: make, script: [x], artifacts: {paths: [made.yml]}}
static: {stage: go, trigger: {include: child.yml, strategy: depend}}
dynamic: {stage: go, trigger: {include: [{artifact: made.yml, job: make}]}}
far: {stage: go, variables: {WORD: sent}, trigger: {project: g/$OTHER, branch: main}}
nowhere: {stage: go, allow_failure: true, trigger: g/none}
after: {stage: after, script: [x]}
`,
		"child.yml": "inner: {script: [x], rules: [{if: $CI_PIPELINE_SOURCE == \"parent_pipeline\" && $GLOBAL == \"g\"}]}\n",
	}, "first")
	r := newRunner(t, s, newest())
	j := r.take()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	w, err := z.Create("made.yml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("generated: {script: [x]}\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	j.upload("archive", "zip", "artifacts.zip", archive.Bytes())
	j.put("success", nil)
	pl, err := s.Await(within(t), p.Path, "main", func(pl *heptapodtest.Pipeline) bool {
		for _, name := range []string{"static", "dynamic", "far", "nowhere"} {
			if job, err := pl.Job(name); err != nil || job.Status == "created" || job.Status == "pending" {
				return false
			}
		}
		return true
	})
	if err != nil {
		t.Fatalf("%v: %+v", err, pl)
	}
	for name, want := range map[string]string{"static": "running", "dynamic": "success", "far": "success", "nowhere": "failed", "after": "created"} {
		if job, err := pl.Job(name); err != nil || job.Status != want {
			t.Errorf("%s is %+v, %v; want %s", name, job, err, want)
		}
	}
	if job, _ := pl.Job("nowhere"); job.FailureReason != "downstream_bridge_project_not_found" {
		t.Errorf("nowhere failed for %s", job.FailureReason)
	}
	var names []string
	for range 4 {
		j := r.take()
		names = append(names, j.JobInfo.Name)
		j.put("success", nil)
	}
	inner, after := slices.Index(names, "inner"), slices.Index(names, "after")
	if inner < 0 || after < inner || !slices.Contains(names, "generated") || !slices.Contains(names, "far") {
		t.Errorf("jobs %q: after comes when the child pipeline is over", names)
	}
	if pl, err = s.WaitPipeline(within(t), p.Path, "main"); err != nil || pl.Status != "success" {
		t.Errorf("the pipeline is %+v, %v", pl, err)
	}
}

// A job of a child pipeline gets what a job of its parent made, by the number
// that the parent sends along; of a pipeline that is no relation it gets nothing.
func TestUpstreamArtifacts(t *testing.T) {
	s := heptapodtest.New(t, heptapodtest.WithLongPoll(-1))
	p := s.CreateProject(t, "g/p", "git")
	work := filepath.Join(t.TempDir(), "w")
	r := newRunner(t, s, newest())
	push(t, p, work, map[string]string{".gitlab-ci.yml": "make: {script: [x]}\n"}, "no relation")
	r.take().put("success", nil)
	push(t, p, work, map[string]string{
		".gitlab-ci.yml": `
make: {stage: build, script: [x], artifacts: {paths: [out]}}
child: {trigger: {include: child.yml}, variables: {PARENT: $CI_PIPELINE_ID, SAID: "by $CI_JOB_NAME"}}
`,
		"child.yml": `
use: {script: [x], needs: [{pipeline: $PARENT, job: make}]}
none: {script: [x], needs: [{pipeline: $PARENT, job: other}]}
stranger: {script: [x], needs: [{pipeline: "1", job: make}]}
`,
	}, "parent")
	j := r.take()
	j.upload("archive", "zip", "artifacts.zip", []byte("PK"))
	j.put("success", nil)
	if pl, err := s.Await(within(t), p.Path, "main", func(pl *heptapodtest.Pipeline) bool {
		job, err := pl.Job("child")
		return err == nil && job.Downstream != 0
	}); err != nil {
		t.Fatalf("%v: %+v", err, pl)
	}
	use := r.take()
	if use.JobInfo.Name != "use" || len(use.Dependencies) != 1 || use.Dependencies[0].Name != "make" {
		t.Errorf("%s gets %+v", use.JobInfo.Name, use.Dependencies)
	}
	if said, _ := use.variable("SAID"); said != "by child" {
		t.Errorf("SAID is %q", said)
	}
	use.put("success", nil)
	if _, status := r.request(); status != http.StatusNoContent {
		t.Errorf("a job without its artifacts is handed out: %d", status)
	}
	pl, err := s.Pipeline(t.Context(), p.Path, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"none", "stranger"} {
		if job, err := pl.Job(name); err != nil || job.Status != "failed" || job.FailureReason != "missing_dependency_failure" {
			t.Errorf("%s is %+v, %v", name, job, err)
		}
	}
}
