package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// ExecOptions is a command for a running container.
type ExecOptions struct {
	Cmd     []string
	Env     []string
	User    string
	WorkDir string
	Tty     bool

	Stdin  io.Reader // nil: none
	Stdout io.Writer // nil: dropped
	Stderr io.Writer // nil: dropped; with Tty everything comes on Stdout

	// Resize gives the terminal's size, the first one too; may be nil.
	Resize <-chan TerminalSize
}

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct{ Width, Height uint }

// Exec runs a command in a running container and gathers what it prints,
// whatever opts says about the outputs. Stdin is read whole before. A busy
// host's runtime fails now and then before the command begins; that is tried
// again, which repeats nothing.
func (e *Engine) Exec(ctx context.Context, name string, opts ExecOptions) (converge.ExecResult, error) {
	var stdin []byte
	if opts.Stdin != nil {
		var err error
		if stdin, err = io.ReadAll(opts.Stdin); err != nil {
			return converge.ExecResult{ExitCode: -1}, fmt.Errorf("exec in %s: read input: %w", name, err)
		}
	}
	for pause := 50 * time.Millisecond; ; pause *= 4 {
		var stdout, stderr bytes.Buffer
		opts.Stdout, opts.Stderr = &stdout, &stderr
		if opts.Stdin != nil {
			opts.Stdin = bytes.NewReader(stdin)
		}
		ended, err := e.exec(ctx, name, opts)
		if err == nil && !ended.began && ended.code == notStarted {
			e.log.Warn("the command did not begin", "container", name, "command", opts.Cmd[0], "reason", lastLine(nil, stdout.Bytes(), ended.code))
			if pause < time.Second {
				if err := sleep(ctx, pause); err != nil {
					return converge.ExecResult{ExitCode: -1}, fmt.Errorf("exec in %s: %w", name, err)
				}
				continue
			}
			return converge.ExecResult{ExitCode: -1}, &fault.Error{Op: "run", What: opts.Cmd[0] + " in " + name, Why: lastLine(nil, stdout.Bytes(), ended.code),
				Remedy: "The Engine could not begin it. See whether the host has memory and processes left, then run the command again."}
		}
		return converge.ExecResult{ExitCode: ended.code, Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}, err
	}
}

// ExecInteractive runs a command in a running container with the caller's
// streams and gives its exit code. With Tty the caller has put its own
// terminal into raw mode. It returns when the command has closed its outputs,
// even when Stdin is still open.
func (e *Engine) ExecInteractive(ctx context.Context, name string, opts ExecOptions) (int, error) {
	ended, err := e.exec(ctx, name, opts)
	return ended.code, err
}

// notStarted is the exit code that Engines give a command that their runtime
// could not start. It has then no process, and the reason is on its output.
const notStarted = 126

// outcome is how a command ended.
type outcome struct {
	code  int
	began bool // there was a process
}

func (e *Engine) exec(ctx context.Context, name string, opts ExecOptions) (outcome, error) {
	made, err := e.api.ContainerExecCreate(ctx, name, container.ExecOptions{
		Cmd: opts.Cmd, Env: opts.Env, User: opts.User, WorkingDir: opts.WorkDir, Tty: opts.Tty,
		AttachStdin: opts.Stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return outcome{code: -1}, execFault(name, err)
	}
	conn, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{Tty: opts.Tty})
	if err != nil {
		return outcome{code: -1}, execFault(name, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A read from the connection ends with the connection, not with ctx.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if opts.Stdin != nil {
		go func() {
			_, _ = io.Copy(conn.Conn, opts.Stdin)
			_ = conn.CloseWrite()
		}()
	}
	if opts.Resize != nil {
		go e.resize(ctx, made.ID, opts.Resize)
	}
	stdout, stderr := orDiscard(opts.Stdout), orDiscard(opts.Stderr)
	if opts.Tty {
		_, err = io.Copy(stdout, conn.Reader)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, conn.Reader)
	}
	if ctx.Err() != nil {
		return outcome{code: -1}, fmt.Errorf("exec in %s: %w", name, context.Cause(ctx))
	}
	if err != nil {
		return outcome{code: -1}, fmt.Errorf("exec in %s: read output: %w", name, err)
	}
	return e.end(ctx, name, made.ID)
}

// end waits for the Engine to notice the end of a command whose outputs are
// closed already.
func (e *Engine) end(ctx context.Context, name, exec string) (outcome, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		state, err := e.api.ContainerExecInspect(ctx, exec)
		if err != nil {
			return outcome{code: -1}, fmt.Errorf("exec in %s: %w", name, err)
		}
		if !state.Running {
			return outcome{state.ExitCode, state.Pid != 0}, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return outcome{code: -1}, fmt.Errorf("exec in %s: %w", name, err)
		}
	}
}

func (e *Engine) resize(ctx context.Context, exec string, sizes <-chan TerminalSize) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			// The size is a courtesy: a command that has just ended has none.
			_ = e.api.ContainerExecResize(ctx, exec, container.ResizeOptions{Width: size.Width, Height: size.Height})
		}
	}
}

func execFault(name string, err error) error {
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return &fault.Error{Op: "exec in", What: name, Why: "the container is not running", Remedy: "Start the stack: hepta up", Err: err}
	}
	return fmt.Errorf("exec in %s: %w", name, err)
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// sleep waits for d unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
