package heptapod_test

import (
	"context"
	"fmt"
	"log"

	"github.com/heptaup/hepta/heptapod"
)

// A forge alone, without a proxy in front of it, and its REST API.
func ExampleForge_Up() {
	ctx := context.Background()
	forge, err := heptapod.New(heptapod.Config{
		Host: "hg.example.org", Plain: true, Ports: []heptapod.Port{{Number: 80}},
	}, heptapod.WithProgress(func(e heptapod.Event) { log.Println(e.Resource, e.State, e.Text) }))
	if err != nil {
		log.Fatal(err)
	}
	defer forge.Close()
	if _, err := forge.Up(ctx); err != nil {
		log.Fatal(err)
	}
	client, err := forge.Client(ctx)
	if err != nil {
		log.Fatal(err)
	}
	version, _, err := client.Version.GetVersion()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(version.Version)
}
