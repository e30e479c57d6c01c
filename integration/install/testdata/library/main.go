// This program is what somebody writes who brings parts of a stack up from Go,
// in a module that requires github.com/heptaup/hepta. Its argument says which.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/registry"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// Names of images and of the forge.
const (
	proxyImage  = "traefik:v3.6.12"
	forgeImage  = "octobus/heptapod:17.8"
	runnerImage = "gitlab/gitlab-runner:latest"
	mirrorImage = "registry:3"
	forgeHost   = "hg.library.test"
)

// unit is what all parts have in common.
type unit interface {
	Plan(context.Context) (*hepta.Plan, error)
	Up(context.Context) (*hepta.Plan, error)
	Down(context.Context) (*hepta.Plan, error)
}

// mirror binds the options of a registry.Mirror.
type mirror struct{ registry.Mirror }

func (m mirror) Plan(ctx context.Context) (*registry.Plan, error) { return m.Mirror.Plan(ctx) }
func (m mirror) Up(ctx context.Context) (*registry.Plan, error)   { return m.Mirror.Up(ctx) }
func (m mirror) Down(ctx context.Context) (*registry.Plan, error) { return m.Mirror.Down(ctx) }

func main() {
	log.SetFlags(0)
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, verb, name string) error {
	if verb == "labels" { // for a container of somebody else, which the proxy publishes
		proxy, err := traefik.New(front("proxy"))
		if err != nil {
			return err
		}
		labels, err := proxy.Labels(ctx, traefik.Route{Name: "page", Host: name, Port: 80})
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(labels)
	}
	u, err := describe(name)
	if err != nil {
		return err
	}
	if verb == "down" {
		_, err = u.Down(ctx)
		return err
	}
	done, err := u.Up(ctx)
	if err != nil {
		return fmt.Errorf("%w\n%v", err, done)
	}
	if done.Empty() {
		return errors.New("there was nothing to do")
	}
	again, err := u.Plan(ctx)
	if err != nil {
		return err
	}
	if !again.Empty() {
		return fmt.Errorf("after up there is still something to do:\n%s", again)
	}
	fmt.Println(name, "is up")
	return nil
}

func front(stack string) traefik.Config {
	return traefik.Config{Stack: stack, Network: "web", Image: proxyImage, TLS: traefik.TLS{Mode: traefik.TLSOff}}
}

var route = traefik.Route{Name: "forge", Host: forgeHost, Port: 80}

// forgeOf is the forge, published by the proxy of its stack or by a port.
func forgeOf(stack string, labels map[string]string, ports ...heptapod.Port) (*heptapod.Forge, error) {
	return heptapod.New(heptapod.Config{
		Stack: stack, Network: "web", Image: forgeImage, Host: forgeHost, Plain: true, Labels: labels, Ports: ports,
	}, heptapod.WithProgress(func(e heptapod.Event) { log.Println(e.Resource, e.State, e.Text) }))
}

func aloneForge() (*heptapod.Forge, error) {
	return forgeOf("forge", nil, heptapod.Port{Number: 80})
}

func runnersOf(stack string, api runner.Connect, change ...func(*runner.Config)) (*runner.Runners, error) {
	cfg := runner.Config{
		Stack: stack, Network: "web", Image: runnerImage, CheckInterval: 1, DrainSeconds: 5, HostNames: []string{forgeHost},
		Forge:   runner.Forge{URL: "http://" + forgeHost},
		Runners: []runner.Runner{{Name: stack, Mode: runner.Plain, Image: "docker:26", Docker: map[string]any{"pull_policy": "if-not-present"}}},
	}
	for _, f := range change {
		f(&cfg)
	}
	return runner.New(cfg, runner.WithAPI(api))
}

func mirrorOf(stack string, port int) registry.Mirror {
	return registry.Mirror{Stack: stack, Network: "web", Image: mirrorImage, Remote: "http://upstream:5000", Port: port}
}

func describe(name string) (unit, error) {
	switch name {
	case "proxy":
		return traefik.New(front("proxy"), traefik.WithProgress(func(e traefik.Event) { log.Println(e.Resource, e.State, e.Text) }))
	case "forge":
		return aloneForge()
	case "runners":
		forge, err := aloneForge()
		if err != nil {
			return nil, err
		}
		return runnersOf("runners", func(ctx context.Context, _ runner.Host) (runner.API, error) {
			client, err := forge.Client(ctx)
			if err != nil {
				return nil, err
			}
			return runner.NewAPI(client), nil
		})
	case "mirror":
		return mirror{mirrorOf("mirror", 5088)}, nil
	case "together":
		return together()
	}
	return nil, fmt.Errorf("there is no %s", name)
}

// together is one stack of all parts.
func together() (unit, error) {
	const stack = "together"
	proxy, err := traefik.New(front(stack))
	if err != nil {
		return nil, err
	}
	forge, err := forgeOf(stack, traefik.Labels(front(stack), route))
	if err != nil {
		return nil, err
	}
	runners, err := runnersOf(stack, func(ctx context.Context, host runner.Host) (runner.API, error) {
		client, err := forge.ClientOn(ctx, host)
		if err != nil {
			return nil, err
		}
		return runner.NewAPI(client), nil
	}, func(c *runner.Config) {
		c.After = []string{"container:" + heptapod.Service, string(heptapod.RefToken)}
		c.Through = []string{"container:" + traefik.Service}
	})
	if err != nil {
		return nil, err
	}
	return hepta.Combine([]hepta.Part{proxy, forge, runners, mirrorOf(stack, 5089)},
		hepta.WithProgress(func(e hepta.Event) { log.Println(e.Resource, e.State, e.Text) }))
}
