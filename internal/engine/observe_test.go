package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"

	"github.com/heptaup/hepta/internal/converge"
)

// parting is an Engine one of whose containers leaves while its files are looked at.
type parting struct {
	*fake
	lists [][]container.Summary // what lists give, one after the other, the last for ever
	stat  map[string]error      // by container
	gone  map[string]error      // what inspects of it give
}

func (p *parting) ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error) {
	list := p.lists[0]
	if len(p.lists) > 1 {
		p.lists = p.lists[1:]
	}
	return list, p.call(ctx, "list containers")
}

func (p *parting) ContainerStatPath(ctx context.Context, id, path string) (container.PathStat, error) {
	if err := p.call(ctx, "stat %s", id); err != nil {
		return container.PathStat{}, err
	}
	return container.PathStat{}, p.stat[id]
}

func (p *parting) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	if err := p.gone[id]; err != nil {
		return container.InspectResponse{}, err
	}
	return p.fake.ContainerInspect(ctx, id)
}

func (p *parting) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return nil, nil
}

func showing(id string, labels map[string]string) container.Summary {
	labels[converge.LabelStack] = "lab"
	return container.Summary{ID: id, Labels: labels, State: "running", Mounts: []container.MountPoint{
		{Type: "bind", Source: "/srv/lab", Destination: "/data", RW: true}, {Type: "bind", Source: "/srv/lab/a", Destination: "/a", RW: true},
	}}
}

func TestObserveWhileContainersLeave(t *testing.T) {
	lock := showing("lock", map[string]string{converge.LabelOwner: "someone"})
	old, young := showing("old", map[string]string{converge.LabelService: "a"}), showing("young", map[string]string{converge.LabelService: "a"})
	noSuch := fmt.Errorf("no such container: old: %w", errdefs.ErrNotFound)
	broken := errors.New("RWLayer of container old is unexpectedly nil")
	for name, c := range map[string]struct {
		lists [][]container.Summary
		stat  error
		gone  error
	}{
		"a lock shows nothing":                   {lists: [][]container.Summary{{lock, young}}},
		"a gone container is not a missing file": {lists: [][]container.Summary{{old}, {young}}, stat: noSuch, gone: noSuch},
		"an error of a container that leaves":    {lists: [][]container.Summary{{old}, {young}}, stat: broken, gone: noSuch},
	} {
		t.Run(name, func(t *testing.T) {
			f := &parting{fake: newFake(), lists: c.lists, gone: map[string]error{"old": c.gone, "lock": noSuch},
				stat: map[string]error{"old": c.stat, "lock": noSuch, "young": fmt.Errorf("could not find the file: %w", errdefs.ErrNotFound)}}
			s := &converge.Stack{Name: "lab", Data: "/srv/lab", Files: []converge.File{{Path: "a"}}}
			o, err := New(f, nil, nil).Observe(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if seen, looked := o.Files["a"]; !looked || seen.Exists || !f.did("stat young") {
				t.Errorf("seen %+v, looked %v, calls %v", seen, looked, f.calls)
			}
		})
	}
}

// Under a lock the files of a stack without containers are seen through it.
func TestObserveUnderLock(t *testing.T) {
	lock := showing("lock", map[string]string{converge.LabelOwner: "me"})
	f := &parting{fake: newFake(), lists: [][]container.Summary{{lock}}, stat: map[string]error{"lock": fmt.Errorf("could not find the file: %w", errdefs.ErrNotFound)}}
	s := &converge.Stack{Name: "lab", Data: "/srv/lab", Files: []converge.File{{Path: "a"}}}
	for id, want := range map[string]bool{"lock": true, "": false} {
		o, err := New(f, nil, nil).observeFrom(t.Context(), s, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, looked := o.Files["a"]; looked != want {
			t.Errorf("own lock %q: looked %v", id, looked)
		}
	}
}

// What an Engine says of a container that stays is told.
func TestObserveTellsErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	f := &parting{fake: newFake(), lists: [][]container.Summary{{showing("c", map[string]string{converge.LabelService: "a"})}}, stat: map[string]error{"c": broken}}
	s := &converge.Stack{Name: "lab", Data: "/srv/lab", Files: []converge.File{{Path: "a"}}}
	if _, err := New(f, nil, nil).Observe(t.Context(), s); !errors.Is(err, broken) || f.count("list containers") != 1 {
		t.Errorf("err %v, calls %v", err, f.calls)
	}
}

// A volume may be a directory of the host, which counts as a mount of it.
func TestVolumesThatAreDirectories(t *testing.T) {
	for _, c := range []struct {
		driver, o, device, want string
	}{
		{"local", "bind", "/srv/hepta/", "/srv/hepta"},
		{"local", "rw,rbind", "/srv", "/srv"},
		{"local", "addr=10.0.0.1,rw", ":/export", ""},
		{"local", "", "", ""},
		{"nfs", "bind", "/srv/hepta", ""},
	} {
		v := &volume.Volume{Driver: c.driver, Options: map[string]string{"type": "none", "o": c.o, "device": c.device}}
		if got := deviceOf(v); got != c.want {
			t.Errorf("%+v is %q", c, got)
		}
	}
	named := func(name, service string, readOnly bool) converge.ObservedContainer {
		return converge.ObservedContainer{Service: service, Mounts: []converge.ObservedMount{{Volume: name, ReadOnly: readOnly}}}
	}
	for name, want := range map[string]bool{"forge_data": true, strings.Repeat("0a", 32): false} {
		if got := mountsNamedVolume(named(name, "", false)); got != want {
			t.Errorf("a volume %s of somebody else: %v", name, got)
		}
		if mountsNamedVolume(named(name, "heptapod", false)) || mountsNamedVolume(named(name, "", true)) {
			t.Errorf("a volume %s of ours, or one that is only read, is asked for", name)
		}
	}
}
