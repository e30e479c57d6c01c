package hepta_test

import (
	"context"
	"fmt"
	"log"

	"github.com/heptaup/hepta"
)

// A forge from Go: what would be done, then doing it.
func Example() {
	ctx := context.Background()
	stack, err := hepta.New(&hepta.Config{
		Forge:    hepta.Forge{Host: "hg.example.org"},
		Registry: &hepta.Registry{Host: "registry.example.org"},
		ACME:     &hepta.ACME{Email: "admin@example.org"},
		Runners:  []hepta.Runner{{Name: "dind", Mode: "dind", Tags: []string{"docker"}}},
	}, hepta.WithHost("ssh://admin@vm-1"))
	if err != nil {
		log.Fatal(err)
	}
	defer stack.Close()
	plan, err := stack.Plan(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(plan)
	if _, err := stack.Up(ctx, hepta.UpOptions{}); err != nil {
		log.Fatal(err)
	}
}

// Everything that is wrong with a configuration is told at once.
func ExampleParse() {
	_, err := hepta.Parse("hepta.yaml", []byte("forge: https://hg.example.org\nregstry: registry.example.org\n"))
	fmt.Println(err)
	// Output:
	// hepta.yaml:1:8: forge.host: "https://hg.example.org" is a URL: write the host name alone
	// hepta.yaml:2:1: unknown key "regstry": did you mean "registry"?
}
