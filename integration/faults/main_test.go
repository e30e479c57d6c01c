// Package faults kills the program, the Engine and containers under it, and
// looks at what one more hepta up makes of that.
package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/heptaup/hepta/integration/stage"
	"github.com/heptaup/hepta/internal/images"
)

// outer is the Engine under everything, with the two programs.
var outer struct {
	*stage.Stage
	hepta, double string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Hour)
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "prepare tests of faults:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "hepta-faults-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	outer.hepta, outer.double = filepath.Join(dir, "hepta"), filepath.Join(dir, "double")
	for file, pkg := range map[string]string{
		outer.hepta:  "github.com/heptaup/hepta/cmd/hepta",
		outer.double: "github.com/heptaup/hepta/integration/faults/double",
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", file, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fail(fmt.Errorf("build %s: %w\n%s", pkg, err, out))
		}
	}
	if outer.Stage, err = stage.Open(ctx, "hepta.faults", images.Base, images.Small); err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := outer.Close(ctx); err != nil {
		return fail(err)
	}
	return code
}
