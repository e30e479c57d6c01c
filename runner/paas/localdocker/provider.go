package localdocker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/heptaup/hepta/runner/paas"
)

// Engine is what is needed of a Docker client.
type Engine interface {
	ImageBuild(ctx context.Context, files io.Reader, options build.ImageBuildOptions) (build.ImageBuildResponse, error)
	ImageRemove(ctx context.Context, image string, options image.RemoveOptions) ([]image.DeleteResponse, error)
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, net *network.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error)
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	ContainerStart(ctx context.Context, container string, options container.StartOptions) error
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	VolumeList(ctx context.Context, options volume.ListOptions) (volume.ListResponse, error)
	VolumeRemove(ctx context.Context, volume string, force bool) error
	NetworkList(ctx context.Context, options network.ListOptions) ([]network.Summary, error)
	NetworkRemove(ctx context.Context, network string) error
}

// Provider is an Engine as a provider of hosts: a host is an image of its job
// and the container that runs it, both with the same name.
type Provider struct {
	Engine Engine
	Socket string // of the Engine, as a path on its machine; default /var/run/docker.sock
	// CallLimit bounds each call, 30 s; BuildLimit the build of an image, which
	// may pull another one, 15 min.
	CallLimit, BuildLimit time.Duration
	// Labels are put on all that is made.
	Labels map[string]string
}

var _ paas.Provider = (*Provider)(nil)

// hostLabel holds a host's name: names of images are in lower case.
const hostLabel = "hepta.paas.host"

func (p *Provider) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, p.CallLimit, 30*time.Second)
}

func within(ctx context.Context, limit, otherwise time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		limit = otherwise
	}
	return context.WithTimeout(ctx, limit)
}

// Flavors are none: the Engine is as big as it is.
func (p *Provider) Flavors(context.Context) (paas.Flavors, error) { return nil, nil }

// Create only names the host; Push makes it.
func (p *Provider) Create(_ context.Context, _, name string, _ paas.Flavor) (paas.Host, error) {
	return paas.Host{ID: imageOf(name), Name: name, Image: true}, nil
}

// imageOf is what the image and the container of a host are called: its name
// in lower case, unless an Engine does not take that. Tokens, and so the names,
// have dashes and underscores in any place.
func imageOf(name string) string {
	lower := strings.ToLower(name)
	if _, err := reference.ParseNormalizedNamed(lower); err == nil {
		return lower
	}
	sum := sha256.Sum256([]byte(name))
	return "hpd-job-" + hex.EncodeToString(sum[:12])
}

// Prepare has nothing to do.
func (p *Provider) Prepare(_ context.Context, h paas.Host) (paas.Host, error) { return h, nil }

// Push builds the image and starts the container. A container that is there
// was perhaps not started, or has ended: it is never made a second time.
func (p *Provider) Push(ctx context.Context, h paas.Host, f paas.Files) error {
	there, err := p.status(ctx, h)
	if err == nil && there == "" {
		if err = p.build(ctx, h, f); err == nil {
			err = p.create(ctx, h)
		}
		there = container.StateCreated
	}
	if err == nil && there == container.StateCreated {
		limited, cancel := p.limited(ctx)
		defer cancel()
		err = p.Engine.ContainerStart(limited, h.ID, container.StartOptions{})
	}
	if err != nil {
		return fmt.Errorf("hand job over to host %s: %w", h.Name, err)
	}
	return nil
}

// status is that of the host's container, empty when there is none.
func (p *Provider) status(ctx context.Context, h paas.Host) (container.ContainerState, error) {
	ctx, cancel := p.limited(ctx)
	defer cancel()
	c, err := p.Engine.ContainerInspect(ctx, h.ID)
	switch {
	case errdefs.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", err
	case c.ContainerJSONBase == nil || c.State == nil:
		return "", errors.New("the Engine does not say how its container is")
	}
	return c.State.Status, nil
}

func (p *Provider) labels(h paas.Host) map[string]string {
	out := map[string]string{}
	maps.Copy(out, p.Labels)
	out[hostLabel] = h.Name
	return out
}

func (p *Provider) build(ctx context.Context, h paas.Host, f paas.Files) error {
	ctx, cancel := within(ctx, p.BuildLimit, 15*time.Minute)
	defer cancel()
	files, err := archive(f)
	if err != nil {
		return err
	}
	resp, err := p.Engine.ImageBuild(ctx, files, build.ImageBuildOptions{
		Tags: []string{h.ID}, Labels: p.labels(h), Version: build.BuilderV1, Remove: true, ForceRemove: true,
	})
	if err != nil {
		return fmt.Errorf("build image: %w", err)
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var said struct{ Error string }
		switch err := dec.Decode(&said); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("build image: %w", err)
		case said.Error != "":
			return fmt.Errorf("build image: %s", said.Error)
		}
	}
}

func archive(f paas.Files) (io.Reader, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(f[name]))}); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := w.Write(f[name]); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	return &b, w.Close()
}

func (p *Provider) create(ctx context.Context, h paas.Host) error {
	ctx, cancel := p.limited(ctx)
	defer cancel()
	socket := p.Socket
	if socket == "" {
		socket = "/var/run/docker.sock"
	}
	_, err := p.Engine.ContainerCreate(ctx,
		&container.Config{Image: h.ID, Tty: true, Labels: p.labels(h)},
		&container.HostConfig{Binds: []string{socket + ":/var/run/docker.sock"}}, nil, nil, h.ID)
	if err != nil && !errdefs.IsConflict(err) {
		return fmt.Errorf("create container: %w", err)
	}
	return nil
}

// Delete removes the container, what the runner in it made beside it, and the
// image, by which a host is found that was removed in part.
func (p *Provider) Delete(ctx context.Context, h paas.Host) error {
	limited, cancel := p.limited(ctx)
	defer cancel()
	err := gone(p.Engine.ContainerRemove(limited, h.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	if err == nil {
		err = p.clean(limited, h.Name)
	}
	if err == nil {
		_, err = p.Engine.ImageRemove(limited, h.ID, image.RemoveOptions{Force: true, PruneChildren: true})
		err = gone(err)
	}
	if err != nil {
		return fmt.Errorf("delete host %s: %w", h.Name, err)
	}
	return nil
}

func gone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// runnerLabel is what a runner puts its short token into, on all that it makes.
const runnerLabel = "com.gitlab.gitlab-runner.runner.id"

// clean removes what the runner of a host made: containers, volumes and
// networks, by the beginning of their names, and volumes by their label, too.
// These are caches that no later job will find, and all of a job whose host was
// removed under it.
func (p *Provider) clean(ctx context.Context, host string) error {
	prefix, runner := paas.ContainersOf(host), paas.TokenOn(host)
	// The Engine finds a name by any part of it.
	named := filters.NewArgs(filters.Arg("name", prefix))
	containers, err := p.Engine.ContainerList(ctx, container.ListOptions{All: true, Filters: named})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers {
		if !slices.ContainsFunc(c.Names, func(name string) bool { return strings.HasPrefix(name, "/"+prefix) }) {
			continue
		}
		if err := gone(p.Engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})); err != nil {
			return fmt.Errorf("remove container: %w", err)
		}
	}
	// Since 18.x the names of volumes are made of a hash, and a label has the
	// runner. Images give their labels to containers, but not to volumes.
	volumes, err := p.Engine.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range volumes.Volumes {
		if !strings.HasPrefix(v.Name, prefix) && !strings.HasPrefix(v.Labels[runnerLabel], runner) {
			continue
		}
		if err := gone(p.Engine.VolumeRemove(ctx, v.Name, true)); err != nil {
			return fmt.Errorf("remove volume: %w", err)
		}
	}
	networks, err := p.Engine.NetworkList(ctx, network.ListOptions{Filters: named})
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	for _, n := range networks {
		if !strings.HasPrefix(n.Name, prefix) {
			continue
		}
		if err := gone(p.Engine.NetworkRemove(ctx, n.ID)); err != nil {
			return fmt.Errorf("remove network: %w", err)
		}
	}
	return nil
}

// List finds hosts by their images: there is no container without one.
func (p *Provider) List(ctx context.Context, _, prefix string) ([]paas.Host, error) {
	ctx, cancel := p.limited(ctx)
	defer cancel()
	images, err := p.Engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", hostLabel))})
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	var out []paas.Host
	for _, i := range images {
		name := i.Labels[hostLabel]
		tagged := slices.ContainsFunc(i.RepoTags, func(tag string) bool { return strings.HasPrefix(tag, imageOf(name)+":") })
		if tagged && strings.HasPrefix(name, prefix) {
			out = append(out, paas.Host{ID: imageOf(name), Name: name, Image: true})
		}
	}
	return out, nil
}
