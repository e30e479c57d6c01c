package runner_test

import (
	"context"
	"fmt"
	"log"

	"github.com/heptaup/hepta/runner"
)

// Runners for a GitLab that runs somewhere else.
func ExampleNew() {
	r, err := runner.New(runner.Config{
		Forge: runner.Forge{URL: "https://gitlab.example.com", Token: runner.NewSecret("glpat-…")},
		Runners: []runner.Runner{
			{Name: "dind", Tags: []string{"docker"}, Concurrent: 2},
			{Name: "socket", Mode: runner.Socket, Tags: []string{"python"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.ContainerName())
	// Output: hepta-runner
}

// Plan says what Up would do; Up does it and waits until the runners are
// online.
func ExampleRunners_Up() {
	r, err := runner.New(runner.Config{
		Stack:   "ci",
		Forge:   runner.Forge{URL: "https://gitlab.example.com", Token: runner.NewSecret("glpat-…")},
		Runners: []runner.Runner{{Name: "dind", Mode: runner.Dind}},
	}, runner.WithHost("ssh://admin@build-1"))
	if err != nil {
		log.Fatal(err)
	}
	plan, err := r.Up(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, op := range plan.Operations {
		fmt.Println(op.Text(), "because", op.Cause)
	}
}

// A config.toml that others have written too keeps what they wrote.
func ExampleMergeConfig() {
	before := []byte(`concurrent = 1 # one at a time

[[runners]]
  name = "mine"
  token = "kept"
  request_concurrency = 2
`)
	after, err := runner.MergeConfig(before, runner.Desired{
		Concurrent: 4, CheckInterval: 3,
		Runners: []runner.Section{{Name: "mine", Set: map[string]any{"limit": 2}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(after))
	// Output:
	// concurrent = 4 # one at a time
	// check_interval = 3
	//
	// [[runners]]
	//   name = "mine"
	//   token = "kept"
	//   request_concurrency = 2
	//   limit = 2
}

func ExampleConfig_Validate() {
	fmt.Println(runner.Config{
		Forge:   runner.Forge{URL: "https://hg.example.org"},
		Runners: []runner.Runner{{Name: "dind", Mode: runner.Dind, MaximumTimeout: 60}},
	}.Validate())
	// Output: read configuration runners[dind].maximum_timeout: 60 seconds are less than the forge allows
}
