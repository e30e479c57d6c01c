package runner

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// DiskLimit bounds what the images and the build cache of an Engine take.
type DiskLimit struct {
	// Keep is that bound in bytes.
	Keep int64
	// Dedicated says that nobody but runners and their jobs pulls and builds on
	// the Engine. Without it only images that jobs built, by their label, and
	// those of Pulled may go.
	Dedicated bool
	// Pulled are the names of images that runners pull by themselves.
	Pulled []string
	// Spare are the names of images that stay in any case, and with them all
	// other versions: a forge goes on with the one that its data are of.
	Spare []string
}

// JobImages are the images that the runners pull for jobs by themselves:
// those that their sections name.
func (r *Runners) JobImages() []string {
	list := []string{r.cfg.HelperImage}
	for _, x := range r.cfg.Runners {
		list = append(list, x.Image, x.DindImage)
		for _, key := range []string{"image", "helper_image"} {
			if name, ok := x.Docker[key].(string); ok {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(slices.DeleteFunc(list, func(name string) bool { return name == "" }))
}

// limitDisk decides what of images and build cache goes so that they take no
// more than limit says, what is oldest first: the build cache before
// images, which have to be pulled again. What jobs have built and p would
// remove in any case stays as long as there is room.
func limitDisk(ctx context.Context, docker PruneAPI, y engineSnapshot, p *Pruned, limit DiskLimit, usage types.DiskUsage, after time.Time) error {
	over := usage.LayersSize - limit.Keep
	var cache, unused int64
	for _, record := range usage.BuildCache {
		if record.Shared {
			continue // counted with the layers
		}
		cache += record.Size
		if used := cmp.Or(record.LastUsedAt, &record.CreatedAt); !record.InUse && used.Before(after) {
			unused += record.Size
		}
	}
	over += cache
	for i := range p.Leftovers { // what goes in any case
		if l := &p.Leftovers[i]; l.Kind == LeftImage && l.Kept == "" {
			l.Kept, l.limited = "there is room for it", true
		}
	}
	if limit.Dedicated && unused > 0 {
		l := Leftover{Kind: LeftBuildCache, Name: "of the Engine", Bytes: min(unused, max(over, 0)), keep: max(cache-max(over, 0), 0), until: after}
		if over <= 0 {
			l.Kept = "there is room for it"
		}
		over -= l.Bytes
		p.Leftovers = append(p.Leftovers, l)
	}
	list, err := imageCandidates(ctx, docker, y, p.Leftovers, limit, after)
	if err != nil {
		return err
	}
	size := map[string]int64{}
	for _, i := range usage.Images {
		size[i.ID] = i.Size - max(i.SharedSize, 0)
	}
	freed := map[string]bool{}
	for _, c := range list {
		if !freed[c.ID] && over > 0 {
			freed[c.ID] = true
			over -= size[c.ID]
		}
		l := c
		if l.Kept = "there is room for it"; freed[c.ID] {
			l.Kept = ""
			if !l.alias {
				l.Bytes = size[c.ID]
			}
		}
		if at := slices.IndexFunc(p.Leftovers, func(x Leftover) bool { return x.Kind == LeftImage && x.ID == l.ID && x.limited }); at >= 0 {
			p.Leftovers[at].Kept, p.Leftovers[at].Bytes = l.Kept, l.Bytes
			continue
		}
		p.Leftovers = append(p.Leftovers, l)
	}
	p.Over = max(over, 0)
	return nil
}

// imageCandidates are the images that may go, that was pulled longest ago first:
// no container is made of them, nobody pulled them since after, and a runner or
// a job has brought them.
func imageCandidates(ctx context.Context, docker PruneAPI, y engineSnapshot, leftovers []Leftover, limit DiskLimit, after time.Time) ([]Leftover, error) {
	used, spared := map[string]bool{}, map[string]bool{}
	for i := range y.containers {
		used[y.containers[i].ImageID] = true
	}
	for _, name := range limit.Spare {
		spared[repositoryOf(name)] = true
	}
	pulled := map[string]bool{}
	for _, name := range limit.Pulled {
		pulled[fullName(name)] = true
	}
	var list []Leftover
	lastTagged := map[string]time.Time{}
	for i := range y.images {
		at := &y.images[i]
		names := slices.DeleteFunc(slices.Clone(at.RepoTags), func(name string) bool { return name == "<none>:<none>" })
		all := func(set map[string]bool) bool {
			return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return !set[fullName(name)] })
		}
		built := slices.IndexFunc(leftovers, func(l Leftover) bool { return l.Kind == LeftImage && l.ID == at.ID && l.limited })
		fromRegistry := len(at.RepoDigests) > 0
		switch {
		case used[at.ID], slices.ContainsFunc(slices.Concat(names, at.RepoDigests), func(name string) bool { return spared[repositoryOf(name)] }):
			continue
		case built >= 0, all(pulled) && fromRegistry:
		case limit.Dedicated && (fromRegistry || len(names) == 0):
		default:
			continue // somebody built it, or brought it
		}
		full, err := docker.ImageInspect(ctx, at.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at image %s: %w", at.ID, err)
		}
		lastTagged[at.ID] = full.Metadata.LastTagTime
		if full.Metadata.LastTagTime.After(after) {
			continue // its job may be about to begin
		}
		if built >= 0 {
			list = append(list, leftovers[built])
			continue
		}
		if len(names) == 0 {
			names = at.RepoDigests
		}
		if len(names) == 0 {
			names = []string{at.ID}
		}
		for n, name := range names {
			list = append(list, Leftover{Kind: LeftImage, ID: at.ID, Name: name, Created: time.Unix(at.Created, 0), tag: name, alias: n < len(names)-1})
		}
	}
	slices.SortStableFunc(list, func(a, b Leftover) int {
		return cmp.Or(lastTagged[a.ID].Compare(lastTagged[b.ID]), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// repositoryOf is the name of an image without its tag and digest.
func repositoryOf(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return named.Name()
}

// removeImage and pruneCache remove nothing that is in use.
func removeImage(ctx context.Context, docker PruneAPI, l Leftover) error {
	_, err := docker.ImageRemove(ctx, cmp.Or(l.tag, l.ID), image.RemoveOptions{PruneChildren: true})
	return err
}

func pruneCache(ctx context.Context, docker PruneAPI, l *Leftover, now time.Time) error {
	report, err := docker.BuildCachePrune(ctx, build.CachePruneOptions{
		All: true, KeepStorage: l.keep, ReservedSpace: l.keep,
		Filters: filters.NewArgs(filters.Arg("until", now.Sub(l.until).String())),
	})
	if err == nil {
		l.Bytes = int64(report.SpaceReclaimed)
	}
	return err
}
