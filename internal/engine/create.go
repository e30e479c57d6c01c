package engine

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/heptaup/hepta/internal/converge"
)

// creation is a container in the Engine's terms.
type creation struct {
	config *container.Config
	host   *container.HostConfig
	net    *network.NetworkingConfig
	// later are the networks to connect between create and start, on Engines
	// that take only one at creation.
	later []converge.Attachment
}

// translate puts a described container into the Engine's terms. gateway is the
// host's address on the default network.
func translate(s *converge.Stack, c *converge.Container, labels map[string]string, gateway string, api API) (creation, error) {
	exposed, bindings := ports(c.Ports, gateway)
	all := make(map[string]string, len(labels)+len(c.Labels))
	for k, v := range c.Labels {
		all[k] = strings.ReplaceAll(v, converge.ProofPlaceholder, labels[converge.LabelProof])
	}
	for k, v := range labels {
		all[k] = v
	}
	t := creation{
		config: &container.Config{
			Image: c.Image, Hostname: c.Hostname, Entrypoint: c.Entrypoint, Cmd: withProof(c.Cmd, labels[converge.LabelProof]), Env: c.Env, User: c.User,
			Labels: all, ExposedPorts: exposed, StopSignal: c.StopSignal, Healthcheck: health(c.Health, api),
		},
		host: &container.HostConfig{
			PortBindings: bindings, ExtraHosts: c.ExtraHosts, Privileged: c.Privileged, CapAdd: c.CapAdd,
			CapDrop: c.CapDrop, SecurityOpt: c.SecurityOpt, ReadonlyRootfs: c.ReadOnly, ShmSize: c.ShmSize,
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(c.Restart)},
			Resources:     container.Resources{Memory: c.Memory, CgroupParent: c.CgroupParent},
		},
	}
	if c.StopTimeout > 0 {
		seconds := int((c.StopTimeout + time.Second - 1) / time.Second)
		t.config.StopTimeout = &seconds
	}
	if c.NoFile > 0 {
		t.host.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: c.NoFile, Hard: c.NoFile}}
	}
	if c.PidsLimit > 0 {
		t.host.PidsLimit = &c.PidsLimit
	}
	for _, dir := range c.Tmpfs {
		if t.host.Tmpfs == nil {
			t.host.Tmpfs = make(map[string]string)
		}
		t.host.Tmpfs[dir] = ""
	}
	if c.InitProcess {
		t.host.Init = &c.InitProcess
	}
	if c.LogMaxSize != "" || c.LogMaxFiles > 0 {
		t.host.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{}}
		if c.LogMaxSize != "" {
			t.host.LogConfig.Config["max-size"] = c.LogMaxSize
		}
		if c.LogMaxFiles > 0 {
			t.host.LogConfig.Config["max-file"] = strconv.Itoa(c.LogMaxFiles)
		}
	}
	if err := t.mounts(s, c); err != nil {
		return creation{}, err
	}
	t.networks(c, knows(api, multiNetworkCreateAPI))
	return t, nil
}

// withProof gives the arguments with the stack's proof in them.
func withProof(args []string, proof string) []string {
	args = slices.Clone(args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], converge.ProofPlaceholder, proof)
	}
	return args
}

// mounts binds what has to be there: an Engine that makes a missing directory
// would start a service on an empty one when it boots without a disk. Only
// those below /etc/docker it makes itself.
func (t *creation) mounts(s *converge.Stack, c *converge.Container) error {
	for _, m := range c.Mounts {
		source := m.Source
		if m.Kind != converge.VolumeKind {
			source = s.HostPath(m)
			if !path.IsAbs(source) {
				return fmt.Errorf("mount %s: %q is not an absolute path on the Docker host", m.Target, source)
			}
		}
		if m.Kind == converge.Data || m.Kind == converge.HostPath && !strings.HasPrefix(source, hostDir+"/") {
			t.host.Mounts = append(t.host.Mounts, mount.Mount{Type: mount.TypeBind, Source: source, Target: m.Target, ReadOnly: m.ReadOnly})
			continue
		}
		bind := source + ":" + m.Target
		if m.ReadOnly {
			bind += ":ro"
		}
		t.host.Binds = append(t.host.Binds, bind)
	}
	return nil
}

func (t *creation) networks(c *converge.Container, several bool) {
	for i, a := range c.Networks {
		if i == 0 {
			t.host.NetworkMode = container.NetworkMode(a.Network)
			t.net = &network.NetworkingConfig{EndpointsConfig: make(map[string]*network.EndpointSettings)}
		} else if !several {
			t.later = append(t.later, a)
			continue
		}
		t.net.EndpointsConfig[a.Network] = &network.EndpointSettings{Aliases: a.Aliases}
	}
}

func ports(list []converge.Port, gateway string) (nat.PortSet, nat.PortMap) {
	if len(list) == 0 {
		return nil, nil
	}
	set, bindings := make(nat.PortSet), make(nat.PortMap)
	for _, p := range list {
		proto := p.Proto
		if proto == "" {
			proto = "tcp"
		}
		port := nat.Port(fmt.Sprintf("%d/%s", p.Container, proto))
		set[port] = struct{}{}
		binding := nat.PortBinding{HostIP: p.HostIP}
		if p.HostIP == converge.HostGateway {
			binding.HostIP = gateway
		}
		if p.Host != 0 {
			binding.HostPort = strconv.Itoa(p.Host)
		}
		bindings[port] = append(bindings[port], binding)
	}
	return set, bindings
}

func health(h *converge.Health, api API) *container.HealthConfig {
	if h == nil {
		return nil
	}
	c := &container.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	if knows(api, healthStartIntervalAPI) {
		c.StartInterval = h.StartInterval
	}
	return c
}
