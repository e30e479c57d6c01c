package yamlconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/pattern"
)

// The limits that keep a hostile file from costing more than reading it.
const (
	MaxBytes = 1 << 20
	maxNodes = 50_000 // after aliases are followed
	maxDepth = 64
)

// forAnchors begins top-level keys that are not read: what they hold is there
// to be repeated by aliases.
const forAnchors = "x-"

// Decode fills the struct that into points at. It goes on after a problem, so
// that all of them are told; into then holds what could be understood.
func Decode(data []byte, into any) (Positions, []Problem) {
	d := &decoder{at: Positions{}}
	root, ok := d.parse(data)
	if !ok {
		return d.at, d.problems
	}
	if root != nil {
		d.value(root, reflect.ValueOf(into).Elem(), "", "")
	}
	return d.at, d.problems
}

type decoder struct {
	at       Positions
	problems []Problem
	nodes    int
	depth    int
	full     bool // a limit was reached: say so once
	inside   []*yaml.Node
}

func (d *decoder) add(n *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{Path: path, Position: place(n), Text: fmt.Sprintf(format, args...)})
}

func place(n *yaml.Node) Position {
	if n == nil {
		return Position{}
	}
	return Position{Line: n.Line, Column: n.Column}
}

var yamlLine = pattern.New(`^yaml: (?:line (\d+): )?`)

// parse reads the only document; a nil node without a problem is an empty file.
func (d *decoder) parse(data []byte) (*yaml.Node, bool) {
	if len(data) > MaxBytes {
		d.problems = append(d.problems, Problem{Text: fmt.Sprintf("the file has more than %d bytes", MaxBytes)})
		return nil, false
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, true
	}
	if err == nil {
		if err = dec.Decode(&second); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			d.add(&second, "", "a second document begins here, one is read")
			return nil, false
		}
	}
	if err != nil {
		p := Problem{Text: "this is not YAML: " + yamlLine().ReplaceAllString(err.Error(), "")}
		if m := yamlLine().FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
			p.Line, _ = strconv.Atoi(m[1])
		}
		d.problems = append(d.problems, p)
		return nil, false
	}
	root := doc.Content[0]
	if root.Tag == "!!null" {
		return nil, true
	}
	return root, true
}

// follow resolves aliases and counts against the limits.
func (d *decoder) follow(n *yaml.Node, path string) (*yaml.Node, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.nodes++
	switch {
	case d.full:
		return nil, false
	case d.nodes > maxNodes || d.depth > maxDepth:
		d.full = true
		d.add(n, path, "too much: more than %d values or %d levels, counting what aliases repeat", maxNodes, maxDepth)
		return nil, false
	}
	for _, outer := range d.inside {
		if outer == n {
			d.add(n, path, "the alias contains itself")
			return nil, false
		}
	}
	return n, true
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, short string) {
	n, ok := d.follow(n, path)
	if !ok {
		return
	}
	if path != "" {
		d.at[path] = place(n)
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		d.add(n, path, "has no value: leave the key out to get the default")
		return
	}
	d.inside = append(d.inside, n)
	d.depth++
	defer func() { d.inside = d.inside[:len(d.inside)-1]; d.depth-- }()

	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.inside = d.inside[:len(d.inside)-1]
		d.value(n, v.Elem(), path, short)
		d.inside = append(d.inside, n)
	case reflect.Struct:
		d.object(n, v, path, short)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.dictionary(n, v, path)
	case reflect.Interface:
		if x := d.any(n, path); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, path, short string) {
	if n.Kind == yaml.ScalarNode && short != "" {
		if i := fieldByKey(v.Type(), short); i >= 0 {
			at := join(path, short)
			d.at[at] = place(n)
			into := v.Field(i)
			if into.Kind() == reflect.Pointer {
				into.Set(reflect.New(into.Type().Elem()))
				into = into.Elem()
			}
			d.scalar(n, into, at)
			return
		}
	}
	if n.Kind != yaml.MappingNode {
		d.add(n, path, "is %s, not a mapping (%s)", kindOf(n), strings.Join(keysOf(v.Type()), ", "))
		return
	}
	d.pairs(n, path, func(key, value *yaml.Node) {
		if path == "" && strings.HasPrefix(key.Value, forAnchors) {
			return
		}
		i := fieldByKey(v.Type(), key.Value)
		if i < 0 {
			d.unknown(key, v.Type(), path)
			return
		}
		f := v.Type().Field(i)
		if value.Kind == yaml.AliasNode && value.Alias.Kind == yaml.MappingNode && f.Tag.Get("check") == "env" {
			value = value.Alias
		}
		if value.Kind == yaml.MappingNode && f.Tag.Get("check") == "env" {
			value = d.assignments(value, join(path, key.Value))
		}
		d.value(value, v.Field(i), join(path, key.Value), f.Tag.Get("short"))
	})
}

// pairs calls each with every key of a mapping, those that a merge key brings
// in last and only where the mapping does not name them itself.
func (d *decoder) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node)) {
	seen := map[string]*yaml.Node{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.add(key, path, "a key must be text, this one is %s", kindOf(key))
			continue
		}
		if key.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if before, twice := seen[key.Value]; twice {
			d.add(key, "", "key %s is there twice, first in line %d", quoted(key.Value), before.Line)
			d.problems[len(d.problems)-1].inside = join(path, key.Value)
			continue
		}
		seen[key.Value] = key
		each(key, value)
	}
	for _, m := range merges {
		d.merge(m, path, seen, each)
	}
}

func (d *decoder) merge(m *yaml.Node, path string, seen map[string]*yaml.Node, each func(key, value *yaml.Node)) {
	m, ok := d.follow(m, path)
	if !ok {
		return
	}
	d.inside = append(d.inside, m)
	d.depth++
	defer func() { d.inside = d.inside[:len(d.inside)-1]; d.depth-- }()
	switch m.Kind {
	case yaml.SequenceNode:
		for _, e := range m.Content {
			d.merge(e, path, seen, each)
		}
	case yaml.MappingNode:
		d.pairs(m, path, func(key, value *yaml.Node) {
			if seen[key.Value] == nil {
				seen[key.Value] = key
				each(key, value)
			}
		})
	default:
		d.add(m, path, "<< takes a mapping or a list of them")
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.add(n, path, "is %s, not a list", kindOf(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, e := range n.Content {
		d.value(e, out.Index(i), fmt.Sprintf("%s[%d]", path, i), "")
	}
	v.Set(out)
}

func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.add(n, path, "is %s, not a mapping", kindOf(n))
		return
	}
	out := reflect.MakeMap(v.Type())
	d.pairs(n, path, func(key, value *yaml.Node) {
		if key.Value == "" {
			d.add(key, path, "a key is empty")
			return
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(value, e, join(path, key.Value), "")
		out.SetMapIndex(reflect.ValueOf(key.Value), e)
	})
	v.Set(out)
}

// assignments is a mapping of variables as the list of NAME=value that it
// means. What is no single value in it stays, for whoever reads the list.
func (d *decoder) assignments(n *yaml.Node, path string) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Column: n.Column}
	d.pairs(n, path, func(key, value *yaml.Node) {
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if value.Kind == yaml.ScalarNode && value.Tag != "!!null" && value.Tag != "!!binary" {
			value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key.Value + "=" + value.Value, Line: key.Line, Column: key.Column}
		}
		list.Content = append(list.Content, value)
	})
	return list
}

// any is for mappings whose keys somebody else defines.
func (d *decoder) any(n *yaml.Node, path string) any {
	switch n.Kind {
	case yaml.MappingNode:
		var out map[string]any
		d.dictionary(n, reflect.ValueOf(&out).Elem(), path)
		return out
	case yaml.SequenceNode:
		var out []any
		d.list(n, reflect.ValueOf(&out).Elem(), path)
		return out
	}
	var x any
	switch n.Tag {
	case "!!str":
		return n.Value
	case "!!timestamp":
		return Scalar{Text: n.Value, Value: n.Value}
	case "!!bool", "!!int", "!!float":
		if err := n.Decode(&x); err == nil && finite(x) {
			return Scalar{Text: n.Value, Value: x}
		}
	}
	d.add(n, path, "is %s, which has no meaning here", kindOf(n))
	return nil
}

func finite(x any) bool {
	f, ok := x.(float64)
	return !ok || !math.IsNaN(f) && !math.IsInf(f, 0)
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.add(n, path, "is %s, not a single value", kindOf(n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		switch n.Tag {
		case "!!bool":
			d.add(n, path, "%s means yes or no; put it in quotes if it is text", n.Value)
		case "!!binary":
			d.add(n, path, "is binary, not text")
		default:
			v.SetString(n.Value)
		}
	case reflect.Bool:
		b, ok := truth(n)
		if !ok {
			d.add(n, path, "%q is neither true nor false", clip(n.Value))
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		i, err := integer(n, v.Kind() == reflect.Int64)
		if err != nil {
			d.add(n, path, "%v", err)
		}
		v.SetInt(i)
	default:
		panic("yamlconfig: no rule for " + v.Type().String())
	}
}

func truth(n *yaml.Node) (value, ok bool) {
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return false, false
}

// integer reads a number; one of type int64 is an amount of bytes and may
// carry a unit.
func integer(n *yaml.Node, bytes bool) (int64, error) {
	text := strings.ReplaceAll(n.Value, "_", "")
	unit := int64(1)
	if bytes {
		text, unit = splitUnit(text)
	}
	i, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil && bytes:
		return 0, fmt.Errorf("%q is not a size: write bytes, or a number with k, m or g", clip(n.Value))
	case err != nil:
		return 0, fmt.Errorf("%q is not a whole number", clip(n.Value))
	case i > math.MaxInt64/unit || i < math.MinInt64/unit:
		return 0, fmt.Errorf("%s is too large", clip(n.Value))
	}
	return i * unit, nil
}

func splitUnit(text string) (string, int64) {
	lower := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(text), "b"), "i")
	for suffix, unit := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if rest, ok := strings.CutSuffix(lower, suffix); ok {
			return strings.TrimSpace(rest), unit
		}
	}
	return text, 1
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "empty"
	case "!!timestamp":
		return "a date"
	}
	return "of type " + clip(n.Tag)
}

// clip keeps a message readable whatever was in the file.
func clip(s string) string {
	const longest = 60
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return s
}
