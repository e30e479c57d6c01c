package render

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/heptaup/hepta/internal/progress"
)

// heartbeat is how long plain output may be silent about work under way.
const heartbeat = 30 * time.Second

// plain writes a line when something begins, enters a phase, goes on for
// long, or ends.
type plain struct {
	out   io.Writer
	works works
}

func (p *plain) event(e progress.Event) {
	switch {
	case e.State == progress.Info:
		what, about := note(e)
		p.line(what, about, clean(e.Text), 0)
	case e.State == progress.Done:
		w := p.works.finish(e)
		p.line("done", w.label, "", e.Time.Sub(w.began))
	case e.State == progress.Failed:
		w := p.works.finish(e)
		p.line("fail", w.label, clean(e.Text), e.Time.Sub(w.began))
	default:
		w, begun, phase := p.works.take(e)
		switch {
		case begun:
			p.line("start", w.label, w.text, 0)
		case phase && e.Total == 0:
			p.line("wait", w.label, w.text, e.Time.Sub(w.began))
		default:
			return
		}
		w.told = e.Time
	}
}

func (p *plain) tick(now time.Time) {
	for _, w := range p.works.sorted() {
		if now.Sub(w.told) < heartbeat {
			continue
		}
		text := w.text
		if w.total > 0 {
			text = Bytes(w.current) + " of " + Bytes(w.total)
		}
		p.line("wait", w.label, text, now.Sub(w.began))
		w.told = now
	}
}

func (p *plain) line(what, label, text string, d time.Duration) {
	s := fmt.Sprintf("%-5s", what)
	if label != "" {
		s += " " + label
	}
	if text != "" {
		if label != "" {
			s += ":"
		}
		s += " " + text
	}
	if d > 0 {
		s += " (" + Elapsed(d) + ")"
	}
	fmt.Fprintln(p.out, s)
}

func (*plain) period() time.Duration { return time.Second }
func (*plain) end()                  {}

// quiet writes failures, and notes.
type quiet struct{ out io.Writer }

func (q *quiet) event(e progress.Event) {
	lines := plain{out: q.out}
	switch {
	case e.State == progress.Failed:
		lines.line("fail", label(e), clean(e.Text), 0)
	case e.State == progress.Info && e.Kind == progress.Note:
		lines.event(e)
	}
}
func (*quiet) tick(time.Time)        {}
func (*quiet) period() time.Duration { return 0 }
func (*quiet) end()                  {}

// jsonLines writes every event as it is.
type jsonLines struct{ enc *json.Encoder }

func newJSONLines(out io.Writer) *jsonLines {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return &jsonLines{enc}
}

// event drops what cannot be written: whoever read along is gone, and the work
// goes on.
func (j *jsonLines) event(e progress.Event) { _ = j.enc.Encode(e) }

func (*jsonLines) tick(time.Time)        {}
func (*jsonLines) period() time.Duration { return 0 }
func (*jsonLines) end()                  {}
