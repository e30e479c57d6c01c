package hepta

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/traefik"
)

const (
	// routePatience is how long the proxy may take to find a forge that is ready.
	routePatience = time.Minute
	routePoll     = 500 * time.Millisecond
)

// routed lets both ends wait for the way between them. Traefik gathers what
// happens to containers for two seconds before it takes it over, and until then
// answers for a forge that has just become healthy with 404, 500 or 503.
func (s *Stack) routed(proxy, forge *converge.Container) {
	if s.cfg.routesItself() {
		return
	}
	ready := forge.Ready.Check
	forge.Ready.Check = func(ctx context.Context, host converge.Host) error {
		if err := ready(ctx, host); err != nil {
			return err
		}
		return s.seeRoute(ctx, host)
	}
	proxy.Ready.Check = func(ctx context.Context, host converge.Host) error {
		if ready(ctx, host) != nil {
			return nil // whoever waits for the forge looks
		}
		return s.seeRoute(ctx, host)
	}
}

// routesItself reports whether the configuration has a say in how Traefik finds
// containers; what the proxy answers then is no business of ours.
func (c *Config) routesItself() bool {
	for key := range c.Heptapod.Labels {
		if strings.HasPrefix(strings.ToLower(key), "traefik.") {
			return true
		}
	}
	return slices.ContainsFunc(c.Traefik.Flags, c.replacesRoute)
}

// replacesRoute reports whether a flag changes where the entrypoint that leads
// to the forge listens or whom it talks to, or how Traefik finds containers.
// Anything else of an entrypoint, and other ones, leave the way as it is.
func (c *Config) replacesRoute(flag string) bool {
	name, value, _ := strings.Cut(strings.ToLower(flag), "=")
	entrypoint, port := "websecure", ":443"
	if c.tlsMode() == traefik.TLSOff {
		entrypoint, port = "web", ":80"
	}
	switch name {
	case "--entrypoints." + entrypoint + ".address":
		return value != port && value != port+"/tcp"
	case "--entrypoints." + entrypoint + ".http.tls.options": // may ask for certificates of clients
		return true
	}
	return name == "--providers.docker" || strings.HasPrefix(name, "--providers.docker.")
}

// seeRoute returns once the forge answers through the proxy. It asks from the
// forge's container: no name has to be known to a DNS server for that. A proxy
// that does not answer at all may still be coming; one that has answered and
// goes on to refuse has not been told of the forge, and will not be.
func (s *Stack) seeRoute(ctx context.Context, host converge.Host) error {
	ask := s.routeQuestion()
	for until := time.Now().Add(routePatience); ; {
		result, err := host.Exec(ctx, heptapod.Service, ask, nil)
		status := strings.TrimSpace(string(result.Stdout))
		switch {
		case err != nil:
			return fmt.Errorf("ask the proxy for the forge: %w", err)
		case result.ExitCode != 0:
			return fmt.Errorf("ask the proxy for the forge: %s", strings.TrimSpace(string(result.Stderr)))
		case status != "404" && status < "500":
			return nil
		case time.Now().After(until):
			return &fault.Error{Op: "reach the forge through", What: traefik.Name(s.cfg.Stack),
				Why:    fmt.Sprintf("the forge has been ready for %s, and the proxy does not lead there: it answers %s", routePatience, status),
				Remedy: "See what the proxy says: hepta logs --tail 50 traefik", Err: converge.ErrHopeless}
		}
		pause := time.NewTimer(routePoll)
		select {
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		case <-pause.C:
		}
	}
}

// routeQuestion asks for the sign-in page as a browser does, but for the
// certificate: that is looked at elsewhere.
func (s *Stack) routeQuestion() []string {
	scheme, port := "https", "443"
	if s.cfg.tlsMode() == traefik.TLSOff {
		scheme, port = "http", "80"
	}
	name, prefix := s.cfg.Heptapod.Host, ""
	if u, err := url.Parse(s.forge.URL()); err == nil {
		prefix = strings.TrimRight(u.Path, "/")
	}
	return []string{
		"curl", "--silent", "--show-error", "--insecure", "--noproxy", "*", "--max-time", "20",
		"--output", "/dev/null", "--write-out", "%{http_code}",
		"--connect-to", name + ":" + port + ":" + traefik.Name(s.cfg.Stack) + ":" + port,
		scheme + "://" + name + prefix + "/users/sign_in",
	}
}
