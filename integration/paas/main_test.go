// Package paas runs jobs on hosts that exist only for them, with real parts: a
// real runner on a nested engine, real Git remotes over TLS, real images.
package paas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/integration/stage"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
)

// outer is the Engine under everything, and in a sandbox of it the one for
// hosts and their jobs.
var outer struct {
	*stage.Stage
	machines *client.Client
	// socket leads to the engine for hosts, by this path here and there: a
	// manager and its hosts mount the same one.
	socket string
	served io.Closer
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "tests of on-demand runners:", err)
		return 1
	}
	s, err := stage.Open(ctx, "hepta.paas.integration", images.Base, images.Small, images.Helper, images.Host)
	if err != nil {
		return fail(err)
	}
	outer.Stage = s
	code := 1
	if err = open(ctx); err == nil {
		code = m.Run()
	}
	if err := errors.Join(err, shut(), s.Close(ctx)); err != nil {
		return fail(err)
	}
	return code
}

func open(ctx context.Context) error {
	outer.socket = fmt.Sprintf("/run/hepta-paas-%d.sock", os.Getpid())
	box, err := sandbox.Start(ctx, outer.Docker, sandbox.Config{
		Name: "hepta-test-paas", Image: outer.Refs[images.Base].Local, Args: []string{"--host=unix://" + outer.socket},
		Labels: map[string]string{outer.Label: "machines"},
	})
	if err != nil {
		return err
	}
	if outer.machines, err = box.Client(); err != nil {
		return err
	}
	if outer.served, err = box.Serve(ctx, outer.socket); err != nil {
		return err
	}
	return images.Copy(ctx, outer.Docker, outer.machines, outer.Named(images.Small, images.Helper, images.Host)...)
}

// shut ends the use of the sandbox, which goes by its label.
func shut() (err error) {
	if outer.served != nil {
		err = outer.served.Close()
		_ = os.Remove(outer.socket)
	}
	if outer.machines != nil {
		err = errors.Join(err, outer.machines.Close())
	}
	return err
}
