package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A program that a test starts is one that the command installs, comes with
// one of those, or is part of every Debian system.
func TestEveryProgramIsListed(t *testing.T) {
	known := map[string]bool{}
	for _, name := range strings.Fields("go sh tar tail setpriv ldd apt-get dpkg-deb ssh-keygen") {
		known[name] = true
	}
	for _, tool := range tools() {
		known[tool.Name] = true
	}
	for name, file := range startedPrograms(t, "../..") {
		if !known[name] && !filepath.IsAbs(name) {
			t.Errorf("%s starts %s, which nothing installs", file, name)
		}
	}
}

// isForTests reports whether a file is a test or what tests run on. What hepta
// starts besides is of its users' machines, and tests put something in its place.
func isForTests(path string) bool {
	dir := filepath.ToSlash(filepath.Dir(path)) + "/"
	return strings.HasSuffix(path, "_test.go") ||
		filepath.Ext(path) == ".go" && (strings.Contains(dir, "test/") || strings.Contains(dir, "/integration/"))
}

// startedPrograms are those that files for tests name where they start or look
// for one, each with a file that does.
func startedPrograms(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isForTests(path) {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			position := map[string]int{"exec.Command": 0, "exec.LookPath": 0, "exec.CommandContext": 1}
			at, ok := position[types.ExprString(call.Fun)]
			if !ok || at >= len(call.Args) {
				return true
			}
			if name, ok := call.Args[at].(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(name.Value); err == nil {
					found[text] = path
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 5 {
		t.Fatalf("only %v were found", found)
	}
	return found
}

// People read in the README what the command runs.
func TestCommandIsDocumented(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []string{"go run ./internal/runtests", command} {
		if !strings.Contains(string(readme), "```sh\n"+block+"\n```") {
			t.Errorf("the README does not name: %s", block)
		}
	}
}
