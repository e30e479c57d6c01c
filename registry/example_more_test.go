package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/registry"
)

// What the registry of one project holds, by the forge's API.
func ExampleList() {
	client, err := heptapod.NewClient("https://hg.example.org", heptapod.NewSecret("glpat-…"), nil)
	if err != nil {
		log.Fatal(err)
	}
	list, err := registry.List(context.Background(), client, registry.ListOptions{Project: "group/project"})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range list {
		for _, tag := range r.Tags {
			fmt.Println(r.Path, tag.Name, tag.Size, tag.Digest)
		}
	}
}

// The registry's garbage is collected by its own program in the forge's
// container. The registry stands still meanwhile.
func ExampleCollect() {
	ctx := context.Background()
	forge, err := heptapod.New(heptapod.Config{Host: "hg.example.org"})
	if err != nil {
		log.Fatal(err)
	}
	defer forge.Close()
	run := func(ctx context.Context, out io.Writer, cmd ...string) (int, error) {
		result, err := forge.Exec(ctx, nil, cmd...)
		if err != nil {
			return 0, err
		}
		_, err = out.Write(append(result.Stdout, result.Stderr...))
		return result.ExitCode, err
	}
	if err := registry.Collect(ctx, run, os.Stdout, registry.CollectOptions{DryRun: true}); err != nil {
		log.Fatal(err)
	}
}

// A mirror of Docker Hub by itself, where only the containers of its Docker
// host reach it.
func ExampleMirror_Up() {
	mirror := registry.Mirror{Stack: "mirror", Network: "mirror", Days: 30}
	if _, err := mirror.Up(context.Background(), registry.WithHost("ssh://admin@build-1")); err != nil {
		log.Fatal(err)
	}
}
