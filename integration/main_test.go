package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/heptaup/hepta/integration/stage"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
)

// label is on everything that these tests start on the outer engine.
const label = "hepta.integration"

// newerForge is the release after the default one.
var newerForge = images.HeptapodAt("17.9.0")

// outer is the Engine under everything, made ready once.
var outer struct {
	*stage.Stage
	docker *client.Client
	refs   map[images.Name]images.Ref
	dir    string // goes at the end
}

var say = stage.Say

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	s, err := stage.Open(ctx, label, append(images.Names(), newerForge)...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare integration tests:", err)
		return 1
	}
	outer.Stage, outer.docker, outer.refs = s, s.Docker, s.Refs
	if outer.dir, err = os.MkdirTemp("", "hepta-integration-"); err == nil {
		err = parallelByTurns()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare integration tests:", err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(closeSites(), os.RemoveAll(outer.dir)); err != nil {
		fmt.Fprintln(os.Stderr, "clean up after integration tests:", err)
	}
	if err := s.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "clean up after integration tests:", err)
		return 1
	}
	return code
}

// refs returns the named images.
func refs(names ...images.Name) []images.Ref { return outer.Named(names...) }

// inside starts a sandbox that holds the named images and returns it with a
// client of its engine. Both go when the test ends.
func inside(t *testing.T, c sandbox.Config, names ...images.Name) (*sandbox.Sandbox, *client.Client) {
	t.Helper()
	return outer.Inside(t, c, names...)
}

// started starts a container of testcontainers. It tries again where a port
// that the Engine picked for it is in use: the Engine does not see those of
// outgoing connections.
func started(ctx context.Context, r testcontainers.ContainerRequest) (testcontainers.Container, error) {
	for attempt := 1; ; attempt++ {
		c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{ContainerRequest: r, Started: true})
		if err == nil || attempt == 5 || !strings.Contains(err.Error(), "address already in use") {
			return c, err
		}
		if err := testcontainers.TerminateContainer(c); err != nil {
			return nil, err
		}
	}
}
