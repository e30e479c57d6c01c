package runner

import (
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
	_, err = r.refuseCompany(&converge.Observed{Containers: []converge.ObservedContainer{ours(Service), ours("heptapod")}})
	if err == nil || !strings.Contains(err.Error(), "lab-heptapod") || fault.Remedy(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err = r.refuseCompany(&converge.Observed{Containers: []converge.ObservedContainer{ours(Service)}}); err != nil {
		t.Errorf("its own container: %v", err)
	}
}
