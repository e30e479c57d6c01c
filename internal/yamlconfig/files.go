package yamlconfig

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/heptaup/hepta/internal/bom"
	"github.com/heptaup/hepta/internal/secret"
)

// maxFile bounds a file that a key names.
const maxFile = 256 << 10

// ReadFiles reads the files that keys with an into tag name, relative to dir,
// and fills the fields they are for: one file, or a mapping of them. Private
// ones may also name a variable of the environment, env:NAME, or standard
// input, -. Directories, check dir, are made absolute. A field that has content
// already keeps it. The second list is of warnings: secrets that others on this
// machine can read.
func ReadFiles(dir string, v any) (problems, warnings []Problem) {
	r := fileReader{dir: dir}
	walk(reflect.ValueOf(v).Elem(), "", func(f field) {
		if f.tag.Get("check") == "dir" && f.value.String() != "" && !filepath.IsAbs(f.value.String()) {
			f.value.SetString(filepath.Join(dir, f.value.String()))
		}
		target := f.tag.Get("into")
		if target == "" || f.value.IsZero() {
			return
		}
		into := f.parent.FieldByName(target)
		if !into.IsZero() {
			return
		}
		private := f.tag.Get("private") == "true"
		if f.value.Kind() != reflect.Map {
			r.read(f.path, f.value.String(), private, into)
			return
		}
		into.Set(reflect.MakeMap(into.Type()))
		keys := f.value.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			element := reflect.New(into.Type().Elem()).Elem()
			r.read(join(f.path, key.String()), f.value.MapIndex(key).String(), private, element)
			into.SetMapIndex(key, element)
		}
	})
	return r.problems, r.warnings
}

// fileReader reads what keys name.
type fileReader struct {
	dir                string
	stdin              string // the key that has read it
	problems, warnings []Problem
}

// read fills a value with what the key at a path names.
func (r *fileReader) read(key, path string, private bool, into reflect.Value) {
	var content []byte
	var mode fs.FileMode
	var err error
	variable, isVariable := strings.CutPrefix(path, "env:")
	switch {
	case path == "":
		r.problems = append(r.problems, Problem{Path: key, Text: "is empty: name a file"})
		return
	case private && isVariable:
		path = "variable " + variable
		content, err = readVariable(variable)
	case private && path == "-" && r.stdin != "":
		path, err = "standard input", fmt.Errorf("%s has read it already", r.stdin)
	case private && path == "-":
		path, r.stdin = "standard input", key
		content, err = readInput(os.Stdin)
	default:
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.dir, path)
		}
		content, mode, err = readFile(path)
	}
	if err == nil {
		err = fill(into, content)
	}
	if err != nil {
		r.problems = append(r.problems, Problem{Path: key, Text: fmt.Sprintf("read %s: %v", path, err)})
		return
	}
	if text := secret.Exposed(path, mode); private && text != "" {
		r.warnings = append(r.warnings, Problem{Path: key, Text: text})
	}
}

func readFile(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	defer f.Close()
	content, err := readBounded(f)
	return content, info.Mode().Perm(), err
}

func readBounded(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	content = bom.Trim(content)
	switch {
	case err != nil:
		return nil, bare(err)
	case len(content) > maxFile:
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	case len(bytes.TrimSpace(content)) == 0:
		return nil, fmt.Errorf("it is empty")
	}
	return content, nil
}

func readVariable(name string) ([]byte, error) {
	text, there := os.LookupEnv(name)
	if !there {
		return nil, fmt.Errorf("it is not set")
	}
	return readBounded(strings.NewReader(text))
}

// readInput reads what somebody pipes in; nobody types a secret for all to see.
func readInput(in *os.File) ([]byte, error) {
	if info, err := in.Stat(); err == nil && info.Mode()&fs.ModeCharDevice != 0 {
		return nil, fmt.Errorf("nothing is piped in")
	}
	return readBounded(in)
}

// bare drops the path from an error that is told together with it.
func bare(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		return p.Err
	}
	return err
}

func fill(into reflect.Value, content []byte) error {
	switch into.Interface().(type) {
	case secret.Value:
		text := strings.TrimRight(string(content), "\r\n")
		if err := wrongSecret(text); err != nil {
			return err
		}
		into.Set(reflect.ValueOf(secret.New(text)))
	case []byte:
		into.SetBytes(content)
	case []string:
		var lines []string
		for line := range strings.Lines(string(content)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		into.Set(reflect.ValueOf(lines))
	default:
		panic("yamlconfig: no rule to fill " + into.Type().String())
	}
	return nil
}

// wrongSecret says why a text is no secret on one line; it does not repeat it.
func wrongSecret(text string) error {
	switch {
	case !utf8.ValidString(text):
		return fmt.Errorf("it is not UTF-8")
	case strings.ContainsAny(text, "\r\n"):
		return fmt.Errorf("it has more than one line, a secret has one")
	case hasControl(text, ""):
		return fmt.Errorf("it has control characters, a secret is one line of text")
	case strings.TrimSpace(text) != text:
		return fmt.Errorf("it begins or ends with white space: put the bare text on its only line")
	}
	return nil
}
