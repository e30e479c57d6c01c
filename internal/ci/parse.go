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
	// Include reads a file; nil makes every include an error, and ErrNotServed
	// says that files of this kind cannot be had.
	Include func(Include) ([]byte, error)
	// Files gives all paths of the commit, for includes with "*". It is called
	// when one is met.
	Files func() []string
	// Event decides include:rules and expands variables; without one, such
	// files are taken and variables stay.
	Event *Event
	// Inputs are given for what the file declares in spec:inputs.
	Inputs map[string]string
}

// Parse reads one file without includes. The file's name appears in messages
// only. The error is Problems: everything that is wrong, each as file:line:col.
func Parse(src []byte, file string) (*Config, error) { return ParseWith(src, file, ParseOptions{}) }

// ParseWith is Parse with options.
func ParseWith(src []byte, file string, o ParseOptions) (*Config, error) {
	errs := &problems{}
	l := &loader{options: o, errs: errs}
	root := l.load(src, file, Include{}, textMap(o.Inputs, file))
	if root == nil {
		if !errs.any() {
			errs.add(place{file: file}, "Please provide content of .gitlab-ci.yml")
		}
		return nil, errs.err()
	}
	root = dereference(extend(root, errs), errs)
	errs.incomplete = errs.any()
	d := &decoder{errs: errs, warnings: l.warnings}
	c := d.config(root, file)
	if err := errs.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func textMap(m map[string]string, file string) *value {
	if m == nil {
		return nil
	}
	out := newMap(place{file: file})
	for k, v := range m {
		out.set(field{k, out.at, &value{kind: kText, text: v, at: out.at, size: 1}})
	}
	return out
}

// loader reads a file and what it includes.
type loader struct {
	options  ParseOptions
	errs     *problems
	warnings []string
	count    int
	size     int
	open     []Include
}

// load gives a file with its includes merged below it; nil for an empty file
// or one that cannot be read. From is how it was included.
func (l *loader) load(src []byte, file string, from Include, inputs *value) *value {
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
	r := &reader{file: file, errs: l.errs, done: map[*yaml.Node]*value{}, open: map[*yaml.Node]bool{}, event: l.options.Event}
	switch {
	case len(docs) > 1:
		r.header(docs[0], inputs)
		docs = docs[1:]
	case inputs != nil && len(inputs.fields) > 0:
		l.errs.add(inputs.at, "Given inputs not defined in the `spec` section of the included configuration file")
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
	return l.included(v, from)
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
