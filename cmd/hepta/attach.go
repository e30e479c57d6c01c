package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/heptaup/hepta"
)

// attached runs a command in a container with this program's streams and ends
// with its exit code. On a terminal the command gets one.
func attached(t terminal, o *hepta.ExecOptions, noTTY bool, run func() (int, error)) error {
	o.Stdin, o.Stdout, o.Stderr = t.in, t.out, t.err
	in, isTerminal := descriptor(t.in)
	out, shown := descriptor(t.out)
	if isTerminal && shown && !noTTY {
		o.TTY = true
		if name := t.env("TERM"); name != "" {
			o.Env = append(o.Env, "TERM="+name)
		}
		state, err := term.MakeRaw(in)
		if err != nil {
			return fmt.Errorf("put terminal into raw mode: %w", err)
		}
		defer func() { _ = term.Restore(in, state) }()
		sizes, stop := sizesOf(out)
		defer stop()
		o.Resize = sizes
	}
	code, err := run()
	if err != nil {
		return err
	}
	if code != 0 {
		return exit(code)
	}
	return nil
}

// sizesOf tells the size of a terminal, now and whenever it changes.
func sizesOf(fd int) (sizes <-chan hepta.TerminalSize, stop func()) {
	changed := make(chan os.Signal, 1)
	out := make(chan hepta.TerminalSize, 1)
	done := make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for {
			if w, h, err := term.GetSize(fd); err == nil {
				select {
				case out <- hepta.TerminalSize{Width: uint(w), Height: uint(h)}:
				case <-done:
					return
				}
			}
			select {
			case <-changed:
			case <-done:
				return
			}
		}
	}()
	return out, func() { signal.Stop(changed); close(done) }
}
