package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/internal/converge"
)

// talking is an Engine whose containers have these logs, as they are sent.
type talking struct {
	*parting
	logs map[string]func(context.Context) (io.ReadCloser, error)
}

func (a *talking) ContainerLogs(ctx context.Context, id string, _ container.LogsOptions) (io.ReadCloser, error) {
	if err := a.call(ctx, "logs %s", id); err != nil {
		return nil, err
	}
	return a.logs[id](ctx)
}

// frame is what an Engine sends of one line.
func frame(line string) string {
	head := [8]byte{2}
	binary.BigEndian.PutUint32(head[4:], uint32(len(line)))
	return string(head[:]) + line
}

func sent(text string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

// Only running containers of services that ask for it are listened to, and
// whatever an Engine gives as a log, the rest is seen, and soon.
func TestListen(t *testing.T) {
	const at = "2026-01-31T12:00:00.5Z "
	service := func(id, name, state string) container.Summary {
		c := showing(id, map[string]string{converge.LabelService: name})
		c.State = state
		return c
	}
	list := []container.Summary{service("good", "a", "running"), service("ended", "a", "exited"), service("other", "b", "running"),
		service("broken", "a", "running"), service("refused", "a", "running"), service("long", "a", "running"), service("stuck", "a", "running")}
	f := &talking{parting: &parting{fake: newFake(), lists: [][]container.Summary{list}}, logs: map[string]func(context.Context) (io.ReadCloser, error){
		"good":   sent(frame(at+"first line\r\n") + frame("no time\n") + frame(at+"second\n") + frame(at+"cut")),
		"broken": sent(frame(at+"before\n") + "TTY output, no frames at all"),
		"refused": func(context.Context) (io.ReadCloser, error) {
			return nil, errors.New("driver does not support reading")
		},
		"long": sent(strings.Repeat(frame(at+strings.Repeat("x", 1000)+"\n"), 3000)),
		"stuck": func(ctx context.Context) (io.ReadCloser, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}}
	s := &converge.Stack{Name: "lab", Containers: []converge.Container{{Service: "a", Listen: converge.Listen{Lines: 5}}, {Service: "b"}}}
	began := time.Now()
	o, err := New(f, nil, nil).Observe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*listenTime {
		t.Errorf("it took %s", took)
	}
	heard := map[string]string{}
	for _, c := range o.Containers {
		for _, l := range c.Heard {
			heard[c.ID] += l.Text + "|"
		}
	}
	if heard["good"] != "first line|second|" || heard["broken"] != "before|" || heard["refused"] != "" || heard["stuck"] != "" {
		t.Errorf("heard %.200q", heard)
	}
	if n := len(heard["long"]); n == 0 || n > maxHeard {
		t.Errorf("of a long log %d bytes were taken", n)
	}
	if f.did("logs ended") || f.did("logs other") {
		t.Errorf("calls %v", f.calls)
	}
}
