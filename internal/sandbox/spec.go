package sandbox

import (
	"maps"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-connections/nat"
)

// LabelSandbox is on every sandbox's container and volume; its value is the
// sandbox's name.
const LabelSandbox = "hepta.sandbox"

// Config describes a sandbox.
type Config struct {
	Name   string            // of the container; required
	Image  string            // has dockerd, docker and docker-init in its search path; required
	Volume string            // the inner engine's data; default Name
	Labels map[string]string // further labels of the container and the volume

	Hostname   string
	Network    string   // network of the outer engine; default its bridge
	ExtraHosts []string // name:address, for the container itself
	Publish    []Port   // ports of the outer engine's host that lead in
	Args       []string // further arguments of the inner dockerd
	Memory     int64    // bytes; 0: unlimited
}

// Port leads from the outer engine's host into the sandbox.
type Port struct {
	HostIP    string // default every address
	Host      int    // 0: any free port
	Container int    // a port of the sandbox, which is a host of its own
}

// Privileges are what an Engine lets a container have that runs an engine. The
// zero value is a plain container.
type Privileges struct {
	Privileged bool
	CapAdd     []string // where privileged containers don't work
	CgroupV2   bool
}

// boot prepares the container and becomes the inner engine. A file system that
// is already writable, or may not be made so, is left as it is. A restarted
// container finds the pid files of its former life, which may name living
// processes of this one. With cgroup v2 controllers can be shared out only
// once the root group has no process. The inner bridge must not let larger
// packets through than the outer network takes.
const boot = `set -e
for dir in /sys /proc/sys /sys/fs/cgroup; do
	mount -o remount,rw "$dir" 2>/dev/null || true
done
if [ -f /sys/fs/cgroup/cgroup.controllers ] && mkdir -p /sys/fs/cgroup/init 2>/dev/null; then
	while read -r pid; do
		echo "$pid" >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
	done </sys/fs/cgroup/cgroup.procs
	for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
		echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
	done
fi
rm -rf /var/run/docker.pid /var/run/docker.sock /run/docker /run/containerd
mtu=$(cat /sys/class/net/eth0/mtu 2>/dev/null || echo 1500)
exec docker-init -- dockerd --host=unix:///var/run/docker.sock --mtu="$mtu" "$@"
`

// Spec is what a sandbox's container is created with. It is a pure function, so
// that other ways of starting containers can start the same one.
func (c Config) Spec(p Privileges) (*container.Config, *container.HostConfig) {
	labels := map[string]string{}
	maps.Copy(labels, c.Labels)
	labels[LabelSandbox] = c.Name

	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, port := range c.Publish {
		p := nat.Port(strconv.Itoa(port.Container) + "/tcp")
		exposed[p] = struct{}{}
		host := ""
		if port.Host != 0 {
			host = strconv.Itoa(port.Host)
		}
		bindings[p] = append(bindings[p], nat.PortBinding{HostIP: port.HostIP, HostPort: host})
	}

	config := &container.Config{
		Image:        c.Image,
		Hostname:     c.Hostname,
		Labels:       labels,
		Entrypoint:   []string{"sh", "-c", boot, "sandbox"},
		Cmd:          append([]string{}, c.Args...),
		ExposedPorts: exposed,
		Env:          []string{"DOCKER_HOST=unix:///var/run/docker.sock"},
		StopSignal:   "SIGTERM",
	}
	host := &container.HostConfig{
		ExtraHosts:   c.ExtraHosts,
		PortBindings: bindings,
		Mounts:       []mount.Mount{{Type: mount.TypeVolume, Source: c.volume(), Target: "/var/lib/docker", VolumeOptions: &mount.VolumeOptions{Labels: labels}}},
		SecurityOpt:  []string{"seccomp=unconfined", "apparmor=unconfined"},
		Resources:    container.Resources{Memory: c.Memory},
	}
	if c.Network != "" {
		host.NetworkMode = container.NetworkMode(c.Network)
	}
	if p.Privileged {
		host.Privileged = true
	} else {
		host.CapAdd = p.CapAdd
		host.Resources.DeviceCgroupRules = []string{"a *:* rwm"}
	}
	if p.CgroupV2 {
		host.CgroupnsMode = container.CgroupnsModePrivate
	} else if !p.Privileged {
		host.Binds = []string{"/sys/fs/cgroup:/sys/fs/cgroup:rw"}
	}
	return config, host
}

func (c Config) volume() string {
	if c.Volume != "" {
		return c.Volume
	}
	return c.Name
}
