package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta/internal/converge"
)

const peerName = "peer"

// peer brings up, with compose, what hepta has made: the same containers on a
// copy of the same files, under other names and host ports.
func (b *bench) peer(ctx context.Context) error {
	if b.peerProject != "" {
		return nil
	}
	b.say("bring the same up with compose")
	if err := b.copyData(ctx); err != nil {
		return err
	}
	list, err := b.inner.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", converge.LabelStack+"="+stackName))})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	services := map[string]any{}
	for _, c := range list {
		made, err := b.inner.ContainerInspect(ctx, c.ID)
		if err != nil {
			return fmt.Errorf("look at container: %w", err)
		}
		services[c.Labels[converge.LabelService]] = composeService(made)
	}
	file := filepath.Join(b.dir, "compose.json")
	if err := writeJSON(file, map[string]any{
		"name": peerName, "services": services, "networks": map[string]any{"web": map[string]any{"name": peerName}},
	}); err != nil {
		return err
	}
	if err := b.command(b.compose, "-f", file, "up", "-d", "--wait")(ctx); err != nil {
		return err
	}
	b.peerProject = file
	return nil
}

// copyData copies the stack's files while it runs; they are small.
func (b *bench) copyData(ctx context.Context) error {
	parent := filepath.Dir(dataDir)
	script := fmt.Sprintf("rm -rf /data/%[2]s && cp -a /data/%[1]s /data/%[2]s", filepath.Base(dataDir), filepath.Base(peerData))
	made, err := b.inner.ContainerCreate(ctx, &container.Config{Image: b.small, Entrypoint: []string{"sh", "-c", script}},
		&container.HostConfig{Binds: []string{parent + ":/data"}}, nil, nil, "")
	if err != nil {
		return fmt.Errorf("copy files: %w", err)
	}
	defer b.inner.ContainerRemove(context.WithoutCancel(ctx), made.ID, container.RemoveOptions{Force: true})
	ended, failed := b.inner.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := b.inner.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return fmt.Errorf("copy files: %w", err)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("copy files: %w", err)
	case e := <-ended:
		if e.StatusCode != 0 {
			return fmt.Errorf("copy files: exit code %d: %s", e.StatusCode, b.said(ctx, made.ID))
		}
	}
	return nil
}

// said is what a container has printed.
func (b *bench) said(ctx context.Context, id string) string {
	logs, err := b.inner.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "10"})
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil && err != io.EOF {
		return err.Error()
	}
	return strings.TrimSpace(out.String())
}

// composeService is a container of hepta's in the words of compose.
func composeService(c container.InspectResponse) map[string]any {
	labels := map[string]string{}
	for k, v := range c.Config.Labels {
		if !strings.HasPrefix(k, converge.LabelPrefix) {
			labels[k] = escaped(v)
		}
	}
	service := map[string]any{
		"image": c.Config.Image, "hostname": c.Config.Hostname, "labels": labels, "environment": escapedAll(c.Config.Env),
		"entrypoint": escapedAll(c.Config.Entrypoint), "command": escapedAll(c.Config.Cmd), "extra_hosts": c.HostConfig.ExtraHosts,
		"restart": string(c.HostConfig.RestartPolicy.Name), "networks": map[string]any{"web": map[string]any{}},
	}
	if names := aliases(c); len(names) > 0 {
		service["networks"] = map[string]any{"web": map[string]any{"aliases": names}}
	}
	if c.HostConfig.ShmSize > 0 {
		service["shm_size"] = c.HostConfig.ShmSize
	}
	if c.HostConfig.Memory > 0 {
		service["mem_limit"] = c.HostConfig.Memory
	}
	if c.HostConfig.Privileged {
		service["privileged"] = true
	}
	if len(c.HostConfig.Ulimits) > 0 {
		limits := map[string]any{}
		for _, u := range c.HostConfig.Ulimits {
			limits[u.Name] = map[string]int64{"soft": u.Soft, "hard": u.Hard}
		}
		service["ulimits"] = limits
	}
	if l := c.HostConfig.LogConfig; l.Type != "" {
		service["logging"] = map[string]any{"driver": l.Type, "options": l.Config}
	}
	if c.Config.StopTimeout != nil {
		service["stop_grace_period"] = (time.Duration(*c.Config.StopTimeout) * time.Second).String()
	}
	if h := c.Config.Healthcheck; h != nil {
		check := map[string]any{"test": escapedAll(h.Test), "interval": h.Interval.String(), "timeout": h.Timeout.String(), "start_period": h.StartPeriod.String(), "retries": h.Retries}
		if h.StartInterval > 0 {
			check["start_interval"] = h.StartInterval.String()
		}
		service["healthcheck"] = check
	}
	var volumes []string
	for _, m := range c.Mounts {
		source := m.Source
		if m.Type != "bind" {
			continue // a volume of the image's own, which compose makes too
		}
		if rest, ours := strings.CutPrefix(source, dataDir); ours {
			source = peerData + rest
		}
		mount := source + ":" + m.Destination
		if !m.RW {
			mount += ":ro"
		}
		volumes = append(volumes, mount)
	}
	slices.Sort(volumes)
	service["volumes"] = volumes
	service["ports"] = peerPorts(c)
	// Compose wants no null where a list may stand.
	maps.DeleteFunc(service, func(_ string, v any) bool { list, ok := v.([]string); return ok && len(list) == 0 })
	return service
}

// peerPorts publishes on other ports of the host, as many.
func peerPorts(c container.InspectResponse) []string {
	const beside = 10000
	var list []string
	for port, bindings := range c.HostConfig.PortBindings {
		for _, at := range bindings {
			if host, err := strconv.Atoi(at.HostPort); err == nil {
				list = append(list, fmt.Sprintf("%d:%s", host+beside, port))
			}
		}
	}
	slices.Sort(list)
	return list
}

func aliases(c container.InspectResponse) []string {
	all := map[string]bool{}
	for _, n := range c.NetworkSettings.Networks {
		for _, a := range n.Aliases {
			all[a] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// escaped keeps compose from replacing variables.
func escaped(s string) string { return strings.ReplaceAll(s, "$", "$$") }

func escapedAll(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, escaped(s))
	}
	return out
}
