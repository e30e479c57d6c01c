package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// advised finds a command of ours in what people are told to do.
var advised = regexp.MustCompile("(?:[`'\"]|: |then )hepta ([a-z]+)")

// prose are words that follow the program's name in a sentence at the
// beginning of a line.
var prose = map[string]bool{"makes": true, "reads": true}

// Whatever a message, a remedy or a document tells people to run is a command
// that exists.
func TestAdvisedCommandsExist(t *testing.T) {
	commands := []string{"help"}
	for _, c := range newApp(terminal{}).Commands {
		commands = append(commands, c.Name)
	}
	check := func(place, text string) {
		for _, m := range advised.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(commands, m[1]) {
				t.Errorf("%s: there is no command %q: %s", place, m[1], text)
			}
		}
	}
	found := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil && advised.MatchString(text) {
					found++
					check(path, text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(documents, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:^ *|`)hepta ([a-z]+)").FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(commands, m[1]) && !prose[m[1]] {
				t.Errorf("%s: there is no command %q", file, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d messages name a command: the search is wrong", found)
	}
}
