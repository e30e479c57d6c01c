package render

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/progress"
)

func TestTTY(t *testing.T) {
	s := newScreen(80, 24)
	v := newTTY(s, Options{Size: s.size})
	events := story()
	for _, e := range events[:5] {
		v.event(e)
	}
	v.tick(at(3.2))
	want := `⠙ pull image traefik:v3.6.12 [━━━━━━━━━━          ] 90 MB of 178 MB 3.2s
⠸ wait for container hepta-heptapod  reconfiguring 2.7s
`
	// Where the wheel stands is of no interest.
	still := func(text string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(frames, r) {
				return '*'
			}
			return r
		}, text)
	}
	if got := still(s.text()); got != still(want) {
		t.Errorf("under way: got\n%s\nwant\n%s", got, want)
	}
	if !s.hidden {
		t.Error("the cursor blinks in the region")
	}
	for _, e := range events[5:] {
		v.event(e)
	}
	v.end()
	want = `✔ pull image traefik:v3.6.12 4.0s
• network web is used [31m as it is
✘ wait for container hepta-heptapod: it ended with exit code 1 1m09s
`
	if got := s.text(); got != want {
		t.Errorf("at the end: got\n%s\nwant\n%s", got, want)
	}
	if s.hidden || len(s.strange) > 0 {
		t.Errorf("cursor hidden %v, sequences %q", s.hidden, s.strange)
	}
}

// However the window changes, what ended is there once and nothing of the
// region is left over.
func TestTTYResize(t *testing.T) {
	for _, widths := range [][]int{{30, 90, 20}, {20, 20, 100}, {10, 40, 12}} {
		s := newScreen(80, 40)
		v := newTTY(s, Options{Size: s.size})
		for op := 1; op <= 6; op++ {
			v.event(progress.Event{Time: at(float64(op)), Op: op, Kind: "wait for container", Resource: fmt.Sprintf("container hepta-service-%d", op), State: progress.Running, Text: "until it is healthy"})
		}
		for i, w := range widths {
			s.resize(w)
			v.tick(at(float64(10 + i)))
		}
		s.resize(80)
		v.tick(at(20))
		for op := 1; op <= 6; op++ {
			v.event(progress.Event{Time: at(21), Op: op, Kind: "wait for container", Resource: fmt.Sprintf("container hepta-service-%d", op), State: progress.Done})
		}
		v.end()
		want := ""
		for op := 1; op <= 6; op++ {
			want += fmt.Sprintf("✔ wait for container hepta-service-%d %s\n", op, Elapsed(at(21).Sub(at(float64(op)))))
		}
		if got := s.text(); got != want {
			t.Errorf("widths %v: got\n%s\nwant\n%s", widths, got, want)
		}
	}
}

// More work than rows must not scroll: a region that is partly above the
// screen cannot be erased any more.
func TestTTYFewRows(t *testing.T) {
	s := newScreen(60, 6)
	v := newTTY(s, Options{Size: s.size})
	for op := 1; op <= 12; op++ {
		v.event(progress.Event{Time: at(float64(op)), Op: op, Kind: "pull image", Resource: fmt.Sprintf("image x:%d", op), State: progress.Running})
	}
	if got := s.text(); strings.Count(got, "\n") != 4 || !strings.Contains(got, "… and 9 more") {
		t.Errorf("got\n%s", got)
	}
	v.end()
	if got := s.text(); got != "" {
		t.Errorf("left over\n%s", got)
	}
}

// Byte counts come by the thousand; frames do not.
func TestTTYFrames(t *testing.T) {
	var out bytes.Buffer
	v := newTTY(&out, Options{Size: func() (int, int) { return 80, 24 }})
	for i := range 1000 {
		v.event(progress.Event{Time: at(float64(i) / 1000), Op: 1, Kind: "pull image", Resource: "image x", State: progress.Running, Current: int64(i), Total: 1000})
	}
	if n := strings.Count(out.String(), eraseBelow); n > 11 {
		t.Errorf("%d frames in a second", n)
	}
}

func TestTTYColor(t *testing.T) {
	var out bytes.Buffer
	v := newTTY(&out, Options{Color: true, Size: func() (int, int) { return 80, 24 }})
	v.event(progress.Event{Time: at(0), Op: 1, Kind: "pull image", Resource: "image x", State: progress.Done})
	if !strings.Contains(out.String(), "\x1b[32m✔\x1b[0m pull image x") {
		t.Errorf("got %q", out.String())
	}
}

// A command that had nothing to show leaves no trace of the view.
func TestTTYUnused(t *testing.T) {
	var out bytes.Buffer
	v := newTTY(&out, Options{Size: func() (int, int) { return 80, 24 }})
	v.end()
	if out.Len() > 0 {
		t.Errorf("wrote %q", out.String())
	}
}
