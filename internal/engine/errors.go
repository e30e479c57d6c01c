package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

// unreachable explains an error of a call that every Engine answers.
func unreachable(op string, err error) error {
	var dns *net.DNSError
	text := strings.ToLower(err.Error())
	var way *fault.Error
	if errors.As(err, &way) { // what leads to the Engine has explained itself
		return fmt.Errorf("%s: %w", op, way)
	}
	switch {
	case errors.Is(err, fs.ErrPermission) || strings.Contains(text, "permission denied"):
		return &fault.Error{Op: op, Why: "no permission to talk to the Docker Engine",
			Remedy: "Run as root, or add yourself to the group that owns the socket (usermod -aG docker $USER) and log in again.", Err: err}
	case errors.As(err, &dns):
		return &fault.Error{Op: op, Why: fmt.Sprintf("the Engine's host %s has no address", dns.Name),
			Remedy: "Check DOCKER_HOST, the docker context, or docker: in hepta.yaml.", Err: err}
	case unanswered(err) || strings.Contains(text, "connection refused"):
		return &fault.Error{Op: op, Why: "no Docker Engine answers",
			Remedy: "Install or start Docker (systemctl start docker), or name a host that has one: DOCKER_HOST, a docker context, or docker: in hepta.yaml.", Err: err}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// unanswered reports whether an error is that of a connection, so that no Engine
// has said it.
func unanswered(err error) bool {
	return client.IsErrConnectionFailed(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(strings.ToLower(err.Error()), "cannot connect to the docker daemon")
}

// cutOff explains work under a lock that an end of the Engine or of the lock
// ended. What else failed with it says nothing new.
func cutOff(s *converge.Stack, err error) error {
	f := &fault.Error{Remedy: "See that the Docker Engine runs (systemctl status docker), then run the same command again: it goes on from here."}
	switch {
	case err == nil:
		return nil
	case unanswered(err):
		f.Why = "the Docker Engine went away in the middle of the work"
	case errors.Is(err, ErrLockLost):
		f.Why, f.Err = fmt.Sprintf("the Docker Engine was restarted in the middle of the work, or somebody removed container %s", s.LockName()), ErrLockLost
	default:
		return err
	}
	return f
}

// mountFault explains why a container is not created or started because of what
// it mounts.
func mountFault(s *converge.Stack, op converge.Operation, err error) error {
	if !noSource(err) {
		return err
	}
	_, missing, _ := strings.Cut(err.Error(), "does not exist: ")
	f := &fault.Error{Op: string(op.Kind), What: op.Name(), Why: missing + " is not on the Docker host", Err: err,
		Remedy: "Make it there, or change what mounts it in hepta.yaml."}
	if s.Data != "" && (missing == s.Data || strings.HasPrefix(missing, s.Data+"/")) {
		f.Why += ": is the disk of the data directory mounted?"
		f.Remedy = "Mount the disk and run the command again."
	}
	return f
}

// takenPort finds the host's port, the first that is named, in what Engines say when a host port is not free.
var takenPort = pattern.New(`(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]*\]):(\d+)\b`)

// startFault explains why a container does not start.
func (e *Engine) startFault(ctx context.Context, s *converge.Stack, op converge.Operation, err error) error {
	text := err.Error()
	if noSource(err) {
		return mountFault(s, op, err)
	}
	if !strings.Contains(text, "already allocated") && !strings.Contains(text, "already in use") {
		return err
	}
	f := &fault.Error{Op: string(op.Kind), What: op.Name(), Why: "a port that it publishes is in use on the Docker host", Err: err,
		Remedy: "Free the port or choose another one in hepta.yaml."}
	m := takenPort().FindStringSubmatch(text)
	if m == nil {
		return f
	}
	f.Why = fmt.Sprintf("port %s is in use on the Docker host by a process that is no container", m[1])
	f.Remedy = fmt.Sprintf("See who has it (ss -ltnp 'sport = :%s') and stop that, or choose another port in hepta.yaml.", m[1])
	if strings.Contains(text, "already allocated") {
		// An Engine says so of what it has given away itself. One that is killed
		// while it starts a container never takes that back.
		f.Why = fmt.Sprintf("the Docker Engine counts port %s as given to a container, but none has it", m[1])
		f.Remedy = "The Engine was interrupted while it started a container: restart it (systemctl restart docker), then run the same command again."
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	list, listErr := e.api.ContainerList(ctx, container.ListOptions{})
	if listErr != nil {
		return f
	}
	for _, owner := range list {
		for _, p := range owner.Ports {
			if fmt.Sprint(p.PublicPort) == m[1] {
				f.Why = fmt.Sprintf("port %s is published by container %s (%s)", m[1], nameOf(owner), owner.Image)
				f.Remedy = "Choose another port in hepta.yaml, or publish another port of that container."
				return f
			}
		}
	}
	return f
}
