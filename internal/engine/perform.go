package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// applyTime bounds an Apply that says nothing itself.
const applyTime = 10 * time.Minute

// refusalBytes bounds what is kept of what an Apply said.
const refusalBytes = 400

// shortID is the length of the id that an Engine shows and adds to aliases.
const shortID = 12

// perform is one operation: one call, and what is needed to know that it
// took effect. What is there already, or gone already, is as good as done.
func (x *execution) perform(ctx context.Context, op converge.Operation) error {
	api := x.l.e.api
	switch op.Kind {
	case converge.CreateNetwork:
		made, err := x.l.e.createNetwork(ctx, op)
		if err == nil {
			x.sees(made)
		}
		return err
	case converge.RemoveNetwork:
		return unlessGone(api.NetworkRemove(ctx, op.Target))
	case converge.ConnectNetwork:
		return x.connect(ctx, op)
	case converge.CreateVolume:
		_, err := api.VolumeCreate(ctx, volume.CreateOptions{Name: op.Volume.Name, Labels: op.Labels})
		return err
	case converge.RemoveVolume:
		return unlessGone(api.VolumeRemove(ctx, op.Target, false))
	case converge.PullImage:
		return x.l.e.pull(ctx, op.Target, op.ID)
	case converge.CreateContainer:
		return x.create(ctx, op)
	case converge.StartContainer:
		return x.start(ctx, op)
	case converge.StopContainer:
		return unlessGone(api.ContainerStop(ctx, x.id(op.Target), container.StopOptions{}))
	case converge.RemoveContainer:
		return x.remove(ctx, op)
	case converge.RenameContainer:
		return api.ContainerRename(ctx, x.id(op.Target), op.NewName)
	case converge.WaitContainer:
		return x.wait(ctx, op)
	case converge.WriteFile:
		return x.write(ctx, op)
	case converge.RestoreFiles:
		return x.l.restore(ctx, op.Files, op.Keep)
	case converge.RunInContainer:
		return x.apply(ctx, op)
	case converge.RunTask:
		return op.Task.Run(ctx, host{l: x.l, op: op, find: x.find})
	}
	return fmt.Errorf("operation %q is not known", op.Kind)
}

func unlessGone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// mtuOption is the option of a bridge network for the size of its packets.
const mtuOption = "com.docker.network.driver.mtu"

// createNetwork makes a network that is there once. Engines before 23 can make
// two of one name when two clients ask at once, so what was made is listed and
// the extras are deleted: everybody keeps the same one.
func (e *Engine) createNetwork(ctx context.Context, op converge.Operation) (converge.ObservedNetwork, error) {
	var none converge.ObservedNetwork
	opts := network.CreateOptions{Driver: "bridge", Internal: op.Network.Internal, Labels: op.Labels}
	if op.Network.MTU > 0 {
		opts.Options = map[string]string{mtuOption: fmt.Sprint(op.Network.MTU)}
	}
	if _, err := e.api.NetworkCreate(ctx, op.Network.Name, opts); err != nil && !errdefs.IsConflict(err) {
		return none, err
	}
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", op.Network.Name))})
	if err != nil {
		return none, err
	}
	list = slices.DeleteFunc(list, func(n network.Summary) bool { return n.Name != op.Network.Name })
	switch len(list) {
	case 0:
		return none, fmt.Errorf("network %s is gone as soon as it was made", op.Network.Name)
	case 1:
		return observedNetwork(list[0]), nil
	}
	used := make(map[string]bool)
	for _, n := range list {
		full, err := e.api.NetworkInspect(ctx, n.ID, network.InspectOptions{})
		if err != nil && !errdefs.IsNotFound(err) {
			return none, err
		}
		used[n.ID] = len(full.Containers) > 0
	}
	slices.SortFunc(list, func(a, b network.Summary) int {
		if used[a.ID] != used[b.ID] {
			if used[a.ID] {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	for _, n := range list[1:] {
		if used[n.ID] || n.Labels[converge.LabelStack] == "" {
			continue
		}
		if err := unlessGone(e.api.NetworkRemove(ctx, n.ID)); err != nil {
			return none, fmt.Errorf("remove the second network %s: %w", n.ID, err)
		}
	}
	return observedNetwork(list[0]), nil
}

func (x *execution) connect(ctx context.Context, op converge.Operation) error {
	settings, err := x.l.e.endpointLike(ctx, op)
	if err != nil {
		return err
	}
	for _, a := range op.Container.Networks {
		if a.Network == op.Network.Name {
			settings.Aliases = a.Aliases
		}
	}
	return x.l.e.api.NetworkConnect(ctx, op.Network.Name, x.id(op.Target), settings)
}

// endpointLike is how a container was connected whose place another one takes;
// empty where there is none.
func (e *Engine) endpointLike(ctx context.Context, op converge.Operation) (*network.EndpointSettings, error) {
	settings := &network.EndpointSettings{}
	if op.Like == "" {
		return settings, nil
	}
	old, err := e.api.ContainerInspect(ctx, op.Like)
	if err != nil {
		return nil, fmt.Errorf("look how %s is connected: %w", op.Like, err)
	}
	if old.NetworkSettings == nil || old.NetworkSettings.Networks[op.Network.Name] == nil {
		return settings, nil
	}
	was := old.NetworkSettings.Networks[op.Network.Name]
	settings.IPAMConfig, settings.Links, settings.DriverOpts, settings.GwPriority = was.IPAMConfig, was.Links, was.DriverOpts, was.GwPriority
	// Engines before 25 add the container's own id.
	settings.Aliases = slices.DeleteFunc(slices.Clone(was.Aliases), func(a string) bool { return len(a) == shortID && strings.HasPrefix(old.ID, a) })
	return settings, nil
}

func (x *execution) create(ctx context.Context, op converge.Operation) error {
	api, labels := x.l.e.api, op.Labels
	if labels[converge.LabelImageID] == "" { // it was not there when the plan was made
		image, err := api.ImageInspect(ctx, op.Container.Image)
		if err != nil {
			return fmt.Errorf("image %s: %w", op.Container.Image, err)
		}
		labels = maps.Clone(labels)
		labels[converge.LabelImageID] = image.ID
	}
	gateway := x.observed().Network(converge.DefaultNetwork).Gateway
	if gateway == "" && slices.ContainsFunc(op.Container.Ports, func(p converge.Port) bool { return p.HostIP == converge.HostGateway }) {
		return &fault.Error{Op: string(op.Kind), What: op.Name(), Why: "the Engine has no default network on which to publish a port for containers alone",
			Remedy: "Name an address of the Docker host in hepta.yaml."}
	}
	t, err := translate(x.l.s, op.Container, labels, gateway, api)
	if err != nil {
		return err
	}
	if labels[converge.LabelProof] != "" {
		t.host.Mounts = append(t.host.Mounts, guards(x.l.s, op.Container)...)
	}
	made, err := api.ContainerCreate(ctx, t.config, t.host, t.net, nil, op.Target)
	if noSource(err) {
		if err := x.l.makeDirectories(ctx, op.Container, wasMarked(x.l.s, x.observed(), op.Container)); err != nil {
			return err
		}
		made, err = api.ContainerCreate(ctx, t.config, t.host, t.net, nil, op.Target)
	}
	if err != nil {
		return mountFault(x.l.s, op, err)
	}
	for _, w := range made.Warnings {
		x.l.e.log.Warn("create container", "name", op.Target, "warning", w)
	}
	for _, a := range t.later {
		if err := api.NetworkConnect(ctx, a.Network, made.ID, &network.EndpointSettings{Aliases: a.Aliases}); err != nil {
			return fmt.Errorf("connect to network %s: %w", a.Network, err)
		}
	}
	x.mu.Lock()
	x.ids[op.Target] = made.ID
	x.mu.Unlock()
	return nil
}

func (x *execution) start(ctx context.Context, op converge.Operation) error {
	id := x.id(op.Target)
	if err := x.l.e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return x.l.e.startFault(ctx, x.l.s, op, err)
	}
	x.mu.Lock()
	x.services[op.Container.Service] = id
	x.mu.Unlock()
	if len(op.Applies) == 0 {
		return nil
	}
	return x.l.unmark(ctx, op.Applies)
}

// wait makes its container the one that serves, also where an earlier run has
// started it.
func (x *execution) wait(ctx context.Context, op converge.Operation) error {
	id := x.id(op.Target)
	x.mu.Lock()
	x.services[op.Container.Service] = id
	x.mu.Unlock()
	if err := x.l.e.waitReady(ctx, id, op, host{l: x.l, op: op, find: x.find}); err != nil {
		return err
	}
	return x.l.forget(ctx, op.Files)
}

func (x *execution) remove(ctx context.Context, op converge.Operation) error {
	if err := x.l.e.remove(ctx, x.id(op.Target)); err != nil {
		return err
	}
	return x.l.forget(ctx, op.Files)
}

// remove forces a container out and returns when its name is free.
func (e *Engine) remove(ctx context.Context, id string) error {
	err := e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if !errdefs.IsConflict(err) {
		return unlessGone(err)
	}
	// Somebody is at it already.
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, look := e.api.ContainerInspect(ctx, id)
		if errdefs.IsNotFound(look) {
			return nil
		}
		if sleep(ctx, pause) != nil {
			return err
		}
	}
}

// write renders and places a file. What is there is looked at once more where
// the content depends on it.
func (x *execution) write(ctx context.Context, op converge.Operation) error {
	f := op.File
	content := f.Content
	var seen converge.ObservedFile
	if f.Once || f.Merge != nil {
		var err error
		if seen, err = x.l.look(ctx, f.Path); err != nil {
			return err
		}
		if f.Once && seen.Exists {
			return nil
		}
		var current []byte
		if seen.Exists {
			current = seen.Content
		}
		if content, err = f.Render(x.observed(), current); err != nil {
			return err
		}
		if same := seen.Exists && bytes.Equal(content, current) && fs.FileMode(seen.Mode).Perm() == f.Perm() &&
			seen.UID == f.UID && seen.GID == f.GID; same && op.Apply == nil {
			return nil
		}
	}
	return x.l.write(ctx, f.Path, content, f.Perm(), f.UID, f.GID, writing{old: seen.ModTime, pending: op.Apply != nil, keep: op.Keep})
}

// apply makes a running container take changed files over.
func (x *execution) apply(ctx context.Context, op converge.Operation) error {
	name, err := x.find(op.Target)
	if err != nil {
		return err
	}
	limit := cmp.Or(op.Apply.Timeout, applyTime)
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, err := x.l.e.Exec(bounded, name, ExecOptions{Cmd: op.Apply.Cmd})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &fault.Error{Op: "run", What: op.Apply.Cmd[0], Why: fmt.Sprintf("not finished after %s", limit),
			Remedy: "See what it waits for in the container's logs, then run hepta up again.", Err: err}
	}
	if err != nil {
		return err
	}
	if result.ExitCode != 0 {
		said, last := tail(string(append(result.Stdout, result.Stderr...)), evidence), lastLine(result.Stderr, result.Stdout, result.ExitCode)
		if c := x.l.s.Container(op.Apply.Service); c != nil {
			said, last = c.Hidden(said), c.Hidden(last)
		}
		failed := &fault.Error{Op: "run", What: op.Apply.Cmd[0],
			Why:    fmt.Sprintf("exit code %d\n%s", result.ExitCode, said),
			Remedy: "Repair what it complains about in hepta.yaml and run hepta up again: until then a restart of " + op.Apply.Service + " may fail as well."}
		return errors.Join(failed, x.l.markRefused(ctx, op.Applies, strings.ToValidUTF8(last[:min(len(last), refusalBytes)], "")))
	}
	return x.l.unmark(ctx, op.Applies)
}

// input is stdin for an exec: nothing when there is nothing.
func input(b []byte) io.Reader {
	if b == nil {
		return nil
	}
	return bytes.NewReader(b)
}
