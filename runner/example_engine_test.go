package runner_test

import (
	"context"
	"fmt"
	"log"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/runner"
)

// An image from the current directory, built in a container like that of a
// job and pushed with the credentials of this machine's docker configuration.
func ExampleBuild() {
	built, err := runner.Build(context.Background(), runner.BuildOptions{
		Mode: runner.Rootless,
		Tags: []string{"registry.example.org/group/project:latest"},
		Push: true,
	}, runner.WithHost("ssh://admin@build-1"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(built.Reference)
}

// What jobs have left on an Engine; with Force it would be removed.
func ExamplePrune() {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		log.Fatal(err)
	}
	defer docker.Close()
	found, err := runner.Prune(context.Background(), docker, runner.PruneOptions{KeepCaches: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range found.Leftovers {
		if l.Kept == "" {
			fmt.Println(l.Kind, l.Name, l.Bytes)
		}
	}
}
