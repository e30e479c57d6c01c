// Package crash kills the real program at every call that it makes for a job,
// and starts it again.
package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is hepta, built for these tests.
var program string

func TestMain(m *testing.M) { os.Exit(built(m)) }

func built(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hepta-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "hepta")
	build := exec.Command("go", "build", "-o", program, "github.com/heptaup/hepta/cmd/hepta")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build hepta:", err)
		return 1
	}
	return m.Run()
}
