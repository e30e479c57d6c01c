package hepta

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/traefik"
)

// Route publishes a service of a container through the proxy.
type Route = traefik.Route

// Labels are what a container that is not the stack's has to carry so that the
// stack's proxy publishes it. They hold the stack's proof, which the proxy asks
// for and no image can know: keep them out of images and public repositories.
// The stack has to be there.
func (s *Stack) Labels(ctx context.Context, routes ...Route) (map[string]string, error) {
	refuse := func(what, why, remedy string) error {
		return &fault.Error{Op: "publish", What: what, Why: why, Remedy: remedy}
	}
	if s.cfg.isExternal() {
		return nil, refuse("stack "+s.cfg.Stack, "it has no proxy: its forge is external, at "+s.cfg.Forge.URL, "Publish it through the proxy of that forge.")
	}
	taken := s.published()
	for _, r := range routes {
		if err := r.Validate(); err != nil {
			return nil, err
		}
		if slices.Contains(s.cfg.traefik().Hosts, r.Host) {
			return nil, refuse(r.Host, "the stack itself is published under that name", "Give the service a name of its own.")
		}
		if _, is := taken["traefik.http.routers."+r.Name+".rule"]; is {
			return nil, refuse(r.Host, fmt.Sprintf("the router %s is the stack's own", r.Name), "Name another one: --name.")
		}
	}
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := e.Proof(ctx, &converge.Stack{Name: s.cfg.Stack, Data: s.cfg.Data})
	if err != nil {
		return nil, fmt.Errorf("publish through stack %s: %w", s.cfg.Stack, err)
	}
	labels := traefik.Labels(s.cfg.traefik(), routes...)
	maps.Copy(labels, map[string]string{converge.LabelProof: proof})
	return labels, nil
}

// published are the labels by which the proxy publishes the stack itself.
func (s *Stack) published() map[string]string {
	for _, c := range s.want.Containers {
		if c.Service == heptapod.Service {
			return c.Labels
		}
	}
	return nil
}

// RouteName is a name for the route of a host that no other host's route has.
func RouteName(host string) string { return strings.ReplaceAll(host, ".", "-") }
