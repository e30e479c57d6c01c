package sandbox

import (
	"errors"
	"slices"
	"testing"
)

func TestBoundingSet(t *testing.T) {
	caps, err := boundingSet("Name:\tinit\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\nSeccomp:\t0\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(caps) != 40 {
		t.Errorf("got %d capabilities, want 40 (all but one)", len(caps))
	}
	if slices.Contains(caps, "CAP_SYS_RESOURCE") {
		t.Error("CAP_SYS_RESOURCE is there although its bit is not")
	}
	for _, c := range []string{"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"} {
		if !slices.Contains(caps, c) {
			t.Errorf("%s is missing", c)
		}
	}
	for _, bad := range []string{"", "CapBnd:\tmany\n", "CapEff:\t1\n"} {
		if caps, err := boundingSet(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, caps)
		}
	}
}

func TestUnknownCapability(t *testing.T) {
	for text, want := range map[string]string{
		`Error response from daemon: invalid CapAdd: unknown capability: "CAP_BPF"`: "CAP_BPF",
		`invalid CapAdd: unknown capability: "CAP_PERFMON"`:                         "CAP_PERFMON",
		`cannot add CAP_SYS_ADMIN: operation not permitted`:                         "",
	} {
		if got := unknownCapability(errors.New(text)); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
