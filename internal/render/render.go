// Package render shows progress events to people and programs: as a live
// region of a terminal, as plain lines, as failures and notes only, or as JSON lines.
package render

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/progress"
)

// Mode is a way to show progress.
type Mode string

// The modes.
const (
	Auto  Mode = "auto"  // TTY on a terminal, else Plain
	TTY   Mode = "tty"   // lines that move
	Plain Mode = "plain" // a line when something begins, changes and ends
	Quiet Mode = "quiet" // failures and notes only
	JSON  Mode = "json"  // one event a line
)

// ParseMode reads a mode by its name.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case Auto, TTY, Plain, Quiet, JSON:
		return m, nil
	}
	return "", fmt.Errorf("progress %q is none of auto, tty, plain, quiet, json", name)
}

// Options say what the output can do. The zero value is a pipe.
type Options struct {
	Terminal bool              // the output is a terminal that understands ANSI sequences
	Color    bool              // colours are welcome
	Size     func() (w, h int) // columns and rows, asked for before every frame; nil: 80 × 24
	Now      func() time.Time  // nil: time.Now
}

// Progress shows events until it is closed. It is safe for concurrent use.
type Progress struct {
	mu     sync.Mutex
	view   view
	now    func() time.Time
	closed bool
	seen   bool // an event
	stop   chan struct{}
	ended  sync.WaitGroup
}

// view draws events. Its methods are called one at a time.
type view interface {
	event(progress.Event)
	tick(now time.Time)
	period() time.Duration // between ticks; 0: none
	end()
}

// New begins to show progress on out. Close ends it.
func New(mode Mode, out io.Writer, o Options) *Progress {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Size == nil {
		o.Size = func() (int, int) { return 80, 24 }
	}
	if mode == Auto {
		mode = Plain
		if o.Terminal {
			mode = TTY
		}
	}
	p := &Progress{now: o.Now, stop: make(chan struct{})}
	switch mode {
	case TTY:
		p.view = newTTY(out, o)
	case Quiet:
		p.view = &quiet{out: out}
	case JSON:
		p.view = newJSONLines(out)
	default:
		p.view = &plain{out: out, works: works{}}
	}
	if d := p.view.period(); d > 0 {
		p.ended.Add(1)
		go p.run(d)
	}
	return p
}

func (p *Progress) run(period time.Duration) {
	defer p.ended.Done()
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.mu.Lock()
			if !p.closed {
				p.view.tick(p.now())
			}
			p.mu.Unlock()
		}
	}
}

// Sink is where events go in. Events after Close are dropped.
func (p *Progress) Sink() progress.Sink {
	return func(e progress.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed {
			return
		}
		if e.Time.IsZero() {
			e.Time = p.now()
		}
		p.seen = true
		p.view.event(e)
	}
}

// IfSilent shows an event unless there is another one, Told or the end before d
// is over.
func (p *Progress) IfSilent(d time.Duration, e progress.Event) {
	time.AfterFunc(d, func() {
		p.mu.Lock()
		silent := !p.seen
		p.mu.Unlock()
		if silent {
			p.Sink()(e)
		}
	})
}

// Told says that something was shown by other means, a question for instance,
// so that IfSilent shows nothing.
func (p *Progress) Told() {
	p.mu.Lock()
	p.seen = true
	p.mu.Unlock()
}

// Close leaves the output as it is to stay. It may be called more than once.
func (p *Progress) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.view.end()
	p.mu.Unlock()
	close(p.stop)
	p.ended.Wait()
}

// label is what an event is about: "start container hepta-traefik".
func label(e progress.Event) string {
	name := e.Resource
	if _, rest, ok := strings.Cut(name, " "); ok {
		name = rest
	}
	kind := e.Kind
	if kind == string(converge.RunTask) {
		kind = "" // its name has a verb of its own
	}
	return clean(strings.TrimSpace(kind + " " + name))
}

// note says what kind of remark an Info event is, and what it is about where
// that needs saying: a line of a log is nothing without whose log it is.
func note(e progress.Event) (what, about string) {
	if e.Kind != "log" && e.Kind != "step" {
		return "note", ""
	}
	_, name, _ := strings.Cut(e.Resource, " ")
	return e.Kind, name
}

// clean is one line of text without what could disturb a terminal.
func clean(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
	}), " ")
}

// Elapsed writes a duration as people say it: 0.4s, 12s, 3m05s, 1h02m.
func Elapsed(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Bytes writes an amount in decimal units, as registries do: 178 MB.
func Bytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	x, i := float64(n), 0
	for x >= 999.5 && i < len(units)-1 {
		x, i = x/1000, i+1
	}
	if i == 0 || x >= 9.95 {
		return fmt.Sprintf("%.0f %s", x, units[i])
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}
