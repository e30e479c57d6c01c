package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/heptaup/hepta/internal/converge"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// attic is an Engine that holds things and gives them away.
type attic struct {
	engineSnapshot
	brings   map[string]map[string]string // labels of an image
	bared    []string                     // containers that were removed without their volumes
	ended    map[string]time.Time
	started  map[string]time.Time // of containers that run
	taken    map[string]error     // what a removal answers
	gone     []string
	measured int // how often the sizes were asked for
	beaten   int // so many times that question is refused
}

func (a *attic) DiskUsage(context.Context, types.DiskUsageOptions) (types.DiskUsage, error) {
	if a.beaten > 0 {
		a.beaten--
		return types.DiskUsage{}, errors.New("a disk usage operation is already running")
	}
	a.measured++
	var u types.DiskUsage
	for i := range a.containers {
		c := a.containers[i]
		c.SizeRw = 10
		u.Containers = append(u.Containers, &c)
	}
	for _, v := range a.volumes {
		sized := *v
		sized.UsageData = &volume.UsageData{Size: 100}
		u.Volumes = append(u.Volumes, &sized)
	}
	for i := range a.images {
		u.Images = append(u.Images, &a.images[i])
	}
	return u, nil
}

func (a *attic) ContainerList(_ context.Context, o container.ListOptions) ([]container.Summary, error) {
	if !o.All {
		return nil, errors.New("not like that")
	}
	return a.containers, nil
}

func (a *attic) VolumeList(context.Context, volume.ListOptions) (volume.ListResponse, error) {
	return volume.ListResponse{Volumes: a.volumes}, nil
}

func (a *attic) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return a.images, nil
}

func (a *attic) NetworkList(context.Context, network.ListOptions) ([]network.Summary, error) {
	return a.networks, nil
}

func (a *attic) ContainerInspect(_ context.Context, id string) (container.InspectResponse, error) {
	if at, is := a.started[id]; is {
		return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &container.State{Running: true, StartedAt: at.Format(time.RFC3339Nano)}}}, nil
	}
	at, there := a.ended[id]
	if !there {
		return container.InspectResponse{}, errdefs.ErrNotFound
	}
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &container.State{
		StartedAt: "0001-01-01T00:00:00Z", FinishedAt: at.Format(time.RFC3339Nano)}}}, nil
}

// ImageInspect knows the images with labels and those that containers were made of.
func (a *attic) ImageInspect(_ context.Context, id string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	labels, there := a.brings[id]
	if !there {
		return image.InspectResponse{}, errdefs.ErrNotFound
	}
	return image.InspectResponse{Config: &dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{Labels: labels}}}, nil
}

func (a *attic) remove(kind, id string) error {
	if err := a.taken[id]; err != nil {
		return err
	}
	a.gone = append(a.gone, kind+" "+id)
	return nil
}

func (a *attic) ContainerRemove(_ context.Context, id string, o container.RemoveOptions) error {
	if o.Force != strings.HasPrefix(id, "orphan") {
		return errors.New("not like that")
	}
	if !o.RemoveVolumes {
		a.bared = append(a.bared, id)
	}
	return a.remove("container", id)
}

func (a *attic) NetworkRemove(_ context.Context, id string) error { return a.remove("network", id) }

func (a *attic) VolumeRemove(_ context.Context, id string, force bool) error {
	if force {
		return errors.New("not like that")
	}
	return a.remove("volume", id)
}

func (a *attic) ImageRemove(_ context.Context, id string, o image.RemoveOptions) ([]image.DeleteResponse, error) {
	if o.Force {
		return nil, errors.New("not like that")
	}
	return nil, a.remove("image", id)
}

func (a *attic) BuildCachePrune(context.Context, build.CachePruneOptions) (*build.CachePruneReport, error) {
	return nil, errors.New("nobody asked for that")
}

// job are the labels of a job's things.
func job(id int, typ string) map[string]string { return jobOf(7, id, typ) }

func jobOf(project, id int, typ string) map[string]string {
	return map[string]string{markPrefix + "job.id": fmt.Sprint(id), markPrefix + "project.id": fmt.Sprint(project), markPrefix + "runner.id": "abcdefgh", markPrefix + "type": typ}
}

// box adds a container that was made, and last ran, so long before noon.
func (a *attic) box(id, name, state string, labels map[string]string, ago time.Duration, volumes ...string) *container.Summary {
	c := container.Summary{ID: id, Names: []string{"/" + name, "/other/alias"}, State: container.ContainerState(state), Labels: labels,
		Created: noon.Add(-ago).Unix(), ImageID: "sha256:job"}
	for _, v := range volumes {
		c.Mounts = append(c.Mounts, container.MountPoint{Type: "volume", Name: v})
	}
	a.ended[id] = noon.Add(-ago)
	a.containers = append(a.containers, c)
	return &a.containers[len(a.containers)-1]
}

func (a *attic) volume(name string, labels map[string]string, ago time.Duration) {
	a.volumes = append(a.volumes, &volume.Volume{Name: name, Labels: labels, CreatedAt: noon.Add(-ago).Format(time.RFC3339)})
}

const (
	slot0   = "runner-abcdefgh-project-7-concurrent-0"
	slot1   = "runner-abcdefgh-project-7-concurrent-1"
	hash    = "3c3f060a0374fc8bc39395164f415a70"
	ano     = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	anoShop = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	anoUsed = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// jobs is a host with leftovers of every age of runner, work under way, and
// what is none of ours.
func jobs() *attic {
	a := &attic{ended: map[string]time.Time{}, taken: map[string]error{}, brings: map[string]map[string]string{
		"sha256:job": nil, "sha256:used": job(1, ""), "sha256:inherits": job(1, "build")}}
	day := 24 * time.Hour
	// Left by a job of a killed runner, before and after labels had "managed".
	a.box("left", slot0+"-build-4", "exited", job(1, "build"), day, ano)
	a.box("svc", "runner-abcdefgh-project-8-concurrent-0-docker-0", "exited", jobOf(8, 6, "service"), day)
	a.box("init", "runner-"+hash+"-cache-"+hash+"-set-permission-0a1b2c3d", "created", job(1, "cache-init"), day, "runner-"+hash+"-cache-"+hash)
	a.volume(ano, nil, day)
	a.volume("runner-"+hash+"-cache-"+hash, job(1, "cache"), day)
	a.volume("runner-"+hash+"-cache-"+hash+"-protected", map[string]string{markPrefix + "managed": "true"}, day)
	a.volume(slot0+"-0a1b2c3d-cache-"+hash, nil, day)
	a.networks = append(a.networks,
		network.Summary{ID: "net-left", Name: "runner-abcdefgh-project-7-concurrent-0-job-1-network", Created: noon.Add(-day)},
		network.Summary{ID: "net-short", Name: "runner-abcdefgh-7-0-1", Created: noon.Add(-day), Labels: job(1, "")},
		network.Summary{ID: "net-busy", Name: slot1 + "-job-2-network", Created: noon.Add(-day)},
		network.Summary{ID: "net-new", Name: "runner-abcdefgh-7-0-9", Created: noon.Add(-time.Minute), Labels: job(9, "network")},
		network.Summary{ID: "net-bridge", Name: "bridge", Created: noon.Add(-day)},
		network.Summary{ID: "net-shop", Name: "runner-of-the-shop-1-2-3", Created: noon.Add(-day)})
	// A job that runs in slot 1: its stopped containers, its cache, its volumes.
	a.box("build", slot1+"-0a1b2c3d-build", "running", job(2, "build"), day, anoUsed, slot1+"-cache-"+hash)
	a.box("pre", slot1+"-predefined-0", "exited", job(2, "predefined"), 2*time.Hour)
	a.box("cache", "runner-abcdefgh-project-7-concurrent-5-cache-"+hash, "exited", job(3, "cache"), day, anoUsed)
	a.box("same-slot", slot1+"-cache-"+hash, "exited", job(4, "cache"), day)
	a.volume(slot1+"-cache-"+hash, nil, day)
	a.volume(slot1+"-cache-"+hash+"-protected", nil, day)
	a.volume(anoUsed, nil, day)
	// A job between two of its containers.
	a.box("between", "runner-abcdefgh-project-9-concurrent-0-predefined-0", "exited", jobOf(9, 5, "predefined"), time.Minute)
	a.box("between-too", "runner-abcdefgh-project-9-concurrent-0-cache-1", "exited", jobOf(9, 5, "cache"), day)
	// None of ours.
	own := a.box("runner", "lab-runner", "exited", map[string]string{converge.LabelStack: "lab", markPrefix + "managed": "true"}, day)
	own.ImageID = "sha256:used"
	a.box("web", "web", "exited", map[string]string{"com.gitlab.gitlab-runner": "x"}, day, "shared-cache")
	a.box("runner-x", "runner-project-concurrent", "exited", nil, day)
	a.volume("shared-cache", map[string]string{markPrefix + "managed": "true"}, day)
	a.volume("runner-cache-of-mine", nil, day)
	a.volume("runner-config", nil, day)
	a.volume("runner-"+hash+"-cache-"+strings.Repeat("0", 32), nil, day)
	// A shop whose image was built by a job, or from an image that was, and what
	// bears a runner's marks by halves.
	a.box("shop", "shop", "exited", job(1, "build"), day, anoShop).ImageID = "sha256:inherits"
	a.box("shop-like", slot0+"-shop", "exited", job(1, "build"), day, anoShop).ImageID = "sha256:inherits"
	a.box("shop-lost", slot0+"-lost", "exited", job(1, "build"), day, anoShop).ImageID = "sha256:lost"
	a.box("labelled", "x", "exited", map[string]string{markPrefix + "managed": "true"}, day, anoShop)
	a.box("named", slot0+"-named", "exited", nil, day, anoShop)
	a.box("other-project", slot0+"-other", "exited", jobOf(8, 1, "build"), day, anoShop)
	a.box("stack", slot0+"-stack", "exited", map[string]string{converge.LabelStack: "lab", markPrefix + "job.id": "1", markPrefix + "project.id": "7"}, day)
	a.volume(anoShop, nil, day)
	a.images = []image.Summary{
		built("app:1", "app:1"),
		built("app:1", "registry.example.org/app:1"), // of that name, from app:1
		built("registry.example.org/app:2", "keep:1", "registry.example.org/app:2"),
		built("used"),
		built("bare", "<none>:<none>"),
		{ID: "sha256:other", RepoTags: []string{"docker:28"}, Size: 50, Created: noon.Add(-day).Unix()},
		{ID: "sha256:labelled", RepoTags: []string{"shop:1"}, Labels: job(1, ""), Size: 50, Created: noon.Add(-day).Unix()},
	}
	a.images[1].ID, a.images[2].ID = "sha256:derived", "sha256:twice"
	return a
}

// built is an image that a job has built under a name, and that has these now.
func built(as string, tags ...string) image.Summary {
	return image.Summary{ID: "sha256:" + as, Labels: map[string]string{LabelBuiltAs: as}, RepoTags: tags, Size: 50, SharedSize: 20, Created: noon.Add(-24 * time.Hour).Unix()}
}

var goes = []string{
	"container left 110", "container svc 10", "container init 10", "network net-left 0", "network net-short 0", "volume runner-" + hash + "-cache-" + hash + " 100",
	"volume runner-" + hash + "-cache-" + hash + "-protected 100", "volume " + slot0 + "-0a1b2c3d-cache-" + hash + " 100", "image sha256:app:1 30", "image sha256:twice 0", "image sha256:bare 30",
}

var stays = map[string]string{
	"build": "its job runs", "pre": "its job runs", "same-slot": "its job runs", "cache": "a container uses its volumes",
	"between": "its job may run", "between-too": "its job may run", "net-busy": "its job runs", "net-new": "its job may run",
	slot1 + "-cache-" + hash: "a container uses it", slot1 + "-cache-" + hash + "-protected": "its job runs",
	"sha256:used": "a container uses it",
}

func TestPrune(t *testing.T) {
	a := jobs()
	a.beaten = 1
	p, err := Prune(t.Context(), a, PruneOptions{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	kept := map[string]string{}
	var sum int64
	for _, l := range p.Leftovers {
		if l.Removed {
			t.Errorf("%s is said to be removed", l.Name)
		}
		if l.Kept != "" {
			kept[l.ID] = l.Kept
			continue
		}
		sum += l.Bytes
		got = append(got, fmt.Sprintf("%s %s %d", l.Kind, l.ID, l.Bytes))
	}
	if diff := cmp.Diff(goes, got); diff != "" {
		t.Errorf("goes, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(stays, kept); diff != "" {
		t.Errorf("stays, -want +got:\n%s", diff)
	}
	if len(a.gone) > 0 || p.Bytes != sum {
		t.Errorf("a dry run removed %v; %d bytes of %d", a.gone, p.Bytes, sum)
	}
	if l := p.Leftovers[0]; l.Job != "1" || l.Project != "7" || l.Runner != "abcdefgh" || l.Name != slot0+"-build-4" {
		t.Errorf("got %+v", l)
	}
}

func TestPruneForced(t *testing.T) {
	a := jobs()
	a.taken["left"] = fmt.Errorf("running: %w", errdefs.ErrConflict)
	a.taken["net-left"] = fmt.Errorf("endpoints: %w", errdefs.ErrPermissionDenied)
	a.taken["svc"] = errdefs.ErrNotFound
	a.taken["runner-"+hash+"-cache-"+hash+"-protected"] = errors.New("disk on fire")
	p, err := Prune(t.Context(), a, PruneOptions{Now: noon, Force: true})
	if err == nil || !strings.Contains(err.Error(), "-protected: disk on fire") {
		t.Errorf("got %v", err)
	}
	want := []string{"container init", "network net-short", "volume runner-" + hash + "-cache-" + hash, "volume " + slot0 + "-0a1b2c3d-cache-" + hash,
		"image app:1", "image registry.example.org/app:2", "image sha256:bare"}
	if diff := cmp.Diff(want, a.gone); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, l := range p.Leftovers {
		wants := map[string]string{"left": "it is in use", "net-left": "it is in use", "runner-" + hash + "-cache-" + hash + "-protected": "it could not be removed"}[l.ID]
		if wants != "" && (l.Kept != wants || l.Removed) || l.ID == "svc" && !l.Removed {
			t.Errorf("got %+v", l)
		}
	}
	if p.Bytes != 10+10+100+100+30+30 {
		t.Errorf("%d bytes", p.Bytes)
	}
}

func TestPruneKeepsCaches(t *testing.T) {
	p, err := Prune(t.Context(), jobs(), PruneOptions{Now: noon, KeepCaches: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range p.Leftovers {
		if l.Kind == LeftVolume && l.Kept == "" {
			t.Errorf("%s goes", l.Name)
		}
	}
}

// A new token makes every cache cold. What is left of the old one goes, also
// where caches are kept; those of runners that are there, or are another
// manager's, stay.
func TestPruneTakesCachesOfOldTokens(t *testing.T) {
	cacheOf := func(system, short string) map[string]string {
		return map[string]string{markPrefix + "managed": "true", markPrefix + "runner.system_id": system, markPrefix + "runner.id": short}
	}
	names := map[string]map[string]string{ // hash → labels
		strings.Repeat("a", 32): cacheOf("r_mine", "rotatedAw"),
		strings.Repeat("b", 32): cacheOf("r_mine", "canaryMad"),
		strings.Repeat("c", 32): cacheOf("r_mine", "canaryGiv"),
		strings.Repeat("d", 32): cacheOf("r_other", "rotatedAw"),
		strings.Repeat("e", 32): {markPrefix + "managed": "true", markPrefix + "runner.id": "rotatedAw"},
		strings.Repeat("f", 32): cacheOf("r_mine", ""),
	}
	known := manager
	known.isRead = true
	unread := Manager{stack: "lab", system: "r_mine"}
	for name, c := range map[string]struct {
		of   func(context.Context) Manager
		goes string
	}{
		"known":            {func(context.Context) Manager { return known }, "a"},
		"no config.toml":   {func(context.Context) Manager { return unread }, ""},
		"nobody is asked":  {nil, ""},
		"without sections": {func(context.Context) Manager { return Manager{system: "r_mine", isRead: true} }, "abc"},
	} {
		a := &attic{ended: map[string]time.Time{}, taken: map[string]error{}}
		for hash, labels := range names {
			a.volume("runner-"+hash+"-cache-"+hash+"-protected", labels, 24*time.Hour)
		}
		p, err := Prune(t.Context(), a, PruneOptions{Now: noon, Force: true, KeepCaches: true, NoSizes: true, Manager: c.of})
		if err != nil || len(p.Leftovers) != len(names) {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
		var went []string
		for _, l := range p.Leftovers {
			if l.Removed {
				went = append(went, l.Name[len("runner-"):][:1])
			}
		}
		slices.Sort(went)
		if got := strings.Join(went, ""); got != c.goes {
			t.Errorf("%s: %q went, want %q", name, got, c.goes)
		}
	}
}

// An age that is longer keeps more, and never less.
func TestPruneByAge(t *testing.T) {
	a := jobs()
	p, err := Prune(t.Context(), a, PruneOptions{Now: noon, Age: 48 * time.Hour})
	if err != nil || a.measured > 0 || slices.ContainsFunc(p.Leftovers, func(l Leftover) bool { return l.Kept == "" }) {
		t.Errorf("something goes, or its size was asked for: %+v, %v", p, err)
	}
}
