package hepta_test

import (
	"context"
	"fmt"
	"log"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// A proxy, a forge and its runners that are described by their own packages,
// as one stack. A Config says the same in fewer words; this is for what it
// cannot say.
func ExampleCombine() {
	front := traefik.Config{Hosts: []string{"hg.example.org"}, TLS: traefik.TLS{Email: "admin@example.org"}}
	proxy, err := traefik.New(front)
	if err != nil {
		log.Fatal(err)
	}
	forge, err := heptapod.New(heptapod.Config{
		Host:   "hg.example.org",
		Labels: traefik.Labels(front, traefik.Route{Name: "forge", Host: "hg.example.org", Port: 80}),
	})
	if err != nil {
		log.Fatal(err)
	}
	// The runners are made with the API token that the forge's Up makes.
	api := func(ctx context.Context, host runner.Host) (runner.API, error) {
		client, err := forge.ClientOn(ctx, host)
		if err != nil {
			return nil, err
		}
		return runner.NewAPI(client), nil
	}
	runners, err := runner.New(runner.Config{
		Forge:   runner.Forge{URL: "https://hg.example.org"},
		Runners: []runner.Runner{{Name: "dind", Mode: runner.Dind, Tags: []string{"docker"}}},
		After:   []string{"container:" + heptapod.Service, string(heptapod.RefToken)},
		Through: []string{"container:" + traefik.Service},
	}, runner.WithAPI(api))
	if err != nil {
		log.Fatal(err)
	}
	stack, err := hepta.Combine([]hepta.Part{proxy, forge, runners}, hepta.WithHost("ssh://admin@build-1"))
	if err != nil {
		log.Fatal(err)
	}
	done, err := stack.Up(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, op := range done.Operations {
		fmt.Println(op.Text(), "because", op.Cause)
	}
}
