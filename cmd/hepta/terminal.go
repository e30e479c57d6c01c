package main

import (
	"io"
	"os"

	"golang.org/x/term"

	"github.com/heptaup/hepta/internal/render"
)

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
}

// descriptor is the file descriptor of a stream that is a terminal.
func descriptor(stream any) (fd int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}

// colorful reports whether colours may go to stream (https://no-color.org).
func (t terminal) colorful(stream any, refused bool) bool {
	_, ok := descriptor(stream)
	return ok && !refused && t.env("NO_COLOR") == "" && t.env("TERM") != "dumb"
}

// interactive reports whether a person can be asked.
func (t terminal) interactive() bool {
	_, in := descriptor(t.in)
	_, out := descriptor(t.err)
	return in && out
}

// view describes the stream that progress is shown on.
func (t terminal) view(noColor bool) render.Options {
	o := render.Options{Color: t.colorful(t.err, noColor)}
	if fd, ok := descriptor(t.err); ok && t.env("TERM") != "dumb" {
		o.Terminal = true
		o.Size = func() (int, int) {
			w, h, err := term.GetSize(fd)
			if err != nil || w < 1 || h < 1 {
				return 80, 24
			}
			return w, h
		}
	}
	return o
}
