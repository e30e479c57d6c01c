package hepta_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// go doc shows, for each package that others import, how it is used, and for
// each of the verbs that people look for.
func TestExamplesOfThePackages(t *testing.T) {
	verbs := map[string][]string{
		"":         {"Example", "ExampleStack_Up", "ExampleCombine"},
		"heptapod": {"ExampleForge_Up"}, "traefik": {"Example"},
		"runner":      {"ExampleRunners_Up", "ExampleBuild", "ExamplePrune"},
		"registry":    {"ExampleList", "ExampleCollect", "ExampleMirror_Up"},
		"runner/paas": {"ExampleRead", "ExampleManager_Run"},
	}
	example := regexp.MustCompile(`(?m)^func (Example\w*)\(\) \{`)
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if p.Name == "main" || !importable(p.ImportPath) || strings.HasPrefix(name, "heptapod/heptapodtest/standin") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(filepath.FromSlash(name), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range example.FindAllStringSubmatch(string(text), -1) {
				has[found[1]] = true
			}
		}
		if len(has) == 0 {
			t.Errorf("package %s has no example", p.ImportPath)
		}
		for _, want := range verbs[name] {
			if !has[want] {
				t.Errorf("package %s has no %s", p.ImportPath, want)
			}
		}
	}
}
