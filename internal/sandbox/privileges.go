package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta/internal/pattern"
)

// Detect finds out what privileges an Engine can give. Privileged containers
// are taken where they work. An engine before 23 refuses them on a host that
// lacks a capability; then it is every capability that the host has and the
// engine knows.
func Detect(ctx context.Context, docker client.APIClient, image string) (Privileges, error) {
	info, err := docker.Info(ctx)
	if err != nil {
		return Privileges{}, fmt.Errorf("ask Docker Engine about its host: %w", err)
	}
	p := Privileges{CgroupV2: info.CgroupVersion == "2"}
	_, err = probe(ctx, docker, image, &container.HostConfig{Privileged: true})
	if err == nil {
		p.Privileged = true
		return p, nil
	}
	if !lacksPrivilege(err) {
		return Privileges{}, fmt.Errorf("try a privileged container: %w", err)
	}
	status, err := probe(ctx, docker, image, &container.HostConfig{PidMode: "host"})
	if err != nil {
		return Privileges{}, fmt.Errorf("look up the host's capabilities: %w", err)
	}
	caps, err := boundingSet(status)
	if err != nil {
		return Privileges{}, fmt.Errorf("look up the host's capabilities: %w", err)
	}
	for len(caps) > 0 {
		_, err := probe(ctx, docker, image, &container.HostConfig{CapAdd: caps})
		if err == nil {
			p.CapAdd = caps
			return p, nil
		}
		left := without(caps, unknownCapability(err))
		if len(left) == len(caps) {
			return Privileges{}, fmt.Errorf("try a container with the host's capabilities: %w", err)
		}
		caps = left
	}
	return Privileges{}, errors.New("look up the host's capabilities: the engine knows none of them")
}

func lacksPrivilege(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "unable to apply caps") || strings.Contains(text, "operation not permitted") ||
		strings.Contains(text, "privileged mode is incompatible")
}

// probe runs a container that prints the status of its first process.
func probe(ctx context.Context, docker client.APIClient, image string, host *container.HostConfig) (status string, err error) {
	host.NetworkMode = "none"
	made, err := docker.ContainerCreate(ctx, &container.Config{
		Image: image, Entrypoint: []string{"cat"}, Cmd: []string{"/proc/1/status"}, Labels: map[string]string{LabelSandbox: "probe"},
	}, host, nil, nil, "")
	if err != nil {
		return "", fmt.Errorf("create container: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}()
	ended, failed := docker.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return "", fmt.Errorf("start container: %w", err)
	}
	select {
	case err := <-failed:
		return "", fmt.Errorf("wait for container: %w", err)
	case e := <-ended:
		if e.StatusCode != 0 {
			return "", fmt.Errorf("read /proc/1/status: exit code %d", e.StatusCode)
		}
	}
	logs, err := docker.ContainerLogs(ctx, made.ID, container.LogsOptions{ShowStdout: true})
	if err != nil {
		return "", fmt.Errorf("read container's output: %w", err)
	}
	defer logs.Close()
	var out strings.Builder
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		return "", fmt.Errorf("read container's output: %w", err)
	}
	return out.String(), nil
}

// capabilities are Linux's in the order of their bits.
const capabilities = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
	"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE " +
	"SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL " +
	"SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"

// boundingSet names the capabilities in the CapBnd line of a process's status.
func boundingSet(status string) ([]string, error) {
	for line := range strings.Lines(status) {
		hex, ok := strings.CutPrefix(line, "CapBnd:")
		if !ok {
			continue
		}
		bits, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("parse CapBnd: %w", err)
		}
		var caps []string
		for i, name := range strings.Fields(capabilities) {
			if bits&(1<<i) != 0 {
				caps = append(caps, "CAP_"+name)
			}
		}
		return caps, nil
	}
	return nil, errors.New("find CapBnd: no such line")
}

var capabilityName = pattern.New(`CAP_[A-Z_]+`)

// unknownCapability is the one that an engine's error says it does not know.
func unknownCapability(err error) string {
	if !strings.Contains(strings.ToLower(err.Error()), "unknown capability") {
		return ""
	}
	return capabilityName().FindString(err.Error())
}

func without(list []string, item string) []string {
	var left []string
	for _, s := range list {
		if s != item {
			left = append(left, s)
		}
	}
	return left
}
