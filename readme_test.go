package hepta_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks are the blocks of a language in a Markdown text.
func blocks(t *testing.T, text, language string) []string {
	t.Helper()
	var found []string
	for {
		_, rest, ok := strings.Cut(text, "```"+language+"\n")
		if !ok {
			break
		}
		code, after, ended := strings.Cut(rest, "```")
		if !ended {
			t.Fatalf("a block of %s does not end", language)
		}
		found, text = append(found, code), after
	}
	if len(found) == 0 {
		t.Fatalf("there is no block of %s", language)
	}
	return found
}

// body is what a function of a Go file does, without its indentation.
func body(t *testing.T, file, function string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, file), function+" {\n")
	text, _, ended := strings.Cut(rest, "\n}\n")
	if !ok || !ended {
		t.Fatalf("there is no %s in %s", function, file)
	}
	var code strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		code.WriteString(strings.TrimPrefix(line, "\t") + "\n")
	}
	return code.String()
}

// The README's Go is what tests compile, its YAML a configuration.
func TestReadme(t *testing.T) {
	readme := read(t, "README.md")
	want := []string{
		body(t, "example_test.go", "func Example()"),
		body(t, "heptapod/heptapodtest/readme_test.go", "func TestTheReadmesExample(t *testing.T)"),
		body(t, "heptapod/heptapodcontainer/example_test.go", "func ExampleRun()"),
	}
	if d := cmp.Diff(want, blocks(t, readme, "go")); d != "" {
		t.Errorf("the README's Go is not that of the examples:\n%s", d)
	}
	cfg, err := hepta.Parse("hepta.yaml", []byte(blocks(t, readme, "yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hepta.New(cfg); err != nil {
		t.Error(err)
	}
}

// Who reads one screen of the README can install hepta without a clone, and
// knows what a trial costs.
func TestReadmeBeginsWithTheTrial(t *testing.T) {
	lines := strings.Split(read(t, "README.md"), "\n")
	screen := strings.Join(lines[:min(len(lines), 40)], "\n")
	for _, want := range []string{"go install " + module + "/cmd/hepta@latest", "hepta try\n", "| time |", "| disk |", "| privileges |"} {
		if !strings.Contains(screen, want) {
			t.Errorf("its first 40 lines do not say %q", want)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, file := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s leads to %s, which is not there", file, m[1])
			}
		}
	}
}

// documents are what people read beside the code.
func documents(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("docs/*.md")
	if err != nil || len(list) == 0 {
		t.Fatalf("there are no documents: %v", err)
	}
	return append(list, "README.md", "CHANGELOG.md")
}

// A test that a document names as the keeper of a promise is there.
func TestNamedTestsExist(t *testing.T) {
	named := map[string]string{}
	for _, file := range documents(t) {
		for _, m := range regexp.MustCompile("`(Test[A-Z][A-Za-z]+)`").FindAllStringSubmatch(read(t, file), -1) {
			named[m[1]] = file
		}
	}
	if len(named) < 20 {
		t.Errorf("only %d tests are named", len(named))
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test[A-Za-z]+)\(t `).FindAllStringSubmatch(read(t, path), -1) {
			delete(named, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range named {
		t.Errorf("%s names %s, which is not there", file, name)
	}
}
