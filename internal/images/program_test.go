package images

import (
	"bytes"
	"testing"
)

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
