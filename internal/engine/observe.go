package engine

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pattern"
)

const (
	// looks is how often a snapshot is taken anew because containers leave.
	looks = 20
	// lookPause is the time between two of them.
	lookPause = 250 * time.Millisecond
)

// Observe takes one snapshot: a list call a kind, all at once, and then a look at
// every file that a container of the stack shows.
func (e *Engine) Observe(ctx context.Context, s *converge.Stack) (*converge.Observed, error) {
	return e.observeFrom(ctx, s, "")
}

// observeFrom is Observe for the owner of a lock, whose container shows the
// files of a stack that has no other.
func (e *Engine) observeFrom(ctx context.Context, s *converge.Stack, lock string) (*converge.Observed, error) {
	for try := 1; ; try++ {
		o, err := e.observe(ctx, s, lock)
		if !errors.Is(err, errContainerGone) || try == looks || sleep(ctx, lookPause) != nil {
			return o, err
		}
	}
}

func (e *Engine) observe(ctx context.Context, s *converge.Stack, lock string) (*converge.Observed, error) {
	o, err := e.observeLists(ctx, s, lock)
	if err != nil {
		return nil, err
	}
	var heard [][]converge.LogLine
	var all sync.WaitGroup
	all.Go(func() { heard = e.listen(ctx, s, o.Containers) })
	o.Files, err = e.observeFiles(ctx, s, o, lock)
	all.Wait()
	for i := range o.Containers {
		o.Containers[i].Heard = heard[i]
	}
	return o, err
}

// observeLists asks for all lists at once, and whose the data directory is as
// soon as the containers are known.
func (e *Engine) observeLists(ctx context.Context, s *converge.Stack, lock string) (*converge.Observed, error) {
	o := &converge.Observed{Images: make(map[string]string)}
	group, gctx := errgroup.WithContext(ctx)
	volumes := func() error {
		list, err := e.api.VolumeList(gctx, volume.ListOptions{})
		if err != nil {
			return unreachable("list volumes", err)
		}
		for _, v := range list.Volumes {
			o.Volumes = append(o.Volumes, converge.ObservedVolume{Name: v.Name, Labels: v.Labels, Device: deviceOf(v)})
		}
		return nil
	}
	group.Go(func() error {
		containers, err := e.api.ContainerList(gctx, container.ListOptions{All: true})
		if err != nil {
			return unreachable("list containers", err)
		}
		for _, c := range containers {
			o.Containers = append(o.Containers, observedContainer(c))
		}
		if err = e.observeIdentity(gctx, s, o, lock); err != nil {
			return err
		}
		s.Recognize(o)
		if len(s.Volumes) == 0 && slices.ContainsFunc(o.Containers, mountsNamedVolume) {
			group.Go(volumes)
		}
		return nil
	})
	group.Go(func() error {
		list, err := e.api.NetworkList(gctx, network.ListOptions{})
		if err != nil {
			return unreachable("list networks", err)
		}
		for _, n := range list {
			o.Networks = append(o.Networks, observedNetwork(n))
		}
		return nil
	})
	if len(s.Volumes) > 0 {
		group.Go(volumes)
	}
	group.Go(func() error {
		list, err := e.api.ImageList(gctx, image.ListOptions{})
		if err != nil {
			return unreachable("list images", err)
		}
		for _, i := range list {
			for _, ref := range slices.Concat(i.RepoTags, i.RepoDigests) {
				o.Images[converge.NormalizeImage(ref)] = i.ID
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return o, nil
}

// mountsNamedVolume reports whether somebody else's container can write to a
// volume that may be a directory of the host.
func mountsNamedVolume(c converge.ObservedContainer) bool {
	return c.Service == "" && slices.ContainsFunc(c.Mounts, func(m converge.ObservedMount) bool {
		return m.Volume != "" && !m.ReadOnly && !anonymous().MatchString(m.Volume)
	})
}

// anonymous is the name of a volume that nobody has named.
var anonymous = pattern.New(`^[0-9a-f]{64}$`)

// deviceOf is the directory of the host that a volume is: one of the driver
// local that binds it. "" for a volume of its own.
func deviceOf(v *volume.Volume) string {
	if v.Driver != "local" || !slices.ContainsFunc(strings.Split(v.Options["o"], ","), func(o string) bool { return o == "bind" || o == "rbind" }) {
		return ""
	}
	return path.Clean(v.Options["device"])
}

func observedNetwork(n network.Summary) converge.ObservedNetwork {
	o := converge.ObservedNetwork{ID: n.ID, Name: n.Name, Driver: n.Driver, Internal: n.Internal, Created: n.Created, Labels: n.Labels}
	o.MTU, _ = strconv.Atoi(n.Options[mtuOption])
	for _, c := range n.IPAM.Config {
		if c.Gateway != "" && o.Gateway == "" {
			o.Gateway, _, _ = strings.Cut(c.Gateway, "/")
		}
		if c.Subnet != "" {
			o.Subnets = append(o.Subnets, c.Subnet)
		}
	}
	slices.Sort(o.Subnets)
	return o
}

func observedContainer(c container.Summary) converge.ObservedContainer {
	o := converge.ObservedContainer{
		ID: c.ID, Name: nameOf(c), Image: c.Image, ImageID: c.ImageID, State: c.State, Status: c.Status,
		Health: healthOf(c.Status), Created: time.Unix(c.Created, 0), Labels: c.Labels, Networks: make(map[string]string),
	}
	if c.NetworkSettings != nil {
		for name, n := range c.NetworkSettings.Networks {
			if n != nil {
				o.Networks[name] = n.NetworkID
			}
		}
	}
	for _, m := range c.Mounts {
		seen := converge.ObservedMount{Source: m.Source, Target: m.Destination, ReadOnly: !m.RW}
		if m.Type != mount.TypeBind {
			seen.Volume = cmp.Or(m.Name, string(m.Type))
		}
		o.Mounts = append(o.Mounts, seen)
	}
	for _, p := range c.Ports {
		if p.PublicPort != 0 {
			o.Ports = append(o.Ports, converge.Port{HostIP: p.IP, Host: int(p.PublicPort), Container: int(p.PrivatePort), Proto: p.Type})
		}
	}
	return o
}

// nameOf is the container's own name: links add further ones with two slashes.
func nameOf(c container.Summary) string {
	for _, n := range c.Names {
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			return n
		}
	}
	return ""
}

// healthOf reads the state of the healthcheck out of the Engine's words, the
// only place where a list call has it.
func healthOf(status string) string {
	switch {
	case strings.HasSuffix(status, "(healthy)"):
		return "healthy"
	case strings.HasSuffix(status, "(unhealthy)"):
		return "unhealthy"
	case strings.HasSuffix(status, "(health: starting)"):
		return "starting"
	}
	return ""
}
