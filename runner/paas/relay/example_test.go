package relay_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/heptaup/hepta/runner/paas"
	"github.com/heptaup/hepta/runner/paas/relay"
)

// On a host of its own: one job, in the GitLab Runner that is installed there.
func ExampleRelay_Run() {
	config, err := os.ReadFile("runner.toml")
	if err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile("job.json")
	if err != nil {
		log.Fatal(err)
	}
	job, err := paas.ParseJob(text)
	if err != nil {
		log.Fatal(err)
	}
	outcome, err := relay.Relay{Config: config, Job: job, Dir: "/var/lib/relay", Output: os.Stdout}.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome)
}
