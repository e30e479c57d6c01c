package runner

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// When the time is up in the middle of a look, what the look before it has
// found is what is told.
func TestLookThatIsCutShort(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"})
	r := runners(t, cfg)
	r.patience = 0 // no pause between looks
	m.says = unplugged
	if _, err := m.apply(r); !errors.Is(err, ErrUnreached) {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	slow := slowMachine{machine: m, cut: cancel}
	if err := r.reaches(ctx, slow); !errors.Is(err, ErrUnreached) || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("got %v", err)
	}
}

// slowMachine is one on which a container does not come to an end in time.
type slowMachine struct {
	*machine
	cut func()
}

func (s slowMachine) Run(ctx context.Context, _ converge.OneOff) ([]byte, error) {
	s.cut()
	<-ctx.Done()
	return nil, ctx.Err()
}
