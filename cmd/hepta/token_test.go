package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A token is found in each of its places, and what is too long to be one is
// refused without a word of it.
func TestReadToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HEPTA_TEST_TOKEN", "canary")
	for _, place := range []string{file, "env:HEPTA_TEST_TOKEN", "-"} {
		var errs bytes.Buffer
		got, err := readToken(terminal{in: strings.NewReader("canary"), err: &errs}, place)
		if err != nil || string(got) != "canary" || errs.Len() > 0 {
			t.Errorf("%s: %q, %v, %s", place, got, err, errs.String())
		}
	}
	long := strings.Repeat("canary", maxToken)
	if err := os.WriteFile(file, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HEPTA_TEST_TOKEN", long)
	for _, place := range []string{file, "env:HEPTA_TEST_TOKEN", "-", "env:HEPTA_TEST_NONE", "env:", "glrt-canary", "env:glpat-canary", "GR1348941canary"} {
		_, err := readToken(terminal{in: strings.NewReader(long), err: io.Discard}, place)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", place, err)
		}
	}
}
