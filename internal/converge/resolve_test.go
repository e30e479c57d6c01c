package converge

import (
	"errors"
	"strings"
	"testing"
)

// A service that keeps its image gets new containers from the very image that
// it has, whatever the name means by now, and nothing is pulled.
func TestKeptImage(t *testing.T) {
	s, w := testStack(), newHostModel()
	if err := w.up(s); err != nil {
		t.Fatal(err)
	}
	_, had := w.find("hepta-heptapod").MadeFrom()
	w.rename(s, "sha256:new")
	delete(w.images, "octobus/heptapod:17.8")
	s.container("heptapod").Hostname = "other"
	p, err := Up(s, w.observe(s))
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range p.Operations {
		if op.Kind == PullImage || op.Kind == CreateContainer && (op.Container.Image != had || op.Labels[LabelImageID] != had || !strings.Contains(op.Labels[LabelSpec], "octobus/heptapod:17.8")) {
			t.Errorf("%s: image %s, labels %v", op.Text(), op.Container.Image, op.Labels)
		}
	}
}

// What the host alone knows goes into a copy.
func TestResolved(t *testing.T) {
	s, w := testStack(), newHostModel()
	s.Resolve = append(s.Resolve, func(r *Stack, o *Observed) error {
		if len(o.Containers) > 0 {
			r.Container("traefik").Image, _ = r.Of("traefik", o)[0].MadeFrom()
			r.File("forge/boot").Content = []byte("resolved\n")
		}
		return nil
	})
	if err := w.up(s); err != nil {
		t.Fatal(err)
	}
	s.container("traefik").Image = "traefik:v3.7.0"
	p, err := Up(s, w.observe(s))
	if err != nil {
		t.Fatal(err)
	}
	if text := p.String(); strings.Contains(text, "traefik") || !strings.Contains(text, "forge/boot") {
		t.Error(text)
	}
	if s.container("traefik").Image != "traefik:v3.7.0" || string(s.file("forge/boot").Content) != "e\n" {
		t.Error("the description itself was changed")
	}
	broken := errors.New("broken")
	s.Resolve = append(s.Resolve, func(*Stack, *Observed) error { return broken })
	if _, err := Up(s, w.observe(s)); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}
