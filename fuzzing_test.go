package hepta_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What docs/fuzzing.md says of a target is about one that is there.
func TestFuzzTargetsOfTheDocumentExist(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| `(Fuzz[A-Za-z]+)` in (\\S+(?: root)?) \\|").FindAllStringSubmatch(read(t, "docs/fuzzing.md"), -1)
	if len(rows) < 5 {
		t.Fatalf("only %d targets are named", len(rows))
	}
	for _, row := range rows {
		dir := row[2]
		if dir == "the root" {
			dir = "."
		}
		if !declared(t, dir, row[1]) {
			t.Errorf("there is no %s in %s", row[1], dir)
		}
	}
}

// declared reports whether a test file of a directory has the target.
func declared(t *testing.T, dir, target string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(read(t, file), "func "+target+"(f *testing.F) {")
	})
}
