package render

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heptaup/hepta/internal/progress"
)

var epoch = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

// story is two operations at once, one with phases, one with bytes, one that fails.
func story() []progress.Event {
	pull := progress.Event{Op: 1, Kind: "pull image", Resource: "image traefik:v3.6.12"}
	wait := progress.Event{Op: 2, Kind: "wait for container", Resource: "container hepta-heptapod"}
	with := func(e progress.Event, s float64, state progress.State, text string, current, total int64) progress.Event {
		e.Time, e.State, e.Text, e.Current, e.Total = at(s), state, text, current, total
		return e
	}
	return []progress.Event{
		with(pull, 0, progress.Running, "", 0, 0),
		with(wait, 0.5, progress.Running, "until it is healthy", 0, 0),
		with(pull, 1, progress.Running, "", 10e6, 178e6),
		with(pull, 2, progress.Running, "", 90e6, 178e6),
		with(wait, 3, progress.Waiting, "reconfiguring", 0, 0),
		with(wait, 3.1, progress.Waiting, "reconfiguring", 0, 0),
		with(pull, 4, progress.Done, "", 0, 0),
		{Time: at(5), State: progress.Info, Text: "network web is used\x1b[31m as it is"},
		with(wait, 70, progress.Failed, "it ended with exit code 1", 0, 0),
	}
}

func TestPlain(t *testing.T) {
	var out bytes.Buffer
	p := &plain{out: &out, works: works{}}
	for i, e := range story() {
		p.event(e)
		if i == 6 {
			p.tick(at(10))
			p.tick(at(33))
			p.tick(at(34))
			p.tick(at(63))
		}
	}
	want := `start pull image traefik:v3.6.12
start wait for container hepta-heptapod: until it is healthy
wait  wait for container hepta-heptapod: reconfiguring (2.5s)
done  pull image traefik:v3.6.12 (4.0s)
wait  wait for container hepta-heptapod: reconfiguring (32s)
wait  wait for container hepta-heptapod: reconfiguring (1m02s)
note  network web is used [31m as it is
fail  wait for container hepta-heptapod: it ended with exit code 1 (1m09s)
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestPlainTellsBytes(t *testing.T) {
	var out bytes.Buffer
	p := &plain{out: &out, works: works{}}
	for _, e := range story()[:4] {
		p.event(e)
	}
	p.tick(at(31))
	if !strings.Contains(out.String(), "wait  pull image traefik:v3.6.12: 90 MB of 178 MB (31s)\n") {
		t.Errorf("got\n%s", out.String())
	}
}

func TestQuietAndJSON(t *testing.T) {
	for mode, want := range map[Mode]string{
		Quiet: "fail  wait for container hepta-heptapod: it ended with exit code 1\nnote  network web was not created by this stack\n",
		JSON:  `{"time":"2026-01-31T12:00:00Z","op":1,"kind":"pull image","resource":"image traefik:v3.6.12","state":"running"}` + "\n",
	} {
		var out bytes.Buffer
		p := New(mode, &out, Options{})
		told := append(story(), progress.Event{Time: at(71), State: progress.Info, Kind: progress.Note, Text: "network web was not created by this stack"})
		for _, e := range told {
			p.Sink().Send(e)
		}
		p.Close()
		p.Close()
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: got\n%s", mode, out.String())
		}
		if lines := strings.Count(out.String(), "\n"); mode == JSON && lines != len(told) {
			t.Errorf("%d lines for %d events", lines, len(told))
		}
	}
}

func TestAutoIsPlainOnAPipe(t *testing.T) {
	var out bytes.Buffer
	p := New(Auto, &out, Options{})
	p.Sink().Send(story()[0])
	p.Close()
	p.Sink().Send(story()[1])
	if out.String() != "start pull image traefik:v3.6.12\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestManyAtOnce(t *testing.T) {
	screen := newScreen(60, 10)
	p := New(TTY, screen, Options{Terminal: true, Size: screen.size})
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			for n := range 50 {
				p.Sink().Send(progress.Event{Op: i + 1, Kind: "pull image", Resource: fmt.Sprintf("image x:%d", i), State: progress.Running, Current: int64(n), Total: 50})
			}
			p.Sink().Send(progress.Event{Op: i + 1, Kind: "pull image", Resource: fmt.Sprintf("image x:%d", i), State: progress.Done})
		})
	}
	group.Wait()
	p.Close()
	text := screen.text()
	if strings.Count(text, "✔ pull image x:") != 20 || strings.Contains(text, "━") {
		t.Errorf("got\n%s", text)
	}
}

func TestElapsedAndBytes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * time.Millisecond: "0.4s", 12 * time.Second: "12s", 185 * time.Second: "3m05s", 62 * time.Minute: "1h02m",
	} {
		if got := Elapsed(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 178e6: "178 MB", 2.5e9: "2.5 GB", 9.99e6: "10 MB", 999_999: "1.0 MB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// Work that takes long and says nothing is told, once, and not where something
// else was.
func TestIfSilent(t *testing.T) {
	waiting := progress.Event{State: progress.Info, Kind: "step", Resource: "command registry list", Text: "waiting for the forge"}
	for name, want := range map[string]string{"silent": "step  registry list: waiting for the forge\n", "told": "note  something\n", "asked": "", "over": ""} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			p := New(Quiet, &out, Options{})
			p.view = &plain{out: &out, works: works{}}
			p.IfSilent(time.Second, waiting)
			switch name {
			case "told":
				p.Sink()(progress.Event{State: progress.Info, Text: "something"})
			case "asked":
				p.Told()
			case "over":
				p.Close()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			p.Close()
			if out.String() != want {
				t.Errorf("%s: got %q, want %q", name, out.String(), want)
			}
		})
	}
}

func TestParseMode(t *testing.T) {
	if _, err := ParseMode("loud"); err == nil {
		t.Error("loud is a mode")
	}
	if m, err := ParseMode("json"); err != nil || m != JSON {
		t.Error(m, err)
	}
}
