package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestInterruptedExitCode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hepta.yaml")
	if err := os.WriteFile(file, []byte("forge: hg.example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	engine := listen(t)
	var out, errs bytes.Buffer
	code := run(ctx, []string{"hepta", "--file", file, "--host", "tcp://" + engine.Addr().String(), "plan"},
		terminal{in: &out, out: &out, err: &errs, env: func(string) string { return "" }})
	if code != exitInterrupted {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
}
