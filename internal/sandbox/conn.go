package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

// dial opens a connection to the inner engine: a process in the container that
// copies between its standard streams and the engine's socket.
func (s *Sandbox) dial(ctx context.Context) (net.Conn, error) {
	made, err := s.docker.ContainerExecCreate(ctx, s.ID, container.ExecOptions{
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
		Cmd: []string{"docker", "system", "dial-stdio"},
	})
	if err != nil {
		return nil, fmt.Errorf("reach engine in sandbox %s: %w", s.Name, err)
	}
	stream, err := s.docker.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, fmt.Errorf("reach engine in sandbox %s: %w", s.Name, err)
	}
	return newConn(stream), nil
}

// conn is a connection over an attached process without a terminal. What the
// process writes comes in frames: a byte for the stream (1 standard output, 2
// standard error), three zero bytes, four bytes for the length, the payload.
// Standard error is no part of the connection; its beginning explains an end
// that comes early.
type conn struct {
	stream types.HijackedResponse

	mu     sync.Mutex // held by one Read
	header []byte     // what there is of the next frame's header
	left   uint32     // unread payload of the current frame
	kind   byte
	said   bytes.Buffer
	any    bool // something was read
}

const (
	headerLen = 8
	saidLimit = 4 << 10

	kindStdout = 1
	kindStderr = 2
)

var (
	errStream  = errors.New("unknown stream in the engine's frame")
	errProcess = errors.New("process in the sandbox")
)

func newConn(stream types.HijackedResponse) *conn { return &conn{stream: stream} }

// Read reads standard output. It keeps its place in a frame over a deadline.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if err := c.frame(); err != nil {
			return 0, err
		}
		buf := p
		if c.kind == kindStderr {
			buf = make([]byte, saidLimit)
		}
		if uint32(len(buf)) > c.left {
			buf = buf[:c.left]
		}
		n, err := c.stream.Reader.Read(buf)
		c.left -= uint32(n)
		if c.kind == kindStderr {
			c.said.Write(buf[:min(n, saidLimit-c.said.Len())])
			if err != nil {
				return 0, c.end(err)
			}
			continue
		}
		if n > 0 {
			c.any = true
			return n, nil
		}
		if err != nil {
			return 0, c.end(err)
		}
	}
}

// frame goes on to the next frame that has a payload, unless one is begun.
func (c *conn) frame() error {
	for c.left == 0 {
		var b [headerLen]byte
		n, err := c.stream.Reader.Read(b[:headerLen-len(c.header)])
		c.header = append(c.header, b[:n]...)
		if len(c.header) == headerLen {
			c.kind = c.header[0]
			c.left = binary.BigEndian.Uint32(c.header[4:])
			c.header = c.header[:0]
			if c.kind != kindStdout && c.kind != kindStderr {
				return fmt.Errorf("read frame: %w: %d", errStream, c.kind)
			}
			continue
		}
		if err != nil {
			return c.end(err)
		}
	}
	return nil
}

// end is what Read returns at the end of the stream: io.EOF after an orderly
// one, an error when the process failed before it connected or a frame is cut.
func (c *conn) end(err error) error {
	if err != io.EOF {
		return err
	}
	if !c.any && c.said.Len() > 0 {
		return fmt.Errorf("%w: %s", errProcess, bytes.TrimSpace(c.said.Bytes()))
	}
	if c.left > 0 || len(c.header) > 0 {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

func (c *conn) Write(p []byte) (int, error) { return c.stream.Conn.Write(p) }

// CloseWrite ends the process's standard input.
func (c *conn) CloseWrite() error { return c.stream.CloseWrite() }

func (c *conn) Close() error { return c.stream.Conn.Close() }

func (c *conn) LocalAddr() net.Addr                { return c.stream.Conn.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr               { return c.stream.Conn.RemoteAddr() }
func (c *conn) SetDeadline(t time.Time) error      { return c.stream.Conn.SetDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.stream.Conn.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.stream.Conn.SetWriteDeadline(t) }
