package sandbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// Sweep removes every sandbox that carries a label (key=value or key): what an
// earlier, killed run left.
func Sweep(ctx context.Context, docker client.APIClient, label string) error {
	both := filters.NewArgs(filters.Arg("label", LabelSandbox), filters.Arg("label", label))
	all, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: both})
	if err != nil {
		return fmt.Errorf("list sandboxes: %w", err)
	}
	var errs []error
	for _, c := range all {
		s, err := Find(ctx, docker, c.ID)
		if err == nil {
			err = s.Remove(ctx)
		}
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	volumes, err := docker.VolumeList(ctx, volume.ListOptions{Filters: both})
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("list volumes of sandboxes: %w", err))...)
	}
	for _, v := range volumes.Volumes {
		if err := docker.VolumeRemove(ctx, v.Name, true); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove volume of a sandbox: %w", err))
		}
	}
	return errors.Join(errs...)
}
