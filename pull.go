package hepta

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pattern"
)

// PulledImage is what Pull made of one image.
type PulledImage struct {
	Image    string    `json:"image"`
	Services []string  `json:"services"` // that run it
	Result   PullState `json:"result"`
	Was      string    `json:"was,omitempty"` // id of the image that the Docker host had
	Now      string    `json:"now,omitempty"` // id of the one that it has
}

// PullState is what has become of an image.
type PullState string

// The states of an image after Pull.
const (
	PullPinned  PullState = "pinned"  // there, and its name always means the same image
	PullCurrent PullState = "current" // there is no newer one
	PullNew     PullState = "new"     // it was not there, or its name means another one by now
	PullFailed  PullState = "failed"  // the registry did not give it
)

// pullsAtOnce bounds the images that are pulled at the same time.
const pullsAtOnce = 3

// exactTag is the tag of one release: v3.6.12, 17.8.1-ce.0.
var exactTag = pattern.New(`(^|[^0-9.])[0-9]+\.[0-9]+\.[0-9]+([^0-9]|$)`)

// floats reports whether an image's name may mean another image tomorrow: it
// has no digest, and its tag names no single release.
func floats(image string) bool {
	ref, err := reference.ParseAnyReference(image)
	if err != nil {
		return false
	}
	if _, ok := ref.(reference.Digested); ok { // also the id of a local image
		return false
	}
	tagged, ok := ref.(reference.Tagged)
	return !ok || !exactTag().MatchString(tagged.Tag())
}

// Pull gets the images of the stack's services: those that the Docker host does
// not have, and those whose names float, such as traefik:v3.6 and latest.
// Nothing is started anew; Up does that where an image has changed, and Plan
// says so. Of what could not be pulled the error says why; the others are
// pulled all the same.
func (s *Stack) Pull(ctx context.Context) ([]PulledImage, error) {
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	o, err := e.Observe(ctx, &s.want)
	var want *converge.Stack
	if err == nil {
		want, err = s.want.Resolved(o)
	}
	if err != nil {
		return nil, fmt.Errorf("pull images of stack %s: %w", s.cfg.Stack, err)
	}
	list := []PulledImage{}
	for _, c := range want.Containers {
		i := slices.IndexFunc(list, func(p PulledImage) bool { return p.Image == c.Image })
		if i < 0 {
			i = len(list)
			was, _ := o.ImageID(c.Image)
			list = append(list, PulledImage{Image: c.Image, Result: PullPinned, Was: was, Now: was})
		}
		list[i].Services = append(list[i].Services, c.Service)
	}
	var group errgroup.Group
	group.SetLimit(pullsAtOnce)
	failed := make([]error, len(list))
	for i := range list {
		p := &list[i]
		if p.Was != "" && !floats(p.Image) {
			continue
		}
		group.Go(func() error {
			if failed[i] = e.Pull(ctx, p.Image); failed[i] == nil {
				p.Now, failed[i] = e.ImageID(ctx, p.Image)
			}
			switch {
			case failed[i] != nil:
				p.Result = PullFailed
			case p.Now == p.Was:
				p.Result = PullCurrent
			default:
				p.Result = PullNew
			}
			return nil
		})
	}
	_ = group.Wait() // each image has its own error
	if err := errors.Join(failed...); err != nil {
		return list, fmt.Errorf("pull images of stack %s: %w", s.cfg.Stack, err)
	}
	return list, nil
}
