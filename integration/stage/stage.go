// Package stage is what end-to-end tests stand on: a Docker Engine with the
// images of package images, and engines inside containers of it. What an
// earlier, killed run left is removed by label.
package stage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/gofrs/flock"

	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/sandbox"
)

// Stage is the Engine under the tests of one package.
type Stage struct {
	Docker *client.Client
	Refs   map[images.Name]images.Ref
	// Label is the key of the label on everything that these tests start on
	// this Engine.
	Label string

	lock *flock.Flock
}

// Open finds the Engine, removes leftovers and makes the images. It waits
// until no other run with the same label is under way on this machine: each
// removes what it finds of others. Close ends the use.
// Tests that are parallel run four at a time at least: they wait for Engines
// more than they compute.
func Open(ctx context.Context, label string, names ...images.Name) (*Stage, error) {
	// A -parallel of the command line is read later, and so has the last word.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		return nil, err
	}
	s := &Stage{Label: label}
	if err := s.alone(ctx); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, names); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	return s, nil
}

func (s *Stage) alone(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find cache directory: %w", err)
	}
	dir := filepath.Join(cache, "hepta")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	s.lock = flock.New(filepath.Join(dir, s.Label+".lock"))
	free, err := s.lock.TryLock()
	if err == nil && !free {
		fmt.Fprintln(os.Stderr, "waiting for another run of these tests to end")
		_, err = s.lock.TryLockContext(ctx, time.Second)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", s.Label, err)
	}
	return nil
}

func (s *Stage) prepare(ctx context.Context, names []images.Name) error {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("make docker client: %w", err)
	}
	if u, err := url.Parse(docker.DaemonHost()); err == nil && u.Scheme == "unix" {
		// Inside a container testcontainers dials the gateway; with a local
		// socket published ports are on this host all the same.
		if err := os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1"); err != nil {
			return err
		}
	}
	// The reaper's image can't be pulled; leftovers go by label.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return err
	}
	s.Docker = docker
	if err := s.sweep(ctx); err != nil {
		return err
	}
	s.Refs, err = images.Ensure(ctx, docker, Say, names...)
	return err
}

// Close removes what the tests left and ends the use of the Engine.
func (s *Stage) Close(ctx context.Context) error {
	defer s.lock.Unlock()
	defer s.Docker.Close()
	return s.sweep(ctx)
}

// sweep removes everything with the label.
func (s *Stage) sweep(ctx context.Context) error {
	if err := sandbox.Sweep(ctx, s.Docker, s.Label); err != nil {
		return err
	}
	labelled := filters.NewArgs(filters.Arg("label", s.Label))
	containers, err := s.Docker.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled})
	if err != nil {
		return fmt.Errorf("list leftovers: %w", err)
	}
	for _, c := range containers {
		err := s.Docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove leftover: %w", err)
		}
	}
	volumes, err := s.Docker.VolumeList(ctx, volume.ListOptions{Filters: labelled})
	if err != nil {
		return fmt.Errorf("list leftovers: %w", err)
	}
	for _, v := range volumes.Volumes {
		if err := s.Docker.VolumeRemove(ctx, v.Name, true); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove leftover: %w", err)
		}
	}
	return nil
}

// Say prints what takes long, without the steps in between.
func Say(e progress.Event) {
	if e.Current == 0 || e.State != progress.Running {
		fmt.Fprintln(os.Stderr, strings.TrimSpace(e.Resource+": "+e.Text))
	}
}

// Named returns the named images.
func (s *Stage) Named(names ...images.Name) []images.Ref {
	var list []images.Ref
	for _, n := range names {
		list = append(list, s.Refs[n])
	}
	return list
}

// Inside starts a sandbox that holds the named images and returns it with a
// client of its engine. Both go when the test ends.
func (s *Stage) Inside(t testing.TB, c sandbox.Config, names ...images.Name) (*sandbox.Sandbox, *client.Client) {
	t.Helper()
	ctx := t.Context()
	c.Image = s.Refs[images.Base].Local
	if c.Name == "" {
		c.Name = SandboxName(t.Name())
	}
	c.Labels = map[string]string{s.Label: t.Name()}
	box, err := sandbox.Start(ctx, s.Docker, c)
	if box != nil {
		t.Cleanup(func() {
			if err := box.Remove(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	docker, err := box.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	if len(names) > 0 {
		if err := images.Copy(ctx, s.Docker, docker, s.Named(names...)...); err != nil {
			t.Fatal(err)
		}
	}
	return box, docker
}

// SandboxName is the name of a sandbox for a test.
func SandboxName(test string) string {
	return "hepta-test-" + strings.ToLower(strings.Map(nameRune, test))
}

func nameRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}
