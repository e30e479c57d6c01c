package hepta_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/heptaup/hepta"

// listed is a package as `go list` describes it.
type listed struct {
	ImportPath string
	Name       string
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Imports,Deps,Module"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

var once struct {
	sync.Once
	list []listed
}

// packages are those of this module; the directories of other modules in it do
// not count.
func packages(t *testing.T) []listed {
	t.Helper()
	once.Do(func() { once.list = goList(t, module+"/...") })
	if len(once.list) == 0 {
		t.Fatal("go list found nothing")
	}
	return once.list
}

// layer is how far up a package is: it may import what is below it and, inside
// the leaves, what is beside it.
func layer(path string) int {
	name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	top, rest, _ := strings.Cut(name, "/")
	switch {
	case strings.HasPrefix(name, "heptapod/heptapodtest"):
		return 1
	case name == "heptapod/heptapodcontainer": // for the tests of others, above the rooms
		return 4
	case name == "internal/try": // the trial drives the whole product
		return 4
	case name == "internal/images": // one is of the forge in a test's process
		return 2
	case top == "internal":
		return 0
	case name == "":
		return 3
	case top == "cmd":
		return 5
	case top == "integration": // tests and benchmarks alone: no program links it
		return 6
	case rest == "" || top == "runner":
		return 2
	}
	return -1
}

// cmd → hepta → rooms → internal: every import leads downwards.
func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		from := layer(p.ImportPath)
		if from < 0 {
			t.Errorf("%s: say in layer where it belongs", p.ImportPath)
		}
		for _, path := range p.Imports {
			if path != module && !strings.HasPrefix(path, module+"/") {
				continue
			}
			to := layer(path)
			// Leaves use leaves, and a room's parts each other; a room uses no other room.
			sameHouse := house(p.ImportPath) == house(path)
			if to > from || to == from && from > 1 && !sameHouse {
				t.Errorf("%s imports %s", short(p.ImportPath), short(path))
			}
		}
	}
}

func house(path string) string {
	top, _, _ := strings.Cut(short(path), "/")
	return top
}

func short(path string) string { return strings.TrimPrefix(path, module+"/") }

// What only computes cannot reach an Engine, and the command line reaches it
// by the library alone.
func TestWhoKnowsTheEngine(t *testing.T) {
	const docker = "github.com/docker/"
	pure := []string{
		"internal/converge", "internal/fault", "internal/pki", "internal/progress", "internal/render", "internal/secret", "internal/yamlconfig",
		"runner/ci", "runner/paas",
	}
	known := map[string]bool{}
	for _, p := range packages(t) {
		name := short(p.ImportPath)
		known[name] = true
		if slices.Contains(pure, name) {
			for _, d := range p.Deps {
				if strings.HasPrefix(d, docker) {
					t.Errorf("%s only computes and links %s", name, d)
				}
			}
		}
		if strings.HasPrefix(name, "cmd/") {
			for _, d := range p.Imports {
				if strings.HasPrefix(d, docker) {
					t.Errorf("%s imports %s", name, d)
				}
			}
		}
	}
	for _, name := range append(pure, "cmd/hepta") {
		if !known[name] {
			t.Errorf("there is no package %s", name)
		}
	}
}

// testcontainers is for scenarios; the library and the program do without.
func TestWhoKnowsTestcontainers(t *testing.T) {
	for _, p := range packages(t) {
		name := short(p.ImportPath)
		if strings.HasPrefix(name, "integration") || name == "heptapod/heptapodcontainer" {
			continue
		}
		for _, d := range p.Deps {
			if strings.HasPrefix(d, "github.com/testcontainers/") {
				t.Errorf("%s links %s", name, d)
			}
		}
	}
}

// The modules that the program links are a decision: testdata/modules.txt.
func TestModulesOfTheProgram(t *testing.T) {
	var got []string
	for _, p := range goList(t, "-deps", module+"/cmd/hepta") {
		if p.Module != nil && p.Module.Path != module {
			got = append(got, p.Module.Path)
		}
	}
	slices.Sort(got)
	got = slices.Compact(got)
	want, err := os.ReadFile("testdata/modules.txt")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Fields(string(want)), got); d != "" {
		t.Errorf("cmd/hepta links other modules than testdata/modules.txt says:\n%s", d)
	}
}
