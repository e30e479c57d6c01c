package heptapodcontainer_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/heptaup/hepta/integration/stage"
	"github.com/heptaup/hepta/internal/images"
)

// outer is the Engine under the tests.
var outer *stage.Stage

// forgeImage names the stand-in as the image that it stands for is named: the
// tag says which release it is.
const forgeImage = "hepta.invalid/heptapodcontainer/heptapod:" + images.DefaultHeptapodVersion

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	fail := func(what string, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
			code = 1
		}
	}
	// Every container that the package starts has this label.
	s, err := stage.Open(ctx, "heptapodcontainer.url", images.Heptapod, images.Runner, images.Helper, images.DockerCLI, images.Small)
	if err != nil {
		fail("prepare tests", err)
		return code
	}
	outer = s
	defer func() { fail("clean up after tests", s.Close(ctx)) }()
	if err := s.Docker.ImageTag(ctx, s.Refs[images.Heptapod].Local, forgeImage); err != nil {
		fail("name stand-in", err)
		return code
	}
	defer func() {
		_, err := s.Docker.ImageRemove(ctx, forgeImage, image.RemoveOptions{})
		fail("take name from stand-in", err)
	}()
	if failed := m.Run(); failed != 0 {
		code = failed
	}
	return code
}
