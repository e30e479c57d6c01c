package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// withImage calls work with an image for the lock, and with another one where
// that turned out to be unfit.
func (e *Engine) withImage(ctx context.Context, s *converge.Stack, local func(context.Context, string) (bool, error), work func(image string) error) error {
	images, err := e.lockImages(ctx, s, local)
	if err != nil {
		return err
	}
	var unfit error
	for _, image := range images {
		err := work(image)
		if !errors.Is(err, errUnfit) {
			return err
		}
		e.log.Debug("image is unfit for the lock", "image", image, "error", err)
		unfit = err
	}
	return &fault.Error{Op: "lock stack", What: s.Name, Why: "no image of the stack has cat and a shell",
		Remedy: "Name an image on the Docker host that has cat, sh and mv for the lock container.", Err: unfit}
}

// errUnfit: the image has not what the lock needs.
var errUnfit = errors.New("image is unfit for a lock")

func unfitImage(err error) bool {
	text := err.Error()
	return strings.Contains(text, "executable file not found") || strings.Contains(text, "no such file or directory")
}

// lockImages lists the images to try: local ones, that of the stack's
// LockService first. Without any local one the first is pulled.
func (e *Engine) lockImages(ctx context.Context, s *converge.Stack, isLocal func(context.Context, string) (bool, error)) ([]string, error) {
	var all []string
	for _, c := range s.Containers {
		if c.Service == s.LockService {
			all = append([]string{c.Image}, all...)
		} else {
			all = append(all, c.Image)
		}
	}
	if len(all) == 0 {
		return e.oldImages(ctx, s)
	}
	var local []string
	for i, ref := range all {
		if slices.Contains(all[:i], ref) {
			continue
		}
		there, err := isLocal(ctx, ref)
		if err != nil {
			return nil, err
		}
		if there {
			local = append(local, ref)
		}
	}
	if len(local) > 0 {
		return local, nil
	}
	if old, err := e.oldImages(ctx, s); err == nil {
		return old, nil
	}
	if err := e.pull(ctx, all[0], 0); err != nil {
		return nil, err
	}
	return all[:1], nil
}

// isLocal asks the Engine whether it has an image.
func (e *Engine) isLocal(ctx context.Context, ref string) (bool, error) {
	_, err := e.api.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, unreachable("inspect image "+ref, err)
	}
	return true, nil
}

// oldImages lists what the stack's containers run now, for a stack that
// describes none of them any more.
func (e *Engine) oldImages(ctx context.Context, s *converge.Stack) ([]string, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", converge.LabelStack+"="+s.Name))})
	if err != nil {
		return nil, unreachable("list containers", err)
	}
	var o converge.Observed
	for _, c := range list {
		o.Containers = append(o.Containers, observedContainer(c))
	}
	s.Recognize(&o)
	var images []string
	for _, c := range o.Containers {
		if c.Service != "" {
			images = append(images, c.ImageID)
		}
	}
	if len(images) == 0 {
		return nil, &fault.Error{Op: "lock stack", What: s.Name, Why: "it has no image to make the lock container of"}
	}
	return images, nil
}
