package ci

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is where something stands in a file.
type place struct {
	file      string
	line, col int
}

type kind int

const (
	kNull kind = iota
	kText
	kInt
	kFloat
	kBool
	kList
	kMap
	kReference // !reference [...]; items are its keys
)

// value is one node of a file, with aliases and merge keys resolved. Values
// are shared between the places that alias them and are never changed once made.
type value struct {
	kind   kind
	text   string // of scalars; what the file says, floats and integers as Ruby prints them
	items  []*value
	fields []field
	index  map[string]int
	at     place
	size   int // nodes below and including this one, aliases counted each time
}

type field struct {
	key string
	at  place
	val *value
}

func (v *value) get(key string) *value {
	if v == nil || v.kind != kMap {
		return nil
	}
	if i, ok := v.index[key]; ok {
		return v.fields[i].val
	}
	return nil
}

func (v *value) has(key string) bool {
	if v == nil {
		return false
	}
	_, ok := v.index[key]
	return ok
}

func (v *value) scalar() bool {
	return v != nil && (v.kind == kText || v.kind == kInt || v.kind == kFloat || v.kind == kBool)
}

// str gives the text of a string, and whether v is one.
func (v *value) str() (string, bool) {
	if v == nil || v.kind != kText {
		return "", false
	}
	return v.text, true
}

func newMap(at place) *value { return &value{kind: kMap, at: at, index: map[string]int{}, size: 1} }

// set adds or replaces a field; only while v is being made.
func (v *value) set(f field) {
	if i, ok := v.index[f.key]; ok {
		v.size += f.val.size - v.fields[i].val.size
		v.fields[i] = f
		return
	}
	v.index[f.key] = len(v.fields)
	v.fields = append(v.fields, f)
	v.size += f.val.size
}

// merge lays over on base: hashes deeply, everything else replaces. Keys keep
// the place in the order where base has them.
func merge(base, over *value) *value {
	if base == nil || base.kind != kMap || over.kind != kMap {
		return over
	}
	out := newMap(over.at)
	for _, f := range base.fields {
		out.set(f)
	}
	for _, f := range over.fields {
		f.val = merge(base.get(f.key), f.val)
		out.set(f)
	}
	return out
}

const (
	maxSource = 1 << 20 // bytes of one file
	maxNodes  = 100_000 // values of everything, aliases expanded
	maxDepth  = 100
)

// reader turns YAML nodes into values.
type reader struct {
	file   string
	errs   *problems
	done   map[*yaml.Node]*value // anchored nodes
	open   map[*yaml.Node]bool   // anchored nodes that are being read
	inputs map[string]*value     // of the file's header
	event  *Event                // whose variables expand_vars knows
}

func (r *reader) at(n *yaml.Node) place { return place{r.file, n.Line, n.Column} }

func (r *reader) read(n *yaml.Node, depth int) *value {
	null := &value{at: r.at(n), size: 1}
	if depth > maxDepth {
		r.errs.add(r.at(n), "nested more than %d levels deep", maxDepth)
		return null
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if v, ok := r.done[n]; ok {
		return v
	}
	if n.Anchor != "" {
		if r.open[n] {
			r.errs.add(r.at(n), "the anchor %s contains itself", n.Anchor)
			return null
		}
		r.open[n] = true
		defer delete(r.open, n)
	}
	v := r.build(n, depth)
	if v.size > maxNodes {
		r.errs.add(r.at(n), "too large: more than %d values once its aliases are expanded", maxNodes)
		v = null
	}
	if n.Anchor != "" {
		r.done[n] = v
	}
	return v
}

func (r *reader) build(n *yaml.Node, depth int) *value {
	switch n.Kind {
	case yaml.SequenceNode:
		v := &value{kind: kList, at: r.at(n), size: 1}
		if n.Tag == "!reference" {
			v.kind = kReference
		}
		for _, c := range n.Content {
			item := r.read(c, depth+1)
			v.items = append(v.items, item)
			if v.size += item.size; v.size > maxNodes {
				break
			}
		}
		return v
	case yaml.MappingNode:
		return r.mapping(n, depth)
	case yaml.ScalarNode:
		return r.scalar(n)
	}
	return &value{at: r.at(n), size: 1}
}

// mapping reads a hash in the order of the document, as Ruby does: of equal
// keys the last wins, also where one of them comes with "<<".
func (r *reader) mapping(n *yaml.Node, depth int) *value {
	out := newMap(r.at(n))
	for i := 0; i+1 < len(n.Content) && out.size <= maxNodes; i += 2 {
		k := n.Content[i]
		key := r.read(k, depth+1)
		val := r.read(n.Content[i+1], depth+1)
		if key.kind == kText && k.Tag == "!!merge" || key.text == "<<" && k.Style == 0 {
			r.mergeKey(out, val)
			continue
		}
		if !key.scalar() && key.kind != kNull {
			r.errs.add(key.at, "a key should be a string")
			continue
		}
		out.set(field{key.text, r.at(k), val})
	}
	return out
}

// mergeKey lays what << brings over what stands before it. Of several hashes in
// one list, the earlier wins.
func (r *reader) mergeKey(into, val *value) {
	list := []*value{val}
	if val.kind == kList {
		list = val.items
	}
	for _, m := range slices.Backward(list) {
		if m.kind != kMap {
			r.errs.add(m.at, "what << merges should be a hash")
			continue
		}
		for _, f := range m.fields {
			into.set(f)
		}
	}
}

var (
	intText   = regexp.MustCompile(`^[-+]?(0|[1-9][0-9_,]*)$`)
	octalText = regexp.MustCompile(`^[-+]?0o?[0-7_,]+$`)
	binText   = regexp.MustCompile(`^[-+]?0b[01_,]+$`)
	hexText   = regexp.MustCompile(`^[-+]?0x[0-9a-fA-F_,]+$`)
	baseText  = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+$`)
	floatText = regexp.MustCompile(`^[-+]?([0-9][0-9_,]*)?\.[0-9]*([eE][-+][0-9]+)?$`)
	dateText  = regexp.MustCompile(`^\d{4}-(1[012]|0\d|\d)-([12]\d|3[01]|0\d|\d)$`)
	timeText  = regexp.MustCompile(`^\d{4}-\d{1,2}-\d{1,2}([Tt]|\s+)\d{1,2}:\d\d:\d\d(\.\d*)?(\s*(Z|[-+]\d{1,2}:?(\d\d)?))?$`)
)

// scalar types a scalar as YAML 1.1 does in Ruby: yes, on and their like are
// booleans, 0777 and 1_000 and 1:30 are numbers.
func (r *reader) scalar(n *yaml.Node) *value {
	text, whole := r.interpolate(n)
	if whole != nil {
		return whole
	}
	v := &value{kind: kText, text: text, at: r.at(n), size: 1}
	if r.inputs != nil && text != n.Value {
		return v // text that an input is a part of is text
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0 || n.Tag == "!!binary" {
		return v
	}
	switch strings.ToLower(v.text) {
	case "", "~", "null":
		v.kind, v.text = kNull, ""
		return v
	case "yes", "on", "true":
		v.kind, v.text = kBool, "true"
		return v
	case "no", "off", "false":
		v.kind, v.text = kBool, "false"
		return v
	}
	plain := strings.NewReplacer("_", "", ",", "").Replace(v.text)
	number := func(n int64, err error) {
		if err == nil {
			v.kind, v.text = kInt, strconv.FormatInt(n, 10)
		}
	}
	switch {
	case intText.MatchString(v.text):
		number(strconv.ParseInt(plain, 10, 64))
	case octalText.MatchString(v.text):
		number(strconv.ParseInt(strings.Replace(plain, "o", "", 1), 8, 64))
	case binText.MatchString(v.text):
		number(strconv.ParseInt(strings.Replace(plain, "0b", "", 1), 2, 64))
	case dateText.MatchString(v.text):
		r.errs.add(v.at, "Invalid configuration format: Tried to load unspecified class: Date (quote %s to keep it a string)", v.text)
	case timeText.MatchString(v.text):
		r.errs.add(v.at, "Invalid configuration format: Tried to load unspecified class: Time (quote %s to keep it a string)", v.text)
	case hexText.MatchString(v.text):
		number(strconv.ParseInt(strings.Replace(plain, "0x", "", 1), 16, 64))
	case baseText.MatchString(v.text):
		number(sexagesimal(plain))
	case floatText.MatchString(v.text) && strings.ContainsAny(v.text, "0123456789"):
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			v.kind, v.text = kFloat, floatString(f)
		}
	}
	return v
}

func sexagesimal(text string) (int64, error) {
	negative := strings.HasPrefix(text, "-")
	var n int64
	for part := range strings.SplitSeq(strings.TrimLeft(text, "+-"), ":") {
		d, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			return 0, err
		}
		n = n*60 + d
	}
	if negative {
		n = -n
	}
	return n, nil
}

// floatString prints as Ruby's Float#to_s does for the numbers people write.
func floatString(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
