package images

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

func TestNeed(t *testing.T) {
	const missing = "mmdebstrap"
	for _, tt := range []struct {
		name     string
		there    []string
		root     bool
		aptFails bool
		works    bool
		commands string
		says     []string // parts of the error
	}{
		{"there already", []string{missing}, false, false, true, "", nil},
		{"installed", []string{"apt-get"}, true, false, true, "apt-get update -qq; apt-get install -y -qq --no-install-recommends mmdebstrap", nil},
		{"not root", []string{"apt-get"}, false, false, false, "", []string{"mmdebstrap is not installed", "apt-get install mmdebstrap"}},
		{"no apt", nil, true, false, false, "", []string{"mmdebstrap is not installed", "apt-get install mmdebstrap"}},
		{"apt fails", []string{"apt-get"}, true, true, false, "apt-get update -qq", []string{"install mmdebstrap", "no network"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			there := map[string]bool{}
			for _, n := range tt.there {
				there[n] = true
			}
			var commands []string
			h := &host{
				lookPath: func(n string) (string, error) {
					if there[n] {
						return "/usr/bin/" + n, nil
					}
					return "", errors.New("not found")
				},
				root: func() bool { return tt.root },
				run: func(_ context.Context, name string, args ...string) error {
					commands = append(commands, name+" "+strings.Join(args, " "))
					if tt.aptFails {
						return errors.New("no network")
					}
					if args[0] == "install" {
						there[args[len(args)-1]] = true
					}
					return nil
				},
			}
			said := ""
			err := h.need(t.Context(), mmdebstrapTool(), func(text string) { said += text })
			if (err == nil) != tt.works {
				t.Fatalf("got %v", err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if got := strings.Join(commands, "; "); got != tt.commands {
				t.Errorf("ran %q, want %q", got, tt.commands)
			}
			if len(commands) > 0 && !strings.Contains(said, "installing mmdebstrap") {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestPackageCounter(t *testing.T) {
	var steps []int64
	c := &packageCounter{step: func(n int64) { steps = append(steps, n) }}
	for _, part := range []string{"runtime\ninter", "nal/abi\n", "go: downloading x v1\n# broken/package\nfile.go:3:1: undefined: x\n", "last"} {
		if n, err := c.Write([]byte(part)); err != nil || n != len(part) {
			t.Fatal(n, err)
		}
	}
	if c.n != 2 {
		t.Errorf("counted %d packages, want 2", c.n)
	}
	if want := "go: downloading x v1\n# broken/package\nfile.go:3:1: undefined: x\n"; !bytes.Equal(c.said.Bytes(), []byte(want)) {
		t.Errorf("kept %q", c.said.String())
	}
	if len(steps) == 0 {
		t.Error("no step was told")
	}
}

func TestStreamError(t *testing.T) {
	if err := streamError(strings.NewReader(`{"status":"a"}{"stream":"b\n"}`)); err != nil {
		t.Error(err)
	}
	if err := streamError(strings.NewReader(`{"status":"a"}{"error":"no space left","errorDetail":{}}`)); err == nil || err.Error() != "no space left" {
		t.Errorf("got %v", err)
	}
	if err := streamError(strings.NewReader(`{"status":`)); err == nil {
		t.Error("a cut stream is taken for a whole one")
	}
}
