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
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// attic is an Engine that holds things and gives them away.
type attic struct {
	yard
	taken    map[string]error // what a removal answers
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
	at, there := a.ended[id]
	if !there {
		return container.InspectResponse{}, errdefs.ErrNotFound
	}
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &container.State{
		StartedAt: "0001-01-01T00:00:00Z", FinishedAt: at.Format(time.RFC3339Nano)}}}, nil
}

func (a *attic) remove(kind, id string) error {
	if err := a.taken[id]; err != nil {
		return err
	}
	a.gone = append(a.gone, kind+" "+id)
	return nil
}

func (a *attic) ContainerRemove(_ context.Context, id string, o container.RemoveOptions) error {
	if o.Force || !o.RemoveVolumes {
		return errors.New("not like that")
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

// job are the labels of a job's things.
func job(id int, typ string) map[string]string {
	return map[string]string{markPrefix + "job.id": fmt.Sprint(id), markPrefix + "project.id": "7", markPrefix + "runner.id": "abcdefgh", markPrefix + "type": typ}
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
	anoUsed = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// jobs is a host with leftovers of every age of runner, work under way, and
// what is none of ours.
func jobs() *attic {
	a := &attic{yard: yard{ended: map[string]time.Time{}}, taken: map[string]error{}}
	day := 24 * time.Hour
	// Left by a job of a killed runner, before and after labels had "managed".
	a.box("left", slot0+"-build-4", "exited", job(1, "build"), day, ano)
	a.box("svc", "runner-abcdefgh-project-8-concurrent-0-docker-0", "exited", nil, day)
	a.box("never", "x", "created", map[string]string{markPrefix + "managed": "true"}, day, "runner-"+hash+"-cache-"+hash)
	a.volume(ano, nil, day)
	a.volume("runner-"+hash+"-cache-"+hash, nil, day)
	a.volume("runner-"+hash+"-cache-"+hash+"-protected", nil, day)
	a.volume("labelled", map[string]string{markPrefix + "managed": "true"}, day)
	a.networks = append(a.networks,
		network.Summary{ID: "net-left", Name: "runner-abcdefgh-project-7-concurrent-0-job-1-network", Created: noon.Add(-day)},
		network.Summary{ID: "net-busy", Name: slot1 + "-job-2-network", Created: noon.Add(-day)},
		network.Summary{ID: "net-new", Name: "n", Created: noon.Add(-time.Minute), Labels: job(9, "network")},
		network.Summary{ID: "net-bridge", Name: "bridge", Created: noon.Add(-day)})
	// A job that runs in slot 1: its stopped containers, its cache, its volumes.
	a.box("build", slot1+"-build-4", "running", job(2, "build"), day, anoUsed, slot1+"-cache-"+hash)
	a.box("pre", slot1+"-predefined-0", "exited", job(2, "predefined"), 2*time.Hour)
	a.box("cache", "old-cache-holder", "exited", job(3, "cache"), day, anoUsed)
	a.box("same-slot", slot1+"-cache-"+hash, "exited", job(4, "cache"), day)
	a.volume(slot1+"-cache-"+hash, nil, day)
	a.volume(slot1+"-cache-"+hash+"-protected", nil, day)
	a.volume(anoUsed, nil, day)
	// A job between two of its containers.
	a.box("between", "runner-abcdefgh-project-9-concurrent-0-predefined-0", "exited", job(5, "predefined"), time.Minute)
	a.box("between-too", "runner-abcdefgh-project-9-concurrent-0-cache-1", "exited", job(5, "cache"), day)
	// None of ours.
	own := a.box("runner", "lab-runner", "exited", map[string]string{converge.LabelStack: "lab", markPrefix + "managed": "true"}, day)
	own.ImageID = "sha256:used"
	a.box("web", "web", "exited", map[string]string{"com.gitlab.gitlab-runner": "x"}, day, "shared-cache")
	a.box("runner-x", "runner-project-concurrent", "exited", nil, day)
	a.volume("shared-cache", map[string]string{markPrefix + "managed": "true"}, day)
	a.volume("runner-cache-of-mine", nil, day)
	a.volume("runner-config", nil, day)
	a.images = []image.Summary{
		{ID: "sha256:built", Labels: job(1, ""), RepoTags: []string{"app:1", "app:2"}, Size: 50, SharedSize: 20, Created: noon.Add(-day).Unix()},
		{ID: "sha256:used", Labels: job(1, ""), Size: 50, Created: noon.Add(-day).Unix()},
		{ID: "sha256:bare", Labels: job(1, ""), RepoTags: []string{"<none>:<none>"}, Size: 50, SharedSize: -1, Created: noon.Add(-day).Unix()},
		{ID: "sha256:other", RepoTags: []string{"docker:28"}, Size: 50, Created: noon.Add(-day).Unix()},
	}
	return a
}

var goes = []string{
	"container left 110", "container svc 10", "container never 10", "network net-left 0", "volume runner-" + hash + "-cache-" + hash + " 100",
	"volume runner-" + hash + "-cache-" + hash + "-protected 100", "volume labelled 100", "image sha256:built 30", "image sha256:bare 50",
}

var stays = map[string]string{
	"build": "its job runs", "pre": "its job runs", "same-slot": "its job runs", "cache": "a container uses its volumes",
	"between": "its job may run", "between-too": "its job may run", "net-busy": "its job runs", "net-new": "its job may run",
	slot1 + "-cache-" + hash: "a container uses it", slot1 + "-cache-" + hash + "-protected": "its job runs",
	"shared-cache": "a container uses it", "sha256:used": "a container uses it",
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
	a.taken["labelled"] = errors.New("disk on fire")
	p, err := Prune(t.Context(), a, PruneOptions{Now: noon, Force: true})
	if err == nil || !strings.Contains(err.Error(), "remove volume labelled: disk on fire") {
		t.Errorf("got %v", err)
	}
	want := []string{"container never", "volume runner-" + hash + "-cache-" + hash, "volume runner-" + hash + "-cache-" + hash + "-protected",
		"image app:1", "image app:2", "image sha256:bare"}
	if diff := cmp.Diff(want, a.gone); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, l := range p.Leftovers {
		wants := map[string]string{"left": "it is in use", "net-left": "it is in use", "labelled": "it could not be removed"}[l.ID]
		if wants != "" && (l.Kept != wants || l.Removed) || l.ID == "svc" && !l.Removed {
			t.Errorf("got %+v", l)
		}
	}
	if p.Bytes != 10+10+100+100+30+50 {
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

// An age that is longer keeps more, and never less.
func TestPruneByAge(t *testing.T) {
	a := jobs()
	p, err := Prune(t.Context(), a, PruneOptions{Now: noon, Age: 48 * time.Hour})
	if err != nil || a.measured > 0 || slices.ContainsFunc(p.Leftovers, func(l Leftover) bool { return l.Kept == "" }) {
		t.Errorf("something goes, or its size was asked for: %+v, %v", p, err)
	}
}
