package traefik

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// chmodHost runs one-off containers only.
type chmodHost struct {
	converge.Host
	ran  []converge.OneOff
	said string
	err  error
}

func (h *chmodHost) Run(_ context.Context, o converge.OneOff) ([]byte, error) {
	h.ran = append(h.ran, o)
	return nil, h.err
}

func (h *chmodHost) Progress(text string) { h.said += text }

// The proxy's logs of an earlier release are closed to everybody but root
// before the container that writes them goes, and only then.
func TestOldLogsAreClosed(t *testing.T) {
	p, err := New(Config{TLS: TLS{Mode: TLSOff}})
	if err != nil {
		t.Fatal(err)
	}
	then := p.cfg.container()
	then.Mounts = append(then.Mounts, converge.Mount{Kind: converge.Data, Source: logSource, Target: logDir})
	box := func(spec converge.Container, service string) *converge.Observed {
		return &converge.Observed{Containers: []converge.ObservedContainer{{ID: "c", Name: "hepta-traefik", State: "running", Service: service, Labels: map[string]string{
			converge.LabelSpec: spec.Spec()}}}}
	}
	for name, o := range map[string]*converge.Observed{"nothing there": {}, "of this release": box(p.cfg.container(), Service), "of somebody else": box(then, "")} {
		if tasks, err := p.decideOldLogs(o); err != nil || len(tasks) > 0 {
			t.Errorf("%s: %v, %v", name, tasks, err)
		}
	}
	s := p.resources()
	plan, err := converge.Up(&s, box(then, Service))
	if err != nil {
		t.Fatal(err)
	}
	closed, stopped := -1, -1
	for _, o := range plan.Operations {
		switch {
		case o.Kind == converge.RunTask:
			closed = o.ID
		case o.Kind == converge.StopContainer:
			stopped = o.ID
		}
	}
	if closed < 0 || stopped < closed {
		t.Errorf("they are not closed before the old container stops:\n%s", plan)
	}
	tasks, err := p.decideOldLogs(box(then, Service))
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	h := &chmodHost{}
	if err := tasks[0].Run(t.Context(), h); err != nil || len(h.ran) != 1 || h.ran[0].Container.Mounts[0].Source != logSource || h.said != "" {
		t.Errorf("%v, %+v, %q", err, h.ran, h.said)
	}
	h.err = errors.New("no chmod there")
	if err := tasks[0].Run(t.Context(), h); err != nil || !strings.Contains(h.said, "sudo chmod 0700 /srv/hepta/traefik/logs") {
		t.Errorf("an upgrade fails for it: %v, said %q", err, h.said)
	}
}
