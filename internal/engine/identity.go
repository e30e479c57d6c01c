package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// observeIdentity looks whose the data directory is: through the lock of the
// caller, else through any container that mounts the file, of this stack or of
// the one that the directory belongs to. Under a lock a directory that is
// nobody's gets the identity that claim writes.
func (e *Engine) observeIdentity(ctx context.Context, s *converge.Stack, o *converge.Observed, lock string) error {
	if s.Data == "" {
		return nil
	}
	id, inside, proof := identityWindow(s, o.Containers, lock)
	if id == "" {
		return nil
	}
	// Most often it is what the containers were made with, which one look at
	// its metadata tells.
	likely := converge.Identity{Stack: s.Name, Forge: s.Forge, ID: proof}
	seen, err := e.observeContent(ctx, view{file: converge.File{Content: likely.Encode()}, inside: inside}, id)
	if err != nil {
		if ctx.Err() == nil && id != lock && e.leaving(ctx, id) {
			err = fmt.Errorf("%w: %w", errContainerGone, err)
		}
		return fmt.Errorf("look at file %s: %w", converge.FileIdentity, err)
	}
	o.Identity = converge.IdentityIn(seen)
	if !seen.Exists && id == lock {
		o.Identity.Identity = converge.Identity{Stack: s.Name, Forge: s.Forge, ID: rand.Text()}
	}
	return nil
}

// identityWindow finds a container that shows the identity file, where it lies
// in there, and the proof that the file is likely to hold. An image has no say
// in what is mounted, so labels are not asked.
func identityWindow(s *converge.Stack, containers []converge.ObservedContainer, lock string) (id, inside, proof string) {
	file := s.FilePath(converge.FileIdentity)
	for _, c := range containers {
		for _, m := range c.Mounts {
			if m.Volume != "" || m.Source != file || !m.ReadOnly || c.State == container.StateDead || c.State == container.StateRemoving {
				continue
			}
			proof = cmp.Or(proof, c.Labels[converge.LabelProof])
			if id == "" {
				id, inside = c.ID, m.Target
			}
		}
	}
	for _, c := range containers {
		if at, ok := shows(s, c, converge.FileIdentity); ok && c.ID == lock {
			id, inside = c.ID, at
		}
	}
	return id, inside, proof
}

// identify refuses a data directory that is another stack's, for work outside
// a plan.
func (l *Lock) identify(ctx context.Context) error {
	if l.s.Data == "" {
		return nil
	}
	seen, err := l.look(ctx, converge.FileIdentity)
	if err != nil || !seen.Exists {
		return err
	}
	o := converge.IdentityIn(seen)
	l.proof = o.ID
	return l.s.CheckIdentity(&converge.Observed{Identity: o})
}

// claim writes the identity of a data directory that had none, or had one of
// the stack's old name. From then on the directory is the stack's.
func (l *Lock) claim(ctx context.Context, i converge.ObservedIdentity) error {
	if !i.Looked || i.Exists && i.Stack == l.s.Name && (i.Forge == l.s.Forge || !l.s.Allow.Renamed) {
		return nil
	}
	i.Stack, i.Forge = l.s.Name, l.s.Forge
	if i.ID == "" {
		return errors.New("claim data directory: no identity was made")
	}
	return l.WriteFile(ctx, converge.FileIdentity, i.Encode(), 0o600, 0, 0)
}

// Proof is the proof of a stack that has been brought up: what others put on
// their containers so that its proxy believes their labels.
func (e *Engine) Proof(ctx context.Context, s *converge.Stack) (string, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return "", unreachable("list containers", err)
	}
	var o converge.Observed
	for _, c := range list {
		o.Containers = append(o.Containers, observedContainer(c))
	}
	if err := e.observeIdentity(ctx, s, &o, ""); err != nil {
		return "", err
	}
	s.Recognize(&o)
	if err := s.CheckIdentity(&o); err != nil {
		return "", err
	}
	if o.Identity.ID == "" {
		return "", &fault.Error{Op: "read proof of stack", What: s.Name, Why: "it has none yet", Remedy: "Bring the stack up: hepta up"}
	}
	return o.Identity.ID, nil
}
