package runner

import (
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

func TestRunnersAloneRefuseALargerStack(t *testing.T) {
	r, err := New(Config{Stack: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	ours := func(service string) converge.ObservedContainer {
		return converge.ObservedContainer{Name: "lab-" + service, Service: service}
	}
	s := r.unit().Part.Stack
	company := &converge.Observed{Containers: []converge.ObservedContainer{ours(Service), ours("heptapod")}}
	_, up := converge.Up(&s, company)
	_, down := converge.Down(&s, company, converge.DownOptions{})
	for _, err := range []error{up, down} {
		if !errors.Is(err, converge.ErrOrphans) || !strings.Contains(err.Error(), "lab-heptapod") || strings.Contains(err.Error(), "lab-runner") || fault.Remedy(err) == "" {
			t.Errorf("got %v", err)
		}
	}
	// Without any runner their container is meant to go.
	alone := &converge.Observed{Containers: []converge.ObservedContainer{ours(Service)}}
	if p, err := converge.Up(&s, alone); err != nil || p.Empty() {
		t.Errorf("its own container: %v, %v", p, err)
	}
}
