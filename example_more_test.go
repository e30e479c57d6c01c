package hepta_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/heptaup/hepta"
)

// Nothing is contacted before it has to be.
func ExampleNew() {
	stack, err := hepta.New(&hepta.Config{
		Stack:    "lab",
		Forge:    hepta.Forge{Host: "hg.example.org"},
		Registry: &hepta.Registry{Host: "registry.example.org"},
		Runners:  []hepta.Runner{{Name: "dind", Tags: []string{"docker"}}, {Name: "socket", Mode: "socket"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer stack.Close()
	cfg := stack.Config()
	fmt.Println(stack.Services(), stack.Forge().URL(), cfg.Data, cfg.TLS.Mode)
	// Output: [traefik socket-proxy heptapod runner] https://hg.example.org /srv/lab internal
}

// Each mistake has its place, for an editor or a form.
func ExampleConfigError() {
	_, err := hepta.Parse("hepta.yaml", []byte("forge: hg.example.org\nrunners:\n  - {name: dind, mode: dnd}\n"))
	var wrong *hepta.ConfigError
	if errors.As(err, &wrong) {
		for _, p := range wrong.Problems {
			fmt.Println(p.Line, p.Path)
		}
	}
	// Output: 3 runners[0].mode
}

// A configuration to begin with.
func ExampleDraft() {
	text, err := hepta.Draft{Forge: "hg.example.org", Registry: "registry.example.org", Runners: []string{"dind"}}.YAML()
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) != "" && !strings.Contains(line, "#") {
			fmt.Print(line)
		}
	}
	// Output:
	// forge: hg.example.org
	// registry: registry.example.org
	// tls: {mode: internal}
	// heptapod:
	//   image: octobus/heptapod:17.8
	//   ssh: 22
	// runners:
	//   - {name: dind, mode: dind, tags: [dind]}
}

// Progress comes while the work is done; what was done comes back in any case.
func ExampleStack_Up() {
	cfg, err := hepta.Load("hepta.yaml")
	if err != nil {
		log.Fatal(err)
	}
	stack, err := hepta.New(cfg, hepta.WithProgress(func(e hepta.Event) { log.Println(e.Resource, e.State, e.Text) }))
	if err != nil {
		log.Fatal(err)
	}
	defer stack.Close()
	done, err := stack.Up(context.Background(), hepta.UpOptions{})
	if done != nil {
		for _, op := range done.Operations {
			fmt.Println(op.Text(), "because", op.Cause)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Status is for monitoring: it looks once and changes nothing.
func ExampleStack_Status() {
	stack, err := hepta.New(&hepta.Config{Forge: hepta.Forge{Host: "hg.example.org"}})
	if err != nil {
		log.Fatal(err)
	}
	defer stack.Close()
	status, err := stack.Status(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range status.Services {
		fmt.Println(s.Name, s.State, s.Health, s.Drift)
	}
}
