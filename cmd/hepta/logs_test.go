package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/heptaup/hepta"
)

func TestSince(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"10m":                  now.Add(-10 * time.Minute),
		"2026-01-30T08:00:00Z": time.Date(2026, 1, 30, 8, 0, 0, 0, time.UTC),
		"2026-01-30 08:00:00":  time.Date(2026, 1, 30, 8, 0, 0, 0, time.Local),
		"2026-01-30":           time.Date(2026, 1, 30, 0, 0, 0, 0, time.Local),
	} {
		if got, err := since(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-10m", "yesterday", "2026-13-01"} {
		if got, err := since(text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestLogPrinter(t *testing.T) {
	var out bytes.Buffer
	print := logPrinter(terminal{out: &out}, []string{"traefik", "heptapod"}, false)
	print(hepta.LogLine{Service: "traefik", Text: "a"})
	print(hepta.LogLine{Service: "heptapod", Text: "b"})
	if want := "traefik  | a\nheptapod | b\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
