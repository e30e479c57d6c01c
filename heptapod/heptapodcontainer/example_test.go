package heptapodcontainer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/testcontainers/testcontainers-go"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/heptapod/heptapodcontainer"
	"github.com/heptaup/hepta/runner"
)

// The README shows the body of this example.
func ExampleRun() {
	ctx := context.Background()
	forge, err := heptapodcontainer.Run(ctx, "octobus/heptapod:17.8",
		heptapodcontainer.WithRunner("octobus/heptapod-runner:latest", heptapodcontainer.WithJobImage("alpine:3")),
	)
	defer testcontainers.TerminateContainer(forge) // in a test: CleanupContainer(t, forge)
	if err != nil {
		log.Print(err)
		return
	}
	client, err := forge.Client(ctx) // as root
	if err != nil {
		log.Print(err)
		return
	}
	project, _, err := client.Projects.CreateProject(&gitlab.CreateProjectOptions{Name: gitlab.Ptr("things")})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(project.WebURL) // hg push forge.CloneURL("root/things"): the runner takes its jobs
}

// Jobs with the Engine's socket build images and push them to the forge's
// registry.
func ExampleWithRegistry() {
	ctx := context.Background()
	forge, err := heptapodcontainer.Run(ctx, "gitlab/gitlab-ce:17.8.1-ce.0",
		heptapodcontainer.WithRegistry(),
		heptapodcontainer.WithRunner("gitlab/gitlab-runner:v17.8.1",
			heptapodcontainer.WithMode(runner.Socket), heptapodcontainer.WithTags("docker")),
		heptapodcontainer.WithGitLabRB("gitlab_rails['time_zone'] = 'Europe/Rome'"),
	)
	defer testcontainers.TerminateContainer(forge)
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Printf("docker login -u root --password-stdin %s\n", forge.Registry())
}
