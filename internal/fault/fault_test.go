package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestError(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		line     string
		describe string
	}{
		{"all", &Error{Op: "pull image", What: "a:1", Why: "no access", Remedy: "Log in.", Err: fs.ErrPermission},
			"pull image a:1: no access: permission denied", "pull image a:1: no access: permission denied\nLog in."},
		{"cause repeats the reason", &Error{Op: "pull image", What: "a:1", Why: "permission denied by all", Err: fs.ErrPermission},
			"pull image a:1: permission denied by all", "pull image a:1: permission denied by all"},
		{"bare cause", &Error{Err: fs.ErrPermission}, "permission denied", "permission denied"},
		{"wrapped", fmt.Errorf("up: %w", &Error{Op: "start", What: "web", Why: "exited\nlast line", Remedy: "Look."}),
			"up: start web: exited", "up: start web: exited\nexited\nlast line\nLook."},
		{"joined", errors.Join(&Error{Op: "a", Remedy: "A."}, &Error{Op: "b", Remedy: "B."}, &Error{Op: "c", Remedy: "A."}),
			"a\nb\nc", "a\nA.\nB."},
		{"nil", nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.err != nil && c.err.Error() != c.line {
				t.Errorf("line %q, want %q", c.err.Error(), c.line)
			}
			if got := Describe(c.err); got != c.describe {
				t.Errorf("describe %q, want %q", got, c.describe)
			}
		})
	}
}

func TestUnwrapAndRemedy(t *testing.T) {
	err := fmt.Errorf("outer: %w", &Error{Op: "read", Err: &Error{Op: "inner", Remedy: "Do it.", Err: fs.ErrNotExist}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("cause is lost")
	}
	if got := Remedy(err); got != "Do it." {
		t.Errorf("remedy %q", got)
	}
	if got := Remedy(fs.ErrNotExist); got != "" {
		t.Errorf("remedy of a plain error %q", got)
	}
}

// A kind is found by errors.Is and says nothing in the text.
func TestKind(t *testing.T) {
	err := fmt.Errorf("list: %w", &Error{Op: "find project", What: "a/b", Why: "the forge has no such project", Kind: fs.ErrNotExist})
	if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || err.Error() != "list: find project a/b: the forge has no such project" {
		t.Errorf("got %v", err)
	}
	if errors.Is(&Error{Op: "x"}, fs.ErrNotExist) {
		t.Error("an error without a kind is of every kind")
	}
}
