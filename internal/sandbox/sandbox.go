package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"
)

// Sandbox is an engine inside a container.
type Sandbox struct {
	ID     string
	Name   string
	Volume string
	// IP is the sandbox's address on its network: what it publishes on its
	// own ports is reached there from the outer engine's host.
	IP string

	docker client.APIClient
}

// bootTime bounds the inner engine's start, which takes seconds; a slow disk
// with many images takes longer.
const bootTime = 2 * time.Minute

// Start creates a sandbox and waits until its engine answers. What is partly
// made is returned together with the error, for Remove.
func Start(ctx context.Context, docker client.APIClient, c Config) (*Sandbox, error) {
	p, err := Detect(ctx, docker, c.Image)
	if err != nil {
		return nil, fmt.Errorf("start sandbox %s: %w", c.Name, err)
	}
	config, host := c.Spec(p)
	made, err := docker.ContainerCreate(ctx, config, host, nil, nil, c.Name)
	if err != nil {
		return nil, fmt.Errorf("create sandbox %s: %w", c.Name, err)
	}
	s := &Sandbox{ID: made.ID, Name: c.Name, Volume: c.volume(), docker: docker}
	return s, s.Start(ctx)
}

// Find returns the sandbox of that name or container id, running or stopped. The error is a
// not-found one of the Engine when there is none.
func Find(ctx context.Context, docker client.APIClient, name string) (*Sandbox, error) {
	i, err := docker.ContainerInspect(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("find sandbox %s: %w", name, err)
	}
	if i.Config.Labels[LabelSandbox] == "" {
		return nil, fmt.Errorf("find sandbox %s: container %s is not one; give the sandbox another name or remove that container", name, name)
	}
	s := &Sandbox{ID: i.ID, Name: strings.TrimPrefix(i.Name, "/"), IP: address(i), docker: docker}
	for _, m := range i.Mounts {
		if m.Destination == "/var/lib/docker" {
			s.Volume = m.Name
		}
	}
	return s, nil
}

// starts is how often a sandbox is started while the ports that the Engine
// picks for it are in use: it does not see those of outgoing connections.
const starts = 5

// Start starts a stopped sandbox and waits until its engine answers.
func (s *Sandbox) Start(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := s.docker.ContainerStart(ctx, s.ID, container.StartOptions{})
		if err == nil {
			return s.Wait(ctx)
		}
		if attempt == starts || !strings.Contains(err.Error(), "address already in use") {
			return fmt.Errorf("start sandbox %s: %w", s.Name, err)
		}
	}
}

// Wait waits until the engine of a started sandbox answers.
func (s *Sandbox) Wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	inner, err := s.Client()
	if err != nil {
		return err
	}
	defer inner.Close()
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		i, err := s.docker.ContainerInspect(ctx, s.ID)
		if err != nil {
			return fmt.Errorf("wait for sandbox %s: %w", s.Name, err)
		}
		if !i.State.Running {
			return fmt.Errorf("wait for sandbox %s: its engine ended with exit code %d; its last words:\n%s", s.Name, i.State.ExitCode, s.lastWords(ctx))
		}
		s.IP = address(i)
		_, err = inner.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for sandbox %s: %w: %w; its last words:\n%s", s.Name, context.Cause(ctx), err, s.lastWords(context.WithoutCancel(ctx)))
		}
	}
}

func address(i container.InspectResponse) string {
	if i.NetworkSettings == nil {
		return ""
	}
	for _, n := range i.NetworkSettings.Networks {
		if n.IPAddress != "" {
			return n.IPAddress
		}
	}
	return ""
}

// lastWords are the last lines of the inner engine's log.
func (s *Sandbox) lastWords(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	logs, err := s.docker.ContainerLogs(ctx, s.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "15"})
	if err != nil {
		return ""
	}
	defer logs.Close()
	var out bytes.Buffer
	stdcopy.StdCopy(&out, &out, logs)
	return strings.TrimSpace(out.String())
}

// Client is a client of the inner engine. It works wherever the outer engine
// is, and over a restart of the sandbox. The caller closes it.
func (s *Sandbox) Client() (*client.Client, error) {
	c, err := client.NewClientWithOpts(
		client.WithHost("http://"+s.Name),
		client.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) }),
		client.WithAPIVersionNegotiation(),
	)
	if err != nil {
		return nil, fmt.Errorf("make client for sandbox %s: %w", s.Name, err)
	}
	return c, nil
}

// Published is the address on the outer engine's host that leads to a port of
// the sandbox.
func (s *Sandbox) Published(ctx context.Context, port int) (string, error) {
	i, err := s.docker.ContainerInspect(ctx, s.ID)
	if err != nil {
		return "", fmt.Errorf("look up port %d of sandbox %s: %w", port, s.Name, err)
	}
	bindings := i.NetworkSettings.Ports[nat.Port(strconv.Itoa(port)+"/tcp")]
	if len(bindings) == 0 {
		return "", fmt.Errorf("look up port %d of sandbox %s: it is not published", port, s.Name)
	}
	host := bindings[0].HostIP
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, bindings[0].HostPort), nil
}

// Stop stops the sandbox and everything in it. Its data stays.
func (s *Sandbox) Stop(ctx context.Context) error {
	seconds := 60
	if err := s.docker.ContainerStop(ctx, s.ID, container.StopOptions{Timeout: &seconds}); err != nil {
		return fmt.Errorf("stop sandbox %s: %w", s.Name, err)
	}
	return nil
}

// Remove removes every trace of the sandbox: its container, its volume and so
// all that is in it. It is no error when there is none.
func (s *Sandbox) Remove(ctx context.Context) error {
	err := s.docker.ContainerRemove(ctx, s.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove sandbox %s: %w", s.Name, err)
	}
	if s.Volume == "" {
		return nil
	}
	if err := s.docker.VolumeRemove(ctx, s.Volume, true); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove volume of sandbox %s: %w", s.Name, err)
	}
	return nil
}
