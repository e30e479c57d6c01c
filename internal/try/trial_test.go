package try

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/sandbox"
)

// onEngine connects to the machine's engine, which these tests need, and makes
// sure that the sandbox of that name is gone before and after.
func onEngine(t *testing.T, name string) *client.Client {
	t.Helper()
	docker, err := engine.Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	sweep := func() {
		if err := sandbox.Sweep(context.Background(), docker, labelTrial+"="+name); err != nil {
			t.Error(err)
		}
	}
	sweep() // what a killed run has left
	t.Cleanup(func() {
		sweep()
		docker.Close()
	})
	return docker
}

// left are the containers and volumes of a sandbox.
func left(t *testing.T, docker *client.Client, name string) (names []string) {
	t.Helper()
	label := filters.NewArgs(filters.Arg("label", labelTrial+"="+name))
	containers, err := docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: label})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		names = append(names, "container "+c.Names[0])
	}
	volumes, err := docker.VolumeList(t.Context(), volume.ListOptions{Filters: label})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Volumes {
		names = append(names, "volume "+v.Name)
	}
	return names
}

// A whole trial with an image of the user's own, which only the machine's
// engine has, over what a killed trial has left.
func TestTrial(t *testing.T) {
	const name, mine = "hepta-try-test", "registry.invalid/mine/heptapod:17.8.1"
	docker := onEngine(t, name)
	made, err := images.Ensure(t.Context(), docker, nil, images.Base, images.Heptapod)
	if err != nil {
		t.Fatal(err)
	}
	if err := docker.ImageTag(t.Context(), made[images.Heptapod].Local, mine); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := docker.ImageRemove(context.Background(), mine, image.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	killed, err := sandbox.Start(t.Context(), docker, sandbox.Config{Name: name, Image: made[images.Base].Local, Labels: map[string]string{labelTrial: name}})
	if err != nil {
		t.Fatal(err)
	}

	var r recorder
	s, err := Run(t.Context(), Options{Name: name, Image: mine, Keep: true, Sink: r.sink})
	if err != nil {
		t.Fatalf("%v\nlast words of the jobs: %q", err, r.texts("log"))
	}
	if !s.OK || len(s.Jobs) != 2 || len(s.Images) != 2 || s.Seconds <= 0 {
		t.Errorf("got %+v", s)
	}
	modes := map[string]string{}
	for _, j := range s.Jobs {
		modes[j.Mode] = j.Status
	}
	if modes["dind"] != "success" || modes["socket"] != "success" {
		t.Errorf("jobs %+v", s.Jobs)
	}
	for _, i := range s.Images {
		if i.Ref == "" || i.Digest == "" {
			t.Errorf("image %+v", i)
		}
	}
	for _, key := range []string{"forge", "project", "registry", "reached_at"} {
		if s.URLs[key] == "" {
			t.Errorf("there is no address of the %s: %v", key, s.URLs)
		}
	}
	if !slices.ContainsFunc(r.events, func(e progress.Event) bool { return e.Text == "remove the sandbox of an earlier trial" }) {
		t.Error("nothing was said of the sandbox that was there")
	}
	if _, err := docker.ContainerInspect(t.Context(), killed.ID); err == nil {
		t.Error("the sandbox of the killed trial is still there")
	}
	box := s.Sandbox
	if box == nil || box.Container != name {
		t.Fatalf("nothing is said of the sandbox: %+v", box)
	}
	got, err := engine.New(docker, nil, nil).Exec(t.Context(), name, engine.ExecOptions{Cmd: []string{"sh", "-c",
		"test -x /usr/local/bin/hepta && cat " + box.Dir + "/hepta.yaml " + box.PasswordFile}})
	if err != nil || got.ExitCode != 0 || !strings.Contains(string(got.Stdout), "image: "+mine+"\n") {
		t.Errorf("hepta is not in the sandbox: exit code %d, %v\n%s", got.ExitCode, err, got.Stderr)
	}
	if err := Down(t.Context(), Options{Name: name}); err != nil {
		t.Fatal(err)
	}
	if l := left(t, docker, name); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

// A trial that is interrupted while its sandbox comes up leaves nothing; with
// Keep it leaves the sandbox, which Down removes.
func TestInterruptedTrial(t *testing.T) {
	const name = "hepta-try-interrupted"
	docker := onEngine(t, name)
	for _, keep := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		started, _ := docker.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("type", "container"), filters.Arg("event", "start"), filters.Arg("container", name))})
		done := make(chan struct{})
		go func() {
			defer close(done)
			select {
			case <-started:
			case <-ctx.Done():
			}
			cancel()
		}()
		s, err := Run(ctx, Options{Name: name, Keep: keep})
		cancel()
		<-done
		if !errors.Is(err, context.Canceled) || s.OK {
			t.Fatalf("got %+v, %v", s, err)
		}
		if l := left(t, docker, name); keep != (len(l) > 0) {
			t.Errorf("with keep %v there is left: %v", keep, l)
		}
	}
	if err := Down(t.Context(), Options{Name: name}); err != nil {
		t.Fatal(err)
	}
	if l := left(t, docker, name); len(l) > 0 {
		t.Errorf("left after down: %v", l)
	}
	var r recorder
	if err := Down(t.Context(), Options{Name: name, Sink: r.sink}); err != nil || len(r.events) != 1 {
		t.Errorf("down again: %v, %v", err, r.events)
	}
}

// What is no sandbox is not touched, whatever its name.
func TestStrangerOfThatName(t *testing.T) {
	const name = "hepta-try-stranger"
	docker := onEngine(t, name)
	made, err := images.Ensure(t.Context(), docker, nil, images.Small)
	if err != nil {
		t.Fatal(err)
	}
	c, err := docker.ContainerCreate(t.Context(), &container.Config{Image: made[images.Small].Local, Cmd: []string{"true"}}, nil, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := docker.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	if err := Down(t.Context(), Options{Name: name}); err == nil {
		t.Error("it was taken for a sandbox")
	}
	if _, err := docker.ContainerInspect(t.Context(), c.ID); err != nil {
		t.Error(err)
	}
}
