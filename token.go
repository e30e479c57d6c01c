package hepta

import (
	"context"
	"fmt"
	"time"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

// RenewToken makes a new API token of an administrator of the forge, keeps it
// on the host and revokes the one before. It returns the day on which the new
// one ends. Rails boots for it, which takes a minute or two.
func (s *Stack) RenewToken(ctx context.Context) (ends time.Time, err error) {
	if s.cfg.isExternal() {
		return time.Time{}, &fault.Error{Op: "renew API token of", What: "stack " + s.cfg.Stack, Why: "the forge is external, at " + s.cfg.Forge.URL,
			Remedy: "Make a token with scope api there, and put it into the file that forge.token_file names."}
	}
	token, err := s.forge.RenewToken(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("renew API token of stack %s: %w", s.cfg.Stack, err)
	}
	return token.Expires, nil
}

// tokenNotes say what is wrong with the API token that a snapshot has seen. A
// forge that serves is asked whether it takes it: nothing else tells.
func (s *Stack) tokenNotes(ctx context.Context, o *converge.Observed, plan *Plan) []string {
	if s.cfg.isExternal() {
		return nil
	}
	for _, op := range plan.Operations {
		if op.Task != nil && op.Task.Ref == heptapod.RefToken {
			return nil // the plan replaces it, and says why
		}
	}
	forge := serving(o, converge.Container{Service: heptapod.Service, Name: s.forge.ContainerName()})
	if forge == nil || !forge.Running() || forge.Health != "" && forge.Health != "healthy" {
		return nil
	}
	if s.forge.RefusesToken(ctx, o.Files[heptapod.FileToken].Content) {
		return []string{tokenRefused}
	}
	return nil
}

const tokenRefused = "the forge refuses the API token that is kept on the host; the next command that needs it makes another one. Make it now: hepta token renew"

// tellRefusedToken tells who watches when the forge refuses the API token.
func (s *Stack) tellRefusedToken(ctx context.Context) {
	e, err := s.engine(ctx)
	if err != nil || s.cfg.isExternal() {
		return
	}
	content, err := glance{s, e}.ReadFile(ctx, heptapod.FileToken)
	if err == nil && s.forge.RefusesToken(ctx, content) {
		s.opts.Progress.Send(progress.Event{State: progress.Info, Resource: "stack " + s.cfg.Stack, Text: tokenRefused})
	}
}
