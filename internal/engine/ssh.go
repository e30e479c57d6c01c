package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/internal/fault"
)

// A connection over which nothing goes for long, as that of a lock, is kept in
// the memory of the routers on its way by a sign of life, and ends when so many
// were not answered.
const (
	aliveEvery  = 15 * time.Second
	aliveMissed = 4
)

// sshDialer makes connections to the Engine of another machine: each is an
// ssh process that runs `docker system dial-stdio` there.
func sshDialer(u *url.URL) (func(context.Context, string, string) (net.Conn, error), error) {
	bad := func(why string) error {
		return &fault.Error{Op: "reach Docker Engine at", What: u.Redacted(), Why: why, Remedy: "Write ssh://user@host or ssh://user@host:port."}
	}
	switch {
	case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
		return nil, bad("it names no host")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, bad("it has more than user, host, port and socket")
	}
	args := []string{"-o", "ConnectTimeout=30", "-o", fmt.Sprintf("ServerAliveInterval=%.0f", aliveEvery.Seconds()),
		"-o", fmt.Sprintf("ServerAliveCountMax=%d", aliveMissed), "-T"}
	if u.User != nil {
		if _, has := u.User.Password(); has {
			return nil, bad("a password does not belong into an address")
		}
		args = append(args, "-l", u.User.Username())
	}
	if u.Port() != "" {
		args = append(args, "-p", u.Port())
	}
	args = append(args, "--", u.Hostname(), "docker")
	if u.Path != "" && u.Path != "/" {
		args = append(args, "--host", "unix://"+u.Path)
	}
	args = append(args, "system", "dial-stdio")
	return func(context.Context, string, string) (net.Conn, error) { return startPipe("ssh", args) }, nil
}

// pipe is a connection over the standard streams of a process.
type pipe struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	said   *boundedBuffer
	end    func() error // waits for the process, once
}

func startPipe(name string, args []string) (net.Conn, error) {
	// The connection outlives the call that asked for it, so no context here.
	p := &pipe{cmd: exec.Command(name, args...), said: &boundedBuffer{}}
	p.cmd.Stderr = p.said
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if p.stdout, err = p.cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, &fault.Error{Op: "start", What: name, Why: "it is needed for ssh:// addresses", Remedy: "Install an ssh client.", Err: err}
	}
	p.end = sync.OnceValue(p.cmd.Wait)
	return p, nil
}

// Read gives what the process prints. When that ends because the process
// failed, the error is what it said.
func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.stdout.Read(b)
	if errors.Is(err, io.EOF) && n == 0 {
		if end := p.end(); end != nil {
			return 0, p.failure(end)
		}
	}
	return n, err
}

func (p *pipe) Write(b []byte) (int, error) {
	n, err := p.stdin.Write(b)
	if err != nil {
		if text := p.said.String(); text != "" {
			return n, p.failure(err)
		}
	}
	return n, err
}

func (p *pipe) failure(err error) error {
	said := strings.TrimSpace(p.said.String())
	return &fault.Error{Op: "connect with", What: p.cmd.Args[0], Why: tail(said, 1),
		Remedy: "Make this work without a question, then run the same command again: " + strings.Join(p.cmd.Args[:max(1, len(p.cmd.Args)-2)], " ") + " version", Err: err}
}

// CloseWrite tells the other side that nothing more comes.
func (p *pipe) CloseWrite() error { return p.stdin.Close() }

// Close ends the process: at once when it does not notice by itself.
func (p *pipe) Close() error {
	_ = p.stdin.Close()
	_ = p.stdout.Close()
	timer := time.AfterFunc(time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.end()
	return nil
}

func (p *pipe) LocalAddr() net.Addr  { return pipeAddr{} }
func (p *pipe) RemoteAddr() net.Addr { return pipeAddr{} }

// Deadlines are the business of contexts here; nothing sets them.
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// boundedBuffer keeps the last few KiB of what is written to it.
type boundedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Write(p)
	if extra := b.b.Len() - 4096; extra > 0 {
		b.b.Next(extra)
	}
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
