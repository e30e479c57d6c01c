package localdocker

import (
	"context"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/heptaup/hepta/runner/paas"
)

// volumesEngine is an Engine that has nothing but volumes.
type volumesEngine struct {
	Engine
	volumes []*volume.Volume
}

func (e *volumesEngine) ContainerRemove(context.Context, string, container.RemoveOptions) error {
	return nil
}

func (e *volumesEngine) ImageRemove(context.Context, string, image.RemoveOptions) ([]image.DeleteResponse, error) {
	return nil, nil
}

func (e *volumesEngine) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return nil, nil
}

func (e *volumesEngine) NetworkList(context.Context, network.ListOptions) ([]network.Summary, error) {
	return nil, nil
}

func (e *volumesEngine) VolumeList(_ context.Context, o volume.ListOptions) (out volume.ListResponse, err error) {
	for _, v := range e.volumes {
		if o.Filters.Match("name", v.Name) {
			out.Volumes = append(out.Volumes, v)
		}
	}
	return out, nil
}

func (e *volumesEngine) VolumeRemove(_ context.Context, name string, _ bool) error {
	e.volumes = slices.DeleteFunc(e.volumes, func(v *volume.Volume) bool { return v.Name == name })
	return nil
}

// A host takes the caches of its job with it, those of old runners, which are
// known by their names, and those of runners since 18, which are known by a
// label; what belongs to other hosts and other people stays.
func TestVolumesGoWithTheirHost(t *testing.T) {
	const host, other = "hpd-job-kvzWdEMo-275833", "hpd-job-kvzWdEMo-275834"
	labelled := func(name, of string) *volume.Volume {
		return &volume.Volume{Name: name, Labels: map[string]string{"com.gitlab.gitlab-runner.runner.id": paas.TokenOn(of) + "x"}}
	}
	e := &volumesEngine{volumes: []*volume.Volume{
		{Name: paas.ContainersOf(host) + "-project-1-concurrent-0-cache-3c3f060a0374fc8bc39395164f415a70"},
		labelled("runner-0f1e2d3c4b5a-cache-3c3f060a0374fc8bc39395164f415a70", host),
		labelled("runner-0f1e2d3c4b5a-cache-3c3f060a0374fc8bc39395164f415a70-protected", host),
		labelled("runner-99999999-cache-3c3f060a0374fc8bc39395164f415a70", other),
		{Name: "runner-88888888-cache-x"}, {Name: "shop"},
	}}
	if err := (&Provider{Engine: e}).Delete(t.Context(), paas.Host{ID: host, Name: host, Image: true}); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, v := range e.volumes {
		left = append(left, v.Name)
	}
	if want := []string{"runner-99999999-cache-3c3f060a0374fc8bc39395164f415a70", "runner-88888888-cache-x", "shop"}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}
