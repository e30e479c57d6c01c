package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a terminal ci init asks for what the flags leave open, and again for
// what is no good.
func TestCIInitAsks(t *testing.T) {
	dir := t.TempDir()
	if code := answered(t, "all\npublish\nfast\nrootless\n\n", "ci", "init", dir); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	text, err := os.ReadFile(filepath.Join(dir, ".gitlab-ci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"$CI_COMMIT_TAG", "buildctl-daemonless.sh", "tags: [rootless]"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}

	// What a flag says is not asked for, right or wrong.
	dir = t.TempDir()
	if code := answered(t, "socket\n", "ci", "init", "--pipeline", "test", "--tag", "linux", dir); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	if text, err = os.ReadFile(filepath.Join(dir, ".gitlab-ci.yml")); err != nil || !strings.Contains(string(text), "tags: [linux]") {
		t.Errorf("%v\n%s", err, text)
	}
	if code := answered(t, "", "ci", "init", "--pipeline", "deploy", dir); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
}
