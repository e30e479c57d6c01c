package runner

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

// LeftoverKind is what a Leftover is.
type LeftoverKind string

// The kinds of leftovers, in the order in which they are removed.
const (
	LeftContainer LeftoverKind = "container"
	LeftNetwork   LeftoverKind = "network"
	LeftVolume    LeftoverKind = "volume"
	LeftImage     LeftoverKind = "image"
	// LeftBuildCache is what builds on the Engine have kept; see DiskLimit.
	LeftBuildCache LeftoverKind = "build cache"
)

// Leftover is something that bears the marks of a job.
type Leftover struct {
	Kind    LeftoverKind `json:"kind"`
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Job     string       `json:"job,omitempty"`
	Project string       `json:"project,omitempty"`
	Runner  string       `json:"runner,omitempty"` // as the runner calls itself: the beginning of its token
	Created time.Time    `json:"created,omitzero"`
	// Bytes are what removing it frees; 0 for what stays.
	Bytes int64 `json:"bytes,omitempty"`
	// Kept says why it stays; empty when it goes.
	Kept    string `json:"kept,omitempty"`
	Removed bool   `json:"removed,omitempty"`

	slot   string // of the runner, read out of the name
	tag    string // of an image, "" for one without a name
	orphan bool   // a container that runs, and whose job's runner is no more
	alias  bool   // an image that keeps another name
	left   bool   // a cache of a token that no section holds any more
	shared bool   // a container with volumes that were there before it: they stay

	limited bool      // an image that goes only where there is no room for it
	keep    int64     // bytes of a build cache that stay
	until   time.Time // a build cache that was used since stays
}

// engineSnapshot is what the Engine holds, as Prune looks at it.
type engineSnapshot struct {
	containers []container.Summary
	networks   []network.Summary
	volumes    []*volume.Volume
	images     []image.Summary
	// inherited are the labels of the images of containers that may be a
	// runner's, by the id of the image.
	inherited map[string]map[string]string
	// ended is when a container that does not run did so last.
	ended map[string]time.Time
	// orphans are the containers that run for a runner that is no more, by id.
	orphans map[string]bool
	manager Manager // of one's own runners, where it was asked for
}

// leftovers is what bears the marks of a job, with why some of it stays.
//
// What a job uses that runs stays, and with it everything of that job and of
// its slot. A job has moments without a running container: so does what was
// in use, or made, after the given time. What any other container uses stays.
// What runs for a runner that is no more goes: no job uses it.
func (y engineSnapshot) leftovers(after time.Time, keepCaches bool) []Leftover {
	out := []Leftover{}
	busy := map[string]string{} // job or slot → why
	var stays []*container.Summary
	pending := map[string]*container.Summary{}
	for i := range y.containers {
		c := &y.containers[i]
		labels, known := y.inherited[c.ImageID]
		l, marked := containerMarks(c, labels)
		if !marked || !known {
			stays = append(stays, c)
			continue
		}
		why := ""
		switch {
		case y.orphans[c.ID]:
			l.orphan = true
		case isUp(c):
			why = "its job runs"
		case l.Created.After(after) || y.ended[c.ID].After(after):
			why = "its job may run"
		}
		if why != "" {
			for _, key := range l.keys() {
				busy[key] = cmp.Or(busy[key], why)
			}
		}
		l.Kept = why
		pending[c.ID] = c
		out = append(out, l)
	}
	for i := range out {
		if out[i].orphan {
			continue
		}
		out[i].keepIfBusy(busy)
		if labels := pending[out[i].ID].Labels; keepCaches && out[i].cache(labels) && !y.manager.left(labels) {
			out[i].Kept = cmp.Or(out[i].Kept, "it is a cache")
		}
	}
	holders(out, pending, stays)
	used := map[string]string{} // volume, network or image → by whom
	for i := range out {
		if out[i].Kept != "" {
			stays = append(stays, pending[out[i].ID])
		}
	}
	for _, c := range stays {
		for _, key := range uses(c) {
			used[key] = "a container uses it"
		}
	}

	add := func(l Leftover, marked bool, key string) {
		if !marked {
			return
		}
		l.Kept = used[key]
		l.keepIfBusy(busy)
		if l.Kept == "" && l.Created.After(after) {
			l.Kept = "its job may run"
		}
		if keepCaches && l.Kind == LeftVolume && !l.left {
			l.Kept = cmp.Or(l.Kept, "it is a cache")
		}
		out = append(out, l)
	}
	y.findShared(out, pending)
	for _, n := range y.networks {
		l, marked := networkMarks(n)
		add(l, marked, "network "+n.ID)
	}
	for _, v := range y.volumes {
		l, marked := volumeMarks(v)
		l.left = y.manager.left(v.Labels)
		add(l, marked, "volume "+v.Name)
	}
	for i := range y.images {
		l, marked := imageMarks(&y.images[i])
		add(l, marked, "image "+l.ID)
	}
	return out
}

// keys are the job and the slot of a leftover.
func (l Leftover) keys() []string {
	var keys []string
	if l.Job != "" {
		keys = append(keys, fmt.Sprintf("job %s of %s", l.Job, l.Runner))
	}
	if l.slot != "" {
		keys = append(keys, l.slot)
	}
	return keys
}

// keepIfBusy keeps what belongs to a job or slot that is busy.
func (l *Leftover) keepIfBusy(busy map[string]string) {
	for _, key := range l.keys() {
		l.Kept = cmp.Or(l.Kept, busy[key])
	}
}

// cache reports whether a container only holds a cache.
func (l Leftover) cache(labels map[string]string) bool {
	return labels[markPrefix+"type"] == "cache" || slotCache().MatchString(l.Name)
}

// uses are the volumes, networks and the image of a container.
func uses(c *container.Summary) []string {
	out := []string{"image " + c.ImageID}
	for _, m := range c.Mounts {
		if m.Name != "" {
			out = append(out, "volume "+m.Name)
		}
	}
	if c.NetworkSettings != nil {
		for _, n := range c.NetworkSettings.Networks {
			if n != nil {
				out = append(out, "network "+n.NetworkID)
			}
		}
	}
	return out
}

// holders keeps the containers whose anonymous volumes one uses that stays:
// before runners 13 a stopped container holds what a job's containers share.
func holders(list []Leftover, pending map[string]*container.Summary, stays []*container.Summary) {
	volumes := map[string]bool{}
	mark := func(c *container.Summary) {
		for _, m := range c.Mounts {
			if anonymous().MatchString(m.Name) {
				volumes[m.Name] = true
			}
		}
	}
	for _, c := range stays {
		mark(c)
	}
	for _, l := range list {
		if l.Kept != "" {
			mark(pending[l.ID])
		}
	}
	for again := true; again; {
		again = false
		for i := range list {
			c := pending[list[i].ID]
			if list[i].Kept == "" && !list[i].orphan && slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool { return volumes[m.Name] }) {
				list[i].Kept, again = "a container uses its volumes", true
				mark(c)
			}
		}
	}
}

// findShared marks the containers with an anonymous volume that no container
// of a runner can have made, since it is older than all that have it.
func (y engineSnapshot) findShared(list []Leftover, pending map[string]*container.Summary) {
	first := map[string]int64{} // anonymous volume → when the first that has it was made
	for _, c := range pending {
		for _, m := range c.Mounts {
			if at, seen := first[m.Name]; !seen || c.Created < at {
				first[m.Name] = c.Created
			}
		}
	}
	older := map[string]bool{}
	for _, v := range y.volumes {
		made, err := time.Parse(time.RFC3339, v.CreatedAt)
		at, mounted := first[v.Name]
		older[v.Name] = mounted && (err != nil || made.Unix() < at)
	}
	for i := range list {
		if c := pending[list[i].ID]; c != nil {
			list[i].shared = slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool {
				return anonymous().MatchString(m.Name) && older[m.Name]
			})
		}
	}
}

// measure fills in what each that goes frees, the anonymous volumes of a
// container with it.
func measure(list []Leftover, usage types.DiskUsage) {
	size := map[string]int64{}
	mounts := map[string][]container.MountPoint{}
	for _, v := range usage.Volumes {
		if v.UsageData != nil {
			size[v.Name] = max(v.UsageData.Size, 0)
		}
	}
	for _, c := range usage.Containers {
		size[c.ID], mounts[c.ID] = c.SizeRw, c.Mounts
	}
	for _, i := range usage.Images {
		size[i.ID] = i.Size - max(i.SharedSize, 0)
	}
	counted := map[string]bool{}
	for i := range list {
		if list[i].Kept != "" || list[i].alias || list[i].Kind == LeftBuildCache {
			continue
		}
		list[i].Bytes = size[list[i].ID]
		if list[i].shared {
			continue
		}
		for _, m := range mounts[list[i].ID] {
			if anonymous().MatchString(m.Name) && !counted[m.Name] {
				counted[m.Name] = true
				list[i].Bytes += size[m.Name]
			}
		}
	}
}
