package images

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// Copy brings images from one Engine to another in one stream, so that layers
// that they share travel once, and tags each there with its Tags. What the
// target already holds is only tagged.
func Copy(ctx context.Context, from, to client.APIClient, refs ...Ref) error {
	var travel []string
	for _, r := range refs {
		there, err := holds(ctx, to, r)
		if err != nil {
			return err
		}
		if !there {
			travel = append(travel, r.Local)
		}
	}
	if len(travel) > 0 {
		if err := stream(ctx, from, to, travel); err != nil {
			return err
		}
	}
	for _, r := range refs {
		for _, tag := range r.Tags {
			if err := to.ImageTag(ctx, r.Local, tag); err != nil {
				return fmt.Errorf("tag image %s as %s: %w", r.Local, tag, err)
			}
		}
	}
	return nil
}

// holds tells by id or, because image stores compute ids in different ways, by
// the hash of the inputs.
func holds(ctx context.Context, docker client.APIClient, r Ref) (bool, error) {
	i, err := docker.ImageInspect(ctx, r.Local)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspect image %s: %w", r.Local, err)
	}
	return i.ID == r.ID || r.Inputs != "" && i.Config != nil && i.Config.Labels[labelInputs] == r.Inputs, nil
}

func stream(ctx context.Context, from, to client.APIClient, names []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	saved, err := from.ImageSave(ctx, names)
	if err != nil {
		return fmt.Errorf("save images: %w", err)
	}
	defer saved.Close()
	loaded, err := to.ImageLoad(ctx, saved, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("load images: %w", err)
	}
	defer loaded.Body.Close()
	if !loaded.JSON {
		_, err = io.Copy(io.Discard, loaded.Body)
	} else {
		err = streamError(loaded.Body)
	}
	if err != nil {
		return fmt.Errorf("load images: %w", err)
	}
	return nil
}
