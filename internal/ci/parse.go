package ci

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ParseOptions says how a file is read.
type ParseOptions struct {
	// Include reads a file of the same commit by its path from the
	// repository's root, without a leading slash; nil makes every include an
	// error.
	Include func(path string) ([]byte, error)
	// Files are all paths of the commit, for includes with "*".
	Files []string
	// Event decides include:rules; without one, such files are taken.
	Event *Event
}

// Parse reads one file without includes. The file's name appears in messages
// only. The error is Problems: everything that is wrong, each as file:line:col.
func Parse(src []byte, file string) (*Config, error) { return ParseWith(src, file, ParseOptions{}) }

// ParseWith is Parse with options.
func ParseWith(src []byte, file string, o ParseOptions) (*Config, error) {
	errs := &problems{}
	l := &loader{options: o, errs: errs}
	root := l.load(src, file)
	if root == nil {
		if !errs.any() {
			errs.add(place{file: file}, "Please provide content of .gitlab-ci.yml")
		}
		return nil, errs.err()
	}
	root = extend(root, errs)
	if !errs.any() {
		root = dereference(root, errs)
	}
	if errs.any() {
		return nil, errs.err()
	}
	d := &decoder{errs: errs, warnings: l.warnings}
	c := d.config(root, file)
	if err := errs.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// loader reads a file and what it includes.
type loader struct {
	options  ParseOptions
	errs     *problems
	warnings []string
	count    int
	size     int
	open     []string
}

// load gives a file with its includes merged below it; nil for an empty file
// or one that cannot be read.
func (l *loader) load(src []byte, file string) *value {
	if len(src) > maxSource {
		l.errs.add(place{file: file}, "the file has %d bytes, more than %d", len(src), maxSource)
		return nil
	}
	docs, err := documents(src)
	if err != nil {
		at, text := yamlPlace(err)
		l.errs.add(place{file, at, 1}, "Invalid configuration format: %s", text)
		return nil
	}
	r := &reader{file: file, errs: l.errs, done: map[*yaml.Node]*value{}, open: map[*yaml.Node]bool{}}
	if len(docs) > 1 {
		r.header(docs[0])
		docs = docs[1:]
	}
	if len(docs) == 0 {
		return nil
	}
	v := r.read(docs[0], 0)
	switch {
	case v.kind == kNull:
		return nil
	case v.kind != kMap:
		l.errs.add(v.at, "Invalid configuration format: the file should be a hash")
		return nil
	}
	if l.size += v.size; l.size > maxNodes {
		l.errs.add(v.at, "too large: more than %d values with what is included", maxNodes)
		return nil
	}
	return l.included(v)
}

// documents splits a stream; trailing empty ones do not count.
func documents(src []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(src)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 && len(docs) < 2 {
			docs = append(docs, n.Content[0])
		}
	}
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func yamlPlace(err error) (line int, text string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if n, e := strconv.Atoi(m[1]); e == nil {
		line = n
	}
	return max(line, 1), strings.TrimPrefix(err.Error(), m[0])
}

// header reads the document that declares inputs. The forge gives none, so
// their defaults count.
func (r *reader) header(n *yaml.Node) {
	v := r.read(n, 0)
	r.inputs = map[string]string{}
	spec := v.get("spec")
	if spec == nil {
		r.errs.add(v.at, "of two documents, the first should be a header with spec:")
		return
	}
	inputs := spec.get("inputs")
	if inputs == nil || inputs.kind != kMap {
		return
	}
	for _, f := range inputs.fields {
		d := f.val.get("default")
		if !d.scalar() {
			r.errs.add(f.at, "`%s` input: required value has not been provided", f.key)
			continue
		}
		r.inputs[f.key] = d.text
	}
}

var inputText = regexp.MustCompile(`\$\[\[\s*inputs\.([A-Za-z0-9_-]+)\s*\]\]`)

// interpolate puts inputs into a scalar of a file that has a header.
func (r *reader) interpolate(n *yaml.Node) string {
	if r.inputs == nil || !strings.Contains(n.Value, "$[[") {
		return n.Value
	}
	return inputText.ReplaceAllStringFunc(n.Value, func(ref string) string {
		name := inputText.FindStringSubmatch(ref)[1]
		text, ok := r.inputs[name]
		if !ok {
			r.errs.add(r.at(n), "unknown interpolation key: `%s`", name)
		}
		return text
	})
}
