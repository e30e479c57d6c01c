package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// labelOnce is on every container that does one thing.
const labelOnce = converge.LabelOnce

// runOnce runs a container that does one thing and gives what it printed. The
// Engine removes the container when it ends, also when nobody waits any more;
// one that was never started is removed by whoever has the lock next.
func (l *Lock) runOnce(ctx context.Context, o converge.OneOff) ([]byte, error) {
	e, s := l.e, l.s
	labels := map[string]string{converge.LabelStack: s.Name, converge.LabelSchema: converge.Schema, labelOnce: "true"}
	if l.proof != "" {
		labels[converge.LabelProof] = l.proof
	}
	t, err := translate(s, &o.Container, labels, "", e.api)
	if err != nil {
		return nil, err
	}
	t.host.AutoRemove = true
	if err := l.removeLeftover(ctx, o.Container.Name); err != nil {
		return nil, err
	}
	made, err := e.api.ContainerCreate(ctx, t.config, t.host, t.net, nil, o.Container.Name)
	if err != nil {
		return nil, fmt.Errorf("create container %s: %w", o.Container.Name, err)
	}
	defer func() { // gone already, unless something failed
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
		if err := e.remove(ctx, made.ID); err != nil {
			e.log.Warn("remove container", "name", o.Container.Name, "error", err)
		}
	}()
	files, err := archiveOf(o.Files)
	if err != nil {
		return nil, err
	}
	if err := e.api.CopyToContainer(ctx, made.ID, "/", files, container.CopyToContainerOptions{}); err != nil {
		return nil, fmt.Errorf("put files into container %s: %w", o.Container.Name, err)
	}
	conn, err := e.api.ContainerAttach(ctx, made.ID, container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, fmt.Errorf("attach to container %s: %w", o.Container.Name, err)
	}
	defer conn.Close()
	// A read from the connection ends with the connection, not with ctx.
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	if err := e.api.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return nil, fmt.Errorf("start container %s: %w", o.Container.Name, err)
	}
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, conn.Reader); err != nil || ctx.Err() != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out.Bytes(), fmt.Errorf("wait for container %s: %w", o.Container.Name, err)
	}
	return out.Bytes(), nil
}

// removeLeftover removes a container of a killed run that has the name of one
// that is to do one thing. One that is somebody else's is in the way.
func (l *Lock) removeLeftover(ctx context.Context, name string) error {
	there, err := l.e.api.ContainerInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return unreachable("look at container "+name, err)
	}
	if labels := there.Config.Labels; labels[converge.LabelStack] != l.s.Name || labels[labelOnce] == "" {
		return &fault.Error{Op: "create container", What: name, Why: fmt.Sprintf("the name belongs to a container of somebody else (%s)", there.Config.Image),
			Remedy: fmt.Sprintf("Rename that container: docker rename %[1]s other-%[1]s", name)}
	}
	return l.e.remove(ctx, there.ID)
}

// abandoned are the containers of a killed run that were never started, which
// nothing else takes away: its lock, and those that were to do one thing.
func abandoned(s *converge.Stack, o *converge.Observed) []converge.ObservedContainer {
	var list []converge.ObservedContainer
	for _, c := range o.Containers {
		if c.State != container.StateCreated || c.Labels[converge.LabelStack] != s.Name {
			continue
		}
		isLock := c.Name == s.LockName() && c.Labels[converge.LabelOwner] != ""
		isOnce := c.Labels[labelOnce] != "" && c.Labels[converge.LabelProof] == o.Identity.ID
		if isLock || isOnce {
			list = append(list, c)
		}
	}
	return list
}

// sweep removes what a killed run left that was to do one thing. Such
// containers are made under the lock alone, so that the caller's lock makes
// any that there is an abandoned one; the lock itself stays.
func (l *Lock) sweep(ctx context.Context, o *converge.Observed) error {
	for _, c := range abandoned(l.s, o) {
		if c.Labels[labelOnce] == "" {
			continue
		}
		if err := l.e.remove(ctx, c.ID); err != nil {
			return fmt.Errorf("remove container %s, left by an interrupted run: %w", c.Name, err)
		}
	}
	return nil
}

// archiveOf packs files by their absolute paths, for their owner alone.
func archiveOf(files map[string]string) (*bytes.Buffer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		head := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: 0o600, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(head); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack files: %w", err)
	}
	return &archive, nil
}
