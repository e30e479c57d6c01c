package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostDirectory is a directory in which the scripts for the lock's container
// run here.
type hostDirectory struct {
	*testing.T
	dir string
}

func (h hostDirectory) script(script string, args ...string) {
	h.Helper()
	if out, err := exec.Command("sh", append([]string{"-c", script, "hepta"}, args...)...).CombinedOutput(); err != nil {
		h.Fatalf("%v: %s", err, out)
	}
}

// write places a file as an operation does.
func (h hostDirectory) write(name, content, mark, keep string) {
	h.Helper()
	at := filepath.Join(h.dir, "d", name)
	temp := filepath.Join(h.dir, ".hepta-temp")
	if err := os.WriteFile(temp, []byte(content), 0o640); err != nil {
		h.Fatal(err)
	}
	before, absent := keptAs(at, keep)
	h.script(place, temp, at, "022", markOf(at), mark, before, absent)
}

func (h hostDirectory) restore(keep string, names ...string) {
	h.Helper()
	var args []string
	for _, n := range names {
		at := filepath.Join(h.dir, "d", n)
		before, absent := keptAs(at, keep)
		args = append(args, at, before, absent, markOf(at))
	}
	h.script(putBack, args...)
}

// holds says what is in the directory, as "name=content".
func (h hostDirectory) holds(want string) {
	h.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dir, "d"))
	if err != nil {
		h.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(h.dir, "d", e.Name()))
		if err != nil {
			h.Fatal(err)
		}
		list = append(list, e.Name()+"="+string(b))
	}
	if got := strings.Join(list, " "); got != want {
		h.Errorf("there is %s\nwant     %s", got, want)
	}
}

func TestKeptContent(t *testing.T) {
	h := hostDirectory{t, t.TempDir()}
	h.write("a", "1", "no", "")
	h.holds("a=1")
	h.write("a", "2", "yes", "old")
	h.write("b", "2", "no", "old")
	h.holds(".a.hepta-before-old=1 .a.hepta-pending= .b.hepta-absent-old= a=2 b=2")
	h.write("a", "3", "yes", "old") // once more: what was first stays
	h.holds(".a.hepta-before-old=1 .a.hepta-pending= .b.hepta-absent-old= a=3 b=2")
	h.restore("other", "a", "b") // nothing is kept for that one
	h.holds(".a.hepta-before-old=1 .a.hepta-pending= .b.hepta-absent-old= a=3 b=2")
	h.restore("old", "a", "b")
	h.holds("a=1")
	h.restore("old", "a", "b")
	h.holds("a=1")

	h.write("a", "2", "no", "old")
	h.write("a", "3", "no", "later")
	h.holds(".a.hepta-before-later=2 a=3")
	h.write("a", "4", "no", "")
	h.holds("a=4")

	// Killed between the two steps of a write: both names are of one file.
	at := filepath.Join(h.dir, "d", "a")
	before, _ := keptAs(at, "old")
	if err := os.Link(at, before); err != nil {
		t.Fatal(err)
	}
	h.restore("old", "a")
	h.holds("a=4")
}

func TestKeptContentHasItsMode(t *testing.T) {
	h := hostDirectory{t, t.TempDir()}
	h.write("a", "secret", "no", "")
	at := filepath.Join(h.dir, "d", "a")
	if err := os.Chmod(at, 0o600); err != nil {
		t.Fatal(err)
	}
	h.write("a", "other", "no", "old")
	before, _ := keptAs(at, "old")
	if i, err := os.Stat(before); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", i, err)
	}
}
