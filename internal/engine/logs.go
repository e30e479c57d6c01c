package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sync/errgroup"
)

// LogOptions is for Logs.
type LogOptions struct {
	Follow bool
	Since  time.Time // zero: from the beginning
	Tail   string    // number of lines a container, "" or "all": every line

	until time.Time // zero: no end
}

// LogLine is one line of one container's log.
type LogLine struct {
	Container string
	Stderr    bool
	Text      string // without the newline
}

// Logs passes the lines of several containers to emit, one at a time, as they
// come. Without Follow it returns when all are told; with it, when every
// container has ended or ctx does.
func (e *Engine) Logs(ctx context.Context, containers []string, opts LogOptions, emit func(LogLine)) error {
	var mu sync.Mutex
	group, gctx := errgroup.WithContext(ctx)
	for _, name := range containers {
		group.Go(func() error {
			return e.stream(gctx, name, opts, func(stderr bool, text string) {
				mu.Lock()
				defer mu.Unlock()
				emit(LogLine{Container: name, Stderr: stderr, Text: text})
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// follow is stream for one who does not care which output a line came on.
func (e *Engine) follow(ctx context.Context, id string, opts LogOptions, emit func(string)) error {
	return e.stream(ctx, id, opts, func(_ bool, text string) { emit(text) })
}

func (e *Engine) stream(ctx context.Context, id string, opts LogOptions, emit func(stderr bool, text string)) error {
	ask := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: opts.Follow, Tail: opts.Tail}
	if !opts.Since.IsZero() {
		ask.Since = opts.Since.Format(time.RFC3339Nano)
	}
	if !opts.until.IsZero() {
		ask.Until = opts.until.Format(time.RFC3339Nano)
	}
	seen, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return fmt.Errorf("read logs of %s: %w", id, err)
	}
	body, err := e.api.ContainerLogs(ctx, id, ask)
	if err != nil {
		return fmt.Errorf("read logs of %s: %w", id, err)
	}
	defer body.Close()
	stop := context.AfterFunc(ctx, func() { body.Close() })
	defer stop()
	stdout, stderr := &lines{emit: func(s string) { emit(false, s) }}, &lines{emit: func(s string) { emit(true, s) }}
	if seen.Config != nil && seen.Config.Tty {
		_, err = io.Copy(stdout, body)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, body)
	}
	stdout.flush()
	stderr.flush()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("read logs of %s: %w", id, err)
	}
	return nil
}

// lines cuts what is written to it into lines.
type lines struct {
	emit func(string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.emit(string(bytes.TrimSuffix(line, []byte("\r"))))
		l.rest = rest
	}
}

// flush gives what came without a newline at the end.
func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.emit(string(l.rest))
		l.rest = nil
	}
}
