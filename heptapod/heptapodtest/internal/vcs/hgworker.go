package vcs

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed hgworker.py
var hgWorkerScript []byte

// hgWorker is a process that has Mercurial loaded and forks for each request:
// a push is eight of them, and loading takes most of what each would cost. It
// starts when it is first needed, and again should it have died.
type hgWorker struct {
	command func(python string) *exec.Cmd

	mu      sync.Mutex
	closed  bool
	control *net.UnixConn
	process *exec.Cmd
}

// hgProcess is one request under way.
type hgProcess struct {
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	status *os.File
	python string
}

func (p *hgProcess) close() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr, p.status} {
		if f != nil {
			f.Close()
		}
	}
}

// start begins a request; without args it is one of HTTP, for a caller who
// writes the body to stdin. The caller closes what it is given.
func (w *hgWorker) start(python string, env, args []string) (*hgProcess, error) {
	p := &hgProcess{python: python}
	var fds []int
	for _, ours := range []**os.File{&p.stdin, &p.stdout, &p.stderr, &p.status} {
		from, to, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, fmt.Errorf("start hg: %w", err)
		}
		theirs := to
		if *ours = from; ours == &p.stdin {
			*ours, theirs = to, from
		}
		defer theirs.Close()
		fds = append(fds, int(theirs.Fd()))
	}
	if err := w.send(python, fds); err != nil {
		p.close()
		return nil, fmt.Errorf("start hg by %s: %w", python, err)
	}
	var request bytes.Buffer
	for _, entry := range append(append(append([]string{}, env...), ""), args...) {
		request.WriteString(strings.ReplaceAll(entry, "\x00", ""))
		request.WriteByte(0)
	}
	if _, err := fmt.Fprintf(p.stdin, "%08d%s", request.Len(), request.Bytes()); err != nil {
		p.close()
		return nil, fmt.Errorf("start hg by %s: %w", python, err)
	}
	return p, nil
}

// send hands the descriptors of a request over, to a new worker where the old
// one is gone.
func (w *hgWorker) send(python string, fds []int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for try := 0; ; try++ {
		if w.closed {
			return errClosed
		}
		if w.control == nil {
			if err := w.launch(python); err != nil {
				return err
			}
		}
		_, _, err := w.control.WriteMsgUnix([]byte{0}, syscall.UnixRights(fds...), nil)
		if err == nil {
			return nil
		}
		w.end()
		if try == 1 {
			return err
		}
	}
}

var errClosed = errors.New("the store is closed")

func (w *hgWorker) launch(python string) error {
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	mine, its := os.NewFile(uintptr(pair[0]), "hg worker"), os.NewFile(uintptr(pair[1]), "hg worker")
	defer mine.Close()
	defer its.Close()
	conn, err := net.FileConn(mine)
	if err != nil {
		return err
	}
	cmd := w.command(python)
	cmd.Stdin = its
	if err := cmd.Start(); err != nil {
		conn.Close()
		return err
	}
	w.control, w.process = conn.(*net.UnixConn), cmd
	return nil
}

// end closes the worker's socket, at which it ends by itself; requests under
// way are processes of their own.
func (w *hgWorker) end() {
	if w.control == nil {
		return
	}
	w.control.Close()
	late := time.AfterFunc(5*time.Second, func() { _ = w.process.Process.Kill() }) // it may have ended
	_ = w.process.Wait()                                                           // it was told to end
	late.Stop()
	w.control, w.process = nil, nil
}

func (w *hgWorker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.end()
}

// wait reads how a request ended, after its output was read to the end.
func (p *hgProcess) wait(ctx context.Context, text string) error {
	code, err := io.ReadAll(p.status)
	if ctx.Err() != nil {
		return fmt.Errorf("hg: %w", ctx.Err())
	}
	status, bad := strconv.Atoi(string(code))
	switch {
	case err != nil:
		return fmt.Errorf("hg: %w", err)
	case bad != nil:
		return fmt.Errorf("hg: its process ended without a status; does %s import mercurial? %s", p.python, strings.TrimSpace(text))
	case status != 0:
		return &failure{program: "hg", status: status, text: strings.TrimSpace(text)}
	}
	return nil
}

// hgOutput runs an hg command and gives its output to read, which it does
// before it returns.
func (s *store) hgOutput(ctx context.Context, m mercurial, args []string, read func(io.Reader) error) error {
	p, err := s.worker.start(m.python, s.env, args)
	if err != nil {
		return err
	}
	defer p.close()
	defer context.AfterFunc(ctx, p.close)()
	p.stdin.Close()
	var msg bytes.Buffer
	told := make(chan struct{})
	go func() {
		defer close(told)
		// Its words are for an error, if there is one.
		_, _ = io.Copy(&head{buf: &msg}, p.stderr)
	}()
	err = read(p.stdout)
	if err == nil {
		_, err = io.Copy(io.Discard, p.stdout)
	}
	if err != nil && ctx.Err() == nil {
		p.close() // err says why
		<-told
		return err
	}
	<-told
	return p.wait(ctx, msg.String())
}

func (s *store) newHgWorker() *hgWorker {
	return &hgWorker{command: func(python string) *exec.Cmd {
		return s.command(context.Background(), invocation{name: python, args: []string{filepath.Join(s.private, "hgworker.py")}})
	}}
}
