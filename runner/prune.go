package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// DefaultPruneAge is how long something must have been out of use to be taken
// for left over: longer than a job takes to pull its images.
const DefaultPruneAge = time.Hour

// PruneAPI is the part of the Docker client that Prune uses.
type PruneAPI interface {
	DiskUsage(ctx context.Context, options types.DiskUsageOptions) (types.DiskUsage, error)
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	NetworkList(ctx context.Context, options network.ListOptions) ([]network.Summary, error)
	VolumeList(ctx context.Context, options volume.ListOptions) (volume.ListResponse, error)
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	ImageInspect(ctx context.Context, image string, options ...client.ImageInspectOption) (image.InspectResponse, error)
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
	NetworkRemove(ctx context.Context, network string) error
	VolumeRemove(ctx context.Context, volumeID string, force bool) error
	ImageRemove(ctx context.Context, image string, options image.RemoveOptions) ([]image.DeleteResponse, error)
	BuildCachePrune(ctx context.Context, options build.CachePruneOptions) (*build.CachePruneReport, error)
}

// PruneOptions is for Prune.
type PruneOptions struct {
	// Force removes; without it Prune only tells what it would remove.
	Force bool
	// Age is how long something must have been out of use; default DefaultPruneAge.
	Age time.Duration
	// KeepCaches leaves the caches of projects, which make later jobs faster,
	// apart from those of a token that Manager has no more: no job finds them.
	KeepCaches bool
	// Limit, where it is set, keeps images and build cache to a size instead of
	// removing all images that jobs have built. Sizes are asked for then.
	Limit *DiskLimit
	// NoSizes leaves out how much each frees: an Engine with much on it takes
	// minutes to tell.
	NoSizes bool
	// Now is the present time; zero: the clock's.
	Now time.Time
	// Manager tells which jobs are of runners of one's own: what still runs of
	// one whose runner is no more goes too. It is asked when the container of
	// some job runs, and for KeepCaches. Nil: whatever runs is taken for a job
	// that does.
	Manager func(context.Context) Manager
}

// Pruned is what jobs have left on an Engine.
type Pruned struct {
	Leftovers []Leftover `json:"leftovers"`
	// Bytes are those of what goes, or with Force of what went.
	Bytes int64 `json:"bytes"`
	// Over is how much images and build cache take beyond PruneOptions.Limit,
	// in what is in use or not the runners'.
	Over int64 `json:"over,omitempty"`
}

// Prune finds what the jobs of GitLab runners have left on an Engine, those of
// every runner that works with it, and with Force removes it: containers,
// networks, volumes, and images that a job has built and named in LabelBuiltAs.
// Only what a runner itself made counts, by the name and the labels that it
// gives; an image may bring the labels, and does not make a container a
// runner's. Nothing else is touched, nor what a job uses that runs or may run.
// What cannot be removed is in the error, and the rest is removed all the same.
func Prune(ctx context.Context, docker PruneAPI, o PruneOptions) (*Pruned, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	y, err := takeSnapshot(ctx, docker, o)
	if err != nil {
		return nil, err
	}
	after := o.Now.Add(-cmp.Or(o.Age, DefaultPruneAge))
	p := &Pruned{Leftovers: y.leftovers(after, o.KeepCaches)}
	if o.Limit != nil {
		usage, err := diskUsage(ctx, docker)
		if err != nil {
			return nil, fmt.Errorf("ask engine what takes its disk: %w", err)
		}
		if err := limitDisk(ctx, docker, y, p, *o.Limit, usage, after); err != nil {
			return nil, err
		}
		measure(p.Leftovers, usage)
	} else if !o.NoSizes && slices.ContainsFunc(p.Leftovers, func(l Leftover) bool { return l.Kept == "" }) {
		usage, err := diskUsage(ctx, docker)
		if err != nil {
			return nil, fmt.Errorf("ask engine what takes its disk: %w", err)
		}
		measure(p.Leftovers, usage)
	}
	var failed []error
	for i := range p.Leftovers {
		l := &p.Leftovers[i]
		if l.Kept != "" {
			continue
		}
		if o.Force {
			err := l.remove(ctx, docker, o.Now)
			switch {
			case errdefs.IsConflict(err), errdefs.IsPermissionDenied(err): // a job has taken it meanwhile
				l.Kept = "it is in use"
				continue
			case errdefs.IsNotFound(err): // its job has removed it meanwhile
			case err != nil:
				l.Kept = "it could not be removed"
				failed = append(failed, fmt.Errorf("remove %s %s: %w", l.Kind, l.Name, err))
				if ctx.Err() != nil {
					return p, ctx.Err()
				}
				continue
			}
			l.Removed = true
		}
		p.Bytes += l.Bytes
	}
	return p, errors.Join(failed...)
}

// takeSnapshot looks at the Engine: a list a kind, and one call for each stopped
// container of a job.
func takeSnapshot(ctx context.Context, docker PruneAPI, o PruneOptions) (engineSnapshot, error) {
	y := engineSnapshot{inherited: map[string]map[string]string{}, ended: map[string]time.Time{}, orphans: map[string]bool{}}
	var err error
	if y.containers, err = docker.ContainerList(ctx, container.ListOptions{All: true}); err != nil {
		return y, fmt.Errorf("list containers: %w", err)
	}
	if y.networks, err = docker.NetworkList(ctx, network.ListOptions{}); err != nil {
		return y, fmt.Errorf("list networks: %w", err)
	}
	volumes, err := docker.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return y, fmt.Errorf("list volumes: %w", err)
	}
	y.volumes = volumes.Volumes
	if y.images, err = docker.ImageList(ctx, image.ListOptions{}); err != nil {
		return y, fmt.Errorf("list images: %w", err)
	}
	running := false
	for i := range y.containers {
		c := &y.containers[i]
		if !mayBeMarked(c) {
			continue
		}
		if err := y.inherit(ctx, docker, c.ImageID); err != nil {
			return y, err
		}
		if isUp(c) {
			running = true
			continue
		}
		full, err := docker.ContainerInspect(ctx, c.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return y, fmt.Errorf("look at container %s: %w", c.ID, err)
		}
		if full.ContainerJSONBase == nil || full.State == nil {
			continue
		}
		for _, text := range []string{full.State.StartedAt, full.State.FinishedAt} {
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil && at.After(y.ended[c.ID]) {
				y.ended[c.ID] = at
			}
		}
	}
	if o.Manager != nil && (running || o.KeepCaches) {
		y.manager = o.Manager(ctx)
	}
	if running && o.Manager != nil {
		return y, y.findOrphans(ctx, docker, y.manager, o.Now)
	}
	return y, nil
}

// inherit reads which labels an image gives to its containers. Of one that is
// no longer there it is not known, and then neither whose a container is.
func (y engineSnapshot) inherit(ctx context.Context, docker PruneAPI, id string) error {
	if _, known := y.inherited[id]; known {
		return nil
	}
	found, err := docker.ImageInspect(ctx, id)
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look at image %s: %w", id, err)
	}
	y.inherited[id] = map[string]string{}
	if found.Config != nil {
		y.inherited[id] = found.Config.Labels
	}
	return nil
}

// diskUsage waits for others who ask the same: an Engine answers one at a time
// and refuses the rest.
func diskUsage(ctx context.Context, docker PruneAPI) (types.DiskUsage, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		usage, err := docker.DiskUsage(ctx, types.DiskUsageOptions{
			Types: []types.DiskUsageObject{types.ContainerObject, types.ImageObject, types.VolumeObject, types.BuildCacheObject}})
		if err == nil || !strings.Contains(err.Error(), "already running") {
			return usage, err
		}
		select {
		case <-ctx.Done():
			return usage, ctx.Err()
		case <-tick.C:
		}
	}
}

// remove removes it unless it is in use: nothing is forced, apart from the end
// of a container that runs for nobody.
func (l *Leftover) remove(ctx context.Context, docker PruneAPI, now time.Time) error {
	switch l.Kind {
	case LeftContainer:
		return docker.ContainerRemove(ctx, l.ID, container.RemoveOptions{RemoveVolumes: !l.shared, Force: l.orphan})
	case LeftNetwork:
		return docker.NetworkRemove(ctx, l.ID)
	case LeftVolume:
		return docker.VolumeRemove(ctx, l.ID, false)
	}
	if l.Kind == LeftBuildCache {
		return pruneCache(ctx, docker, l, now)
	}
	return removeImage(ctx, docker, *l)
}
