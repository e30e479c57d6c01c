package engine

import (
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/converge"
)

// The time of a file tells hepta whether it still is what was written, and
// tells nobody anything about a secret one.
func TestTimeOfASecretFile(t *testing.T) {
	content := []byte("hunter22")
	s := &converge.Stack{Name: "s", Data: "/d", Files: []converge.File{
		{Path: "a/open", Content: content}, {Path: "a/private", Mode: 0o600, Content: content}, {Path: "b/secret", Mode: 0o600, Secret: true, Content: content},
	}}
	f := newFake()
	l := leased(t, f, s)
	defer l.Release()
	fingerprint := stamp(time.Time{}, content, 0, 0).Nanosecond()
	for path, want := range map[string]bool{"a/open": true, "a/private": true, "b/secret": false, "c/unknown": false} {
		f.written = nil
		mode := converge.File{Mode: 0o600}.Perm()
		if err := l.write(t.Context(), path, content, mode, 0, 0, writing{}); err != nil {
			t.Fatal(err)
		}
		if got := f.written[0].ModTime.Nanosecond() == fingerprint; got != want {
			t.Errorf("%s: its time is a fingerprint: %v", path, got)
		}
	}
}
