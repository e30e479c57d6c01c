package heptapodtest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// A test calls New(t, …) instead of Start, and CreateProject(t, …).
func Example() {
	dir, err := os.MkdirTemp("", "forge")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	forge, err := heptapodtest.Start(ctx, heptapodtest.Config{Dir: dir, Fast: true})
	if err != nil {
		log.Fatal(err)
	}
	defer forge.Close()
	project, err := forge.AddProject(ctx, "group/project", "git")
	if err != nil {
		log.Fatal(err)
	}
	runner, err := forge.NewRunnerToken("docker")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(project.Path, project.VCS, runner[:5])
	// Now point a runner at forge.URL with that token, push to
	// project.CloneURL("root") and call forge.WaitPipeline.

	// Output: group/project git glrt-
}
