package render

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/heptaup/hepta/internal/progress"
)

const (
	frames     = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
	frameEvery = 100 * time.Millisecond

	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	toStart    = "\r"
	eraseBelow = "\x1b[J"
)

// tty keeps the work under way in a region at the bottom; what ended scrolls
// away above it. A frame is one write, so nothing flickers.
type tty struct {
	out    io.Writer
	size   func() (w, h int)
	paint  palette
	works  works
	hidden bool  // the cursor is, from the first region to the end
	drawn  []int // width of each line of the region
	turn   int
	last   time.Time
}

func newTTY(out io.Writer, o Options) *tty {
	return &tty{out: out, size: o.Size, paint: palette(o.Color), works: works{}}
}

func (t *tty) event(e progress.Event) {
	width, _ := t.size()
	switch {
	case e.State == progress.Info:
		_, about := note(e)
		text := clean(e.Text)
		if about != "" {
			text = about + ": " + text
		}
		t.frame(e.Time, t.ended('i', text, "", width))
	case e.State == progress.Done:
		w := t.works.finish(e)
		t.frame(e.Time, t.ended('+', w.label, Elapsed(e.Time.Sub(w.began)), width))
	case e.State == progress.Failed:
		w := t.works.finish(e)
		text := w.label
		if why := clean(e.Text); why != "" {
			text += ": " + why
		}
		t.frame(e.Time, t.ended('!', text, Elapsed(e.Time.Sub(w.began)), width))
	default:
		t.works.take(e)
		// A stream of byte counts must not become a stream of frames.
		if e.Time.Sub(t.last) >= frameEvery || e.Time.Before(t.last) {
			t.frame(e.Time, "")
		}
	}
}

func (t *tty) tick(now time.Time) {
	if len(t.works) > 0 {
		t.turn++
		t.frame(now, "")
	}
}

func (*tty) period() time.Duration { return frameEvery }

func (t *tty) end() {
	if t.hidden {
		fmt.Fprint(t.out, t.home()+eraseBelow+showCursor)
	}
	t.drawn, t.hidden = nil, false
}

// home leads from behind the region to its first line. When the terminal has
// become narrower since, the region's lines have been broken.
func (t *tty) home() string {
	width, _ := t.size()
	rows := 0
	for _, w := range t.drawn {
		rows += max(1, (w+width-1)/max(1, width))
	}
	if rows == 0 {
		return toStart
	}
	return fmt.Sprintf("\r\x1b[%dA", rows)
}

// frame writes lines that stay, then the region anew.
func (t *tty) frame(now time.Time, stay string) {
	width, height := t.size()
	var b strings.Builder
	if !t.hidden && len(t.works) > 0 {
		b.WriteString(hideCursor)
		t.hidden = true
	}
	b.WriteString(t.home() + eraseBelow + stay)
	t.drawn = t.drawn[:0]
	list := t.works.sorted()
	room := max(1, height-2)
	more := 0
	if len(list) > room {
		more = len(list) - room + 1
		list = list[:room-1]
	}
	for _, w := range list {
		t.region(&b, w, now, width)
	}
	if more > 0 {
		text := cut(fmt.Sprintf("  … and %d more", more), width-1)
		b.WriteString(t.paint.dim(text) + "\n")
		t.drawn = append(t.drawn, utf8.RuneCountInString(text))
	}
	fmt.Fprint(t.out, b.String())
	t.last = now
}

func (t *tty) region(b *strings.Builder, w *work, now time.Time, width int) {
	spinner := []rune(frames)
	head := string(spinner[(t.turn+w.op)%len(spinner)]) + " "
	tail := " " + Elapsed(max(0, now.Sub(w.began)))
	middle := w.label
	switch {
	case w.total > 0:
		middle += " " + bar(w.current, w.total, 20) + " " + Bytes(w.current) + " of " + Bytes(w.total)
	case w.text != "":
		middle += "  " + w.text
	}
	// The last column stays free: writing to it makes some terminals wrap.
	middle = cut(middle, width-1-utf8.RuneCountInString(head+tail))
	line := head + middle + tail
	t.drawn = append(t.drawn, utf8.RuneCountInString(line))
	b.WriteString(t.paint.accent(head) + middle + t.paint.dim(tail) + "\n")
}

// ended is a line about what is over; its text may take several rows.
func (t *tty) ended(kind byte, text, tail string, width int) string {
	mark := map[byte]string{'+': t.paint.good("✔"), '!': t.paint.bad("✘"), 'i': t.paint.accent("•")}[kind]
	if kind == '+' {
		text = cut(text, width-4-utf8.RuneCountInString(tail))
	}
	line := mark + " " + text
	if tail != "" {
		line += " " + t.paint.dim(tail)
	}
	return line + "\n"
}

func bar(current, total int64, width int) string {
	full := int(float64(width) * float64(min(current, total)) / float64(total))
	return "[" + strings.Repeat("━", full) + strings.Repeat(" ", width-full) + "]"
}

// cut shortens text to n columns.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	if n < 1 {
		return ""
	}
	return string([]rune(text)[:n-1]) + "…"
}
