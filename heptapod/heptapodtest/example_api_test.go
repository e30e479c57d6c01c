package heptapodtest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// What talks to a GitLab's REST API talks to this one with a personal access
// token.
func ExampleServer_MintToken() {
	dir, err := os.MkdirTemp("", "forge")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	forge, err := heptapodtest.Start(ctx, heptapodtest.Config{Dir: dir, Fast: true})
	if err != nil {
		log.Fatal(err)
	}
	defer forge.Close()
	if _, err := forge.AddProject(ctx, "group/project", "hg"); err != nil {
		log.Fatal(err)
	}

	token, err := forge.MintToken(heptapodtest.TokenRequest{User: "root", Name: "tests", Scopes: []string{"api"}})
	if err != nil {
		log.Fatal(err)
	}
	client, err := heptapod.NewClient(forge.URL, heptapod.NewSecret(token), http.DefaultClient)
	if err != nil {
		log.Fatal(err)
	}
	project, _, err := client.Projects.GetProject("group/project", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(project.PathWithNamespace, project.EmptyRepo)
	// Output: group/project true
}

// A runner is made without asking the API; its token is told this once.
func ExampleServer_CreateRunner() {
	dir, err := os.MkdirTemp("", "forge")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	forge, err := heptapodtest.Start(context.Background(), heptapodtest.Config{Dir: dir, Fast: true})
	if err != nil {
		log.Fatal(err)
	}
	defer forge.Close()
	runner, err := forge.CreateRunner(heptapodtest.RunnerRequest{Description: "dind", Tags: []string{"docker"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(runner.ID, runner.Token[:5])
	// Output: 1 glrt-
}
