package hepta

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/fault"
)

func TestAddRunner(t *testing.T) {
	d := RunnerDraft{Name: "new", Mode: "socket", Tags: []string{"a", "b c"}, Concurrent: 2, Image: "docker:28"}
	const entry = `- {name: new, mode: socket, tags: [a, "b c"], concurrent: 2, image: "docker:28"}`
	for name, c := range map[string]struct{ before, after string }{
		"none": {"forge: hg.example.org # ours\n# the end\n", "forge: hg.example.org # ours\n\nrunners:\n  " + entry + "\n# the end\n"},
		"last": {"forge: hg.example.org\nrunners:\n  # first\n  - {name: x}\n", "forge: hg.example.org\nrunners:\n  # first\n  - {name: x}\n  " + entry + "\n"},
		"in between, in blocks": {
			"forge: hg.example.org\nrunners:\n- name: x\n  settings:\n    pre_build_script: |\n      a\n\n      b\n  # of x\n\n# registry\nregistry: r.example.org\n",
			"forge: hg.example.org\nrunners:\n- name: x\n  settings:\n    pre_build_script: |\n      a\n\n      b\n  # of x\n" + entry + "\n\n# registry\nregistry: r.example.org\n"},
		"no newline at the end": {"forge: hg.example.org\nrunners:\n    - name: x", "forge: hg.example.org\nrunners:\n    - name: x\n    " + entry + "\n"},
		"Windows":               {"forge: hg.example.org\r\nrunners:\r\n  - {name: x}\r\n", "forge: hg.example.org\r\nrunners:\r\n  - {name: x}\r\n  " + entry + "\n"},
	} {
		path := filepath.Join(t.TempDir(), "hepta.yaml")
		if err := os.WriteFile(path, []byte(c.before), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := AddRunner(path, d); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.after, string(got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if err := AddRunner(path, d); err == nil || !strings.Contains(err.Error(), "describes one of that name") || fault.Remedy(err) == "" {
			t.Errorf("%s, again: %v", name, err)
		}
	}
}

func TestAddRunnerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		before, want string
		draft        RunnerDraft
	}{
		"flow":        {"forge: hg.example.org\nrunners: [{name: x}]\n", "not written one entry a line", RunnerDraft{Name: "new"}},
		"flow, empty": {"forge: hg.example.org\nrunners: []\n", "not written one entry a line", RunnerDraft{Name: "new"}},
		"anchor":      {"forge: hg.example.org\nrunners: &r\n  - {name: x}\n", "", RunnerDraft{Name: "new"}},
		"bad mode":    {"forge: hg.example.org\n", "mode", RunnerDraft{Name: "new", Mode: "shell"}},
		"bad name":    {"forge: hg.example.org\n", "name", RunnerDraft{Name: "-f"}},
		"no name":     {"forge: hg.example.org\n", "name", RunnerDraft{}},
		"bad file":    {"forge: [\n", "", RunnerDraft{Name: "new"}},
	} {
		path := filepath.Join(t.TempDir(), "hepta.yaml")
		if err := os.WriteFile(path, []byte(c.before), 0o644); err != nil {
			t.Fatal(err)
		}
		err := AddRunner(path, c.draft)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.before {
			t.Errorf("%s: the file changed: %v\n%s", name, err, got)
		}
	}
	if err := AddRunner(filepath.Join(t.TempDir(), "none.yaml"), RunnerDraft{Name: "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Whatever the file is, what is put into it is all that changes.
func FuzzWithRunner(f *testing.F) {
	for _, text := range []string{
		"forge: hg.example.org\n", "runners:\n  - {name: x}\n", "runners:\n- name: x\n  tags: [a]\n\n# c\ntls: {mode: off}\n", "runners: [a]", "", "---\na: b\n...\n", "? a\n: b\nrunners:\n\n -  x",
	} {
		f.Add(text)
	}
	d := RunnerDraft{Name: "new"}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := withRunner([]byte(text), d)
		if err != nil {
			return
		}
		at := strings.LastIndex(string(got), d.line()+"\n")
		if at < 0 {
			t.Fatalf("got %q", got)
		}
		before, after := string(got[:at]), string(got[at+len(d.line())+1:])
		before = strings.TrimSuffix(strings.TrimRight(before, " "), "\nrunners:\n")
		if before+after != text && strings.TrimSuffix(before, "\n")+after != text {
			t.Errorf("got %q", got)
		}
	})
}
