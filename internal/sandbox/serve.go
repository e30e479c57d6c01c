package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
)

// Serve makes the inner engine reachable for other programs through a local
// unix socket (DOCKER_HOST=unix://path) until ctx is done or the returned
// closer is closed, which waits until nothing of it is left. It returns as
// soon as connections are accepted. Only this user may connect.
func (s *Sandbox) Serve(ctx context.Context, path string) (io.Closer, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("serve sandbox %s: %w", s.Name, err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("serve sandbox %s: %w", s.Name, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("serve sandbox %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &proxy{cancel: cancel}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	p.work.Go(func() {
		defer stop()
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { s.forward(ctx, c) })
		}
	})
	return p, nil
}

type proxy struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func (p *proxy) Close() error {
	p.cancel()
	p.work.Wait()
	return nil
}

// forward copies between a client and the engine. An end in one direction is
// passed on; the other goes on until its own end.
func (s *Sandbox) forward(ctx context.Context, local net.Conn) {
	defer local.Close()
	inner, err := s.dial(ctx)
	if err != nil {
		return
	}
	defer inner.Close()
	defer context.AfterFunc(ctx, func() {
		local.Close()
		inner.Close()
	})()
	var up sync.WaitGroup
	up.Go(func() {
		io.Copy(inner, local)
		closeWrite(inner)
	})
	io.Copy(local, inner)
	// The engine has said everything; a client that still writes is cut off.
	local.Close()
	up.Wait()
}

func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
}
