package tracelog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	trace := "Running with gitlab-runner 12.8\n" +
		"section_start:1700000000:prepare_executor\r\x1b[0K\x1b[0K\x1b[36;1mPreparing\x1b[0;m\n" +
		"Using Docker\n" +
		"section_end:1700000001:prepare_executor\r\x1b[0Ksection_start:1700000001:step_script[collapsed=true]\r\x1b[0K\x1b[36;1mExecuting\x1b[0;m\n" +
		"$ echo\n\nprogress 1%\rprogress 100%\r\n" +
		"section_end:1700000002:step_script\r\x1b[0K\x1b[32;1mJob succeeded\x1b[0;m\n"
	want := []Section{
		{Lines: []string{"Running with gitlab-runner 12.8"}},
		{Name: "prepare_executor", Lines: []string{"Preparing", "Using Docker"}},
		{Name: "step_script", Lines: []string{"Executing", "$ echo", "", "progress 100%"}},
		{Lines: []string{"Job succeeded"}},
	}
	if d := cmp.Diff(want, Parse(trace)); d != "" {
		t.Error(d)
	}
	var stamped strings.Builder
	for i, l := range strings.SplitAfter(strings.TrimSuffix(trace, "\n"), "\n") {
		stamped.WriteString("2026-01-02T03:04:05.123456Z 0" + string(rune('0'+i%2)) + "O " + l)
	}
	if d := cmp.Diff(want, Parse(stamped.String())); d != "" {
		t.Error("stamped:", d)
	}
}

func TestLinesJoinsWhatGoesOn(t *testing.T) {
	const s = "2026-01-02T03:04:05.123456Z 01O"
	got := Lines(s + " half\n" + s + "+ and half\n" + s + " next\nbare\n" + s + "+orphan\n")
	if d := cmp.Diff([]string{"half and half", "next", "bare", "orphan"}, got); d != "" {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("section_start:1:a\r\x1b[0Kx\nsection_end:1:a\r\x1b[0K")
	f.Add("2026-01-02T03:04:05.123456Z 01O+x\r\ry")
	f.Fuzz(func(t *testing.T, trace string) {
		for _, s := range Parse(trace) {
			for _, l := range s.Lines {
				if strings.ContainsAny(l, "\n\r") {
					t.Fatalf("line %q holds a line end", l)
				}
			}
		}
	})
}
