package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/internal/converge"
)

// A container of its own runs with its files and names, is waited for, and
// leaves nothing, also when nobody waits to its end.
func TestRunOnce(t *testing.T) {
	needImage(t)
	docker := dialTest(t)
	s := &converge.Stack{Name: fmt.Sprintf("once%d", os.Getpid())}
	l := &Lock{e: New(docker, slog.New(slog.DiscardHandler), nil), s: s}
	name := s.Name + "-once"
	run := func(ctx context.Context, script string) (string, error) {
		out, err := l.runOnce(ctx, converge.OneOff{
			Container: converge.Container{Name: name, Image: testImage, Entrypoint: []string{"sh", "-c"}, Cmd: []string{script}, Env: []string{"WORD=env"}, ExtraHosts: []string{"some.test:10.0.0.5"}},
			Files:     map[string]string{"/word": "file\n"},
		})
		return string(out), err
	}
	gone := func(when string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			_, err := docker.ContainerInspect(t.Context(), name)
			if errdefs.IsNotFound(err) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s it is still there: %v", when, err)
			}
			if err := sleep(t.Context(), 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}

	out, err := run(t.Context(), "cat /word; echo $WORD; while read a n; do test \"$n\" != some.test || echo $a; done </etc/hosts; echo wrong >&2; exit 3")
	// Output and errors come by ways of their own, in no certain order.
	lines := strings.Fields(out)
	slices.Sort(lines)
	if err != nil || !slices.Equal(lines, []string{"10.0.0.5", "env", "file", "wrong"}) {
		t.Errorf("got %q, %v", out, err)
	}
	gone("after its end")

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := run(ctx, "echo begun; sleep 600"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that takes too long: %v", err)
	}
	gone("after nobody waits")

	// A container of somebody else that has the name stays.
	create := func(labels map[string]string) string {
		t.Helper()
		made, err := translate(s, &converge.Container{Image: testImage, Entrypoint: []string{"sleep"}, Cmd: []string{"600"}}, labels, "", docker)
		if err != nil {
			t.Fatal(err)
		}
		c, err := docker.ContainerCreate(t.Context(), made.config, made.host, nil, nil, name)
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	other := create(nil)
	if _, err := run(t.Context(), "echo again"); err == nil || !strings.Contains(err.Error(), "belongs to a container of somebody else") {
		t.Errorf("with a container of somebody else in the way: %v", err)
	}
	if err := docker.ContainerRemove(t.Context(), other, container.RemoveOptions{}); err != nil {
		t.Errorf("the container of somebody else: %v", err)
	}

	// What a killed process has left is in nobody's way.
	create(map[string]string{converge.LabelStack: s.Name, labelOnce: "true"})
	if out, err := run(t.Context(), "echo again"); err != nil || out != "again\n" {
		t.Errorf("after one that was left: %q, %v", out, err)
	}
	gone("at the end")
}
