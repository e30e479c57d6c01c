package ci_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/runner/ci"
)

func Example() {
	clone, err := os.MkdirTemp("", "clone")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(clone)
	draft := ci.Draft{Pipeline: ci.Test, Mode: runner.Dind, Tags: []string{"docker"}}
	files, err := draft.Write(clone, false)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(filepath.Base(f.Path), f.Outcome)
	}
	// Output:
	// .gitlab-ci.yml written
	// Dockerfile written
}
