package engine

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fake is an Engine that records its calls and fails those that it is told to.
type fake struct {
	API
	version string

	mu       sync.Mutex
	calls    []string
	busy     int // calls under way
	most     int // calls under way at once
	fail     map[string]error
	hold     map[string]chan struct{} // calls that wait for it to be closed
	created  map[string]creation
	networks []network.Summary
	used     map[string]bool // networks with containers
	list     []container.Summary
	states   []container.State          // what inspects give, one after the other
	byID     map[string]container.State // what inspects of one container give
	pulls    []string                   // what pulls give, one after the other
	logs     string
	labels   map[string]string // of a container that is inspected
	written  []*tar.Header     // of files that were put
	follow   io.ReadCloser     // what a followed log gives; nil: logs
}

func newFake() *fake {
	return &fake{version: "1.45", fail: make(map[string]error), hold: make(map[string]chan struct{}), created: make(map[string]creation), used: make(map[string]bool)}
}

// call records a call, and fails or delays it as told.
func (f *fake) call(ctx context.Context, format string, args ...any) error {
	name := fmt.Sprintf(format, args...)
	f.mu.Lock()
	f.calls = append(f.calls, name)
	f.busy++
	f.most = max(f.most, f.busy)
	err, hold := f.fail[name], f.hold[name]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.busy--
	}()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return cmp.Or(err, ctx.Err())
}

func (f *fake) did(name string) bool { return f.count(name) > 0 }

func (f *fake) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == name {
			n++
		}
	}
	return n
}

// order gives the calls that begin with one of the prefixes.
func (f *fake) order(prefixes ...string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, c := range f.calls {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(c, p) }) {
			list = append(list, c)
		}
	}
	return list
}

func (f *fake) ClientVersion() string { return f.version }

func (f *fake) Events(ctx context.Context, _ events.ListOptions) (<-chan events.Message, <-chan error) {
	return make(chan events.Message), make(chan error)
}

func (f *fake) ContainerList(ctx context.Context, _ container.ListOptions) ([]container.Summary, error) {
	return f.list, f.call(ctx, "list containers")
}

func (f *fake) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	if err := f.call(ctx, "inspect %s", id); err != nil {
		return container.InspectResponse{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	state := container.State{Status: container.StateRunning, Running: true}
	if s, ok := f.byID[id]; ok {
		state = s
	} else if len(f.states) > 0 {
		state, f.states = f.states[0], f.states[1:]
	}
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: id, State: &state}, Config: &container.Config{Labels: f.labels}}, nil
}

func (f *fake) ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, net *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	err := f.call(ctx, "create %s", name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.created[name] = creation{config: config, host: host, net: net}
	return container.CreateResponse{ID: "id-" + name}, err
}

func (f *fake) ContainerStart(ctx context.Context, id string, _ container.StartOptions) error {
	return f.call(ctx, "start %s", id)
}

func (f *fake) ContainerStop(ctx context.Context, id string, _ container.StopOptions) error {
	return f.call(ctx, "stop %s", id)
}

func (f *fake) ContainerRemove(ctx context.Context, id string, _ container.RemoveOptions) error {
	return f.call(ctx, "remove %s", id)
}

func (f *fake) ContainerRename(ctx context.Context, id, name string) error {
	return f.call(ctx, "rename %s %s", id, name)
}

func (f *fake) ContainerAttach(ctx context.Context, id string, _ container.AttachOptions) (types.HijackedResponse, error) {
	here, _ := net.Pipe()
	return types.NewHijackedResponse(here, ""), f.call(ctx, "attach %s", id)
}

func (f *fake) ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error) {
	if o.Follow && f.follow != nil {
		return f.follow, nil
	}
	var b strings.Builder
	for _, line := range strings.SplitAfter(f.logs, "\n") {
		if line != "" {
			b.WriteString(string([]byte{1, 0, 0, 0, 0, 0, 0, byte(len(line))}) + line)
		}
	}
	return io.NopCloser(strings.NewReader(b.String())), f.call(ctx, "logs %s", id)
}

func (f *fake) ContainerExecCreate(ctx context.Context, id string, o container.ExecOptions) (container.ExecCreateResponse, error) {
	return container.ExecCreateResponse{ID: "exec"}, f.call(ctx, "exec %s %s", id, o.Cmd[0])
}

func (f *fake) ContainerExecAttach(context.Context, string, container.ExecAttachOptions) (types.HijackedResponse, error) {
	here, there := net.Pipe()
	_ = there.Close()
	return types.HijackedResponse{Conn: here, Reader: bufio.NewReader(here)}, nil
}

func (f *fake) ContainerExecInspect(context.Context, string) (container.ExecInspect, error) {
	return container.ExecInspect{}, nil
}

func (f *fake) CopyToContainer(ctx context.Context, id, path string, content io.Reader, _ container.CopyToContainerOptions) error {
	if head, err := tar.NewReader(content).Next(); err == nil {
		f.mu.Lock()
		f.written = append(f.written, head)
		f.mu.Unlock()
	}
	return f.call(ctx, "put %s %s", id, path)
}

func (f *fake) CopyFromContainer(ctx context.Context, id, path string) (io.ReadCloser, container.PathStat, error) {
	return nil, container.PathStat{}, cmp.Or[error](f.call(ctx, "get %s %s", id, path), errdefs.ErrNotFound)
}

func (f *fake) ImageInspect(ctx context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	return image.InspectResponse{ID: "sha256:" + ref}, f.call(ctx, "image %s", ref)
}

func (f *fake) ImagePull(ctx context.Context, ref string, _ image.PullOptions) (io.ReadCloser, error) {
	if err := f.call(ctx, "pull %s", ref); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pulls) == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	text := f.pulls[0]
	f.pulls = f.pulls[1:]
	if text, ok := strings.CutPrefix(text, "refused: "); ok {
		return nil, errors.New(text)
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (f *fake) NetworkList(ctx context.Context, _ network.ListOptions) ([]network.Summary, error) {
	err := f.call(ctx, "list networks")
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.networks), err
}

func (f *fake) NetworkInspect(ctx context.Context, id string, _ network.InspectOptions) (network.Inspect, error) {
	n := network.Inspect{ID: id}
	if f.used[id] {
		n.Containers = map[string]network.EndpointResource{"c": {}}
	}
	return n, f.call(ctx, "inspect network %s", id)
}

func (f *fake) NetworkCreate(ctx context.Context, name string, o network.CreateOptions) (network.CreateResponse, error) {
	err := f.call(ctx, "create network %s", name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.networks = append(f.networks, network.Summary{Name: name, ID: fmt.Sprintf("n%d", len(f.networks)), Labels: o.Labels, Options: o.Options})
	}
	return network.CreateResponse{}, err
}

func (f *fake) NetworkRemove(ctx context.Context, id string) error {
	return f.call(ctx, "remove network %s", id)
}

func (f *fake) NetworkConnect(ctx context.Context, name, id string, s *network.EndpointSettings) error {
	return f.call(ctx, "connect %s %s %s", name, id, strings.Join(s.Aliases, ","))
}

func (f *fake) VolumeCreate(ctx context.Context, o volume.CreateOptions) (volume.Volume, error) {
	return volume.Volume{}, f.call(ctx, "create volume %s", o.Name)
}

func (f *fake) VolumeRemove(ctx context.Context, name string, _ bool) error {
	return f.call(ctx, "remove volume %s", name)
}
