package heptapodtest_test

import (
	"testing"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// The README shows the body of this test.
func TestTheReadmesExample(t *testing.T) {
	forge := heptapodtest.New(t)
	project := forge.CreateProject(t, "group/project", "git") // or "hg"
	clone, err := project.CloneURL("root")
	if err != nil {
		t.Fatal(err)
	}
	pushJob(t, clone) // your tool, with a .gitlab-ci.yml of one job
	pipeline, err := forge.Await(t.Context(), project.Path, "main", func(p *heptapodtest.Pipeline) bool {
		return len(p.Jobs) == 1
	})
	if err != nil {
		t.Fatal(err)
	}
	if job := pipeline.Jobs[0]; job.Name != "build" || job.Status != "pending" {
		t.Errorf("the forge made %+v", job)
	}
}

// pushJob pushes a branch main with a job to a repository.
func pushJob(t *testing.T, to string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/.gitlab-ci.yml", "build:\n  script: [make]\n")
	run(t, dir, "git", "init", "-q")
	run(t, dir, "git", "add", ".")
	run(t, dir, "git", "commit", "-q", "-m", "first")
	run(t, dir, "git", "push", "-q", to, "HEAD:main")
}
