package runner

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/runner/configkeys"
)

// Section is what one [[runners]] section of config.toml has to say.
type Section struct {
	// Name is the key: the section whose name it is is changed, or a new one
	// is appended.
	Name string
	// Set are the keys with their values; tables are nested maps. Keys that
	// are not named keep the value that they have.
	Set map[string]any
	// Default are keys of the section itself with the values that they get
	// where the section has none.
	Default map[string]any
	// Unset are keys that must not be there. A key that holds an empty value
	// counts as not there.
	Unset [][]string
}

// leaf is one key of a section with its value.
type leaf struct {
	path  []string
	value any
}

// leaves flattens a table: what is left are values that are no tables. The
// order is the one in which people write a runner's section.
func leaves(table map[string]any, prefix []string) []leaf {
	var out, deeper []leaf
	keys := slices.SortedFunc(maps.Keys(table), func(a, b string) int {
		if c := rank(prefix, a) - rank(prefix, b); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, k := range keys {
		path := append(slices.Clone(prefix), k)
		if sub, ok := table[k].(map[string]any); ok {
			deeper = append(deeper, leaves(sub, path)...)
			continue
		}
		out = append(out, leaf{path, table[k]})
	}
	return append(out, deeper...)
}

// rank orders the keys that everybody looks for before the others.
func rank(prefix []string, k string) int {
	order := []string{"name", "url", "id", "token", "token_obtained_at", "token_expires_at", "tls-ca-file", "executor", "limit", "request_concurrency", "environment"}
	if len(prefix) > 0 {
		order = []string{"tls_verify", "image", "privileged", "helper_image", "volumes", "extra_hosts"}
	}
	if i := slices.Index(order, k); i >= 0 {
		return i
	}
	return len(order)
}

// apply changes table the way s wants it.
func (s Section) apply(table map[string]any) {
	for _, path := range s.Unset {
		remove(table, path)
	}
	for _, l := range leaves(s.Set, nil) {
		set(table, l.path, l.value)
	}
}

// completed is s with each default among its keys, or the value that a section
// has in its place.
func (s Section) completed(have map[string]any) Section {
	set := maps.Clone(s.Default)
	for k := range set {
		isUnset := slices.ContainsFunc(s.Unset, func(path []string) bool { return slices.Equal(path, []string{k}) })
		if v := have[k]; v != nil && !zero(v) && !isUnset {
			set[k] = v
		}
	}
	if set == nil {
		return s
	}
	maps.Copy(set, s.Set)
	s.Set, s.Default = set, nil
	return s
}

// keeping is s with the values of a section that mean the same as those of s:
// the runner writes its file too, in spellings of its own.
func (s Section) keeping(have map[string]any) Section {
	kept := map[string]any{}
	for _, l := range leaves(s.Set, nil) {
		if v, there := get(have, l.path); there && configkeys.Same(configkeys.Runner, strings.Join(l.path, "."), v, l.value) {
			l.value = v
		}
		set(kept, l.path, l.value)
	}
	s.Set = kept
	return s
}

// get finds nothing below what is no table.
func get(table map[string]any, path []string) (any, bool) {
	for _, k := range path[:len(path)-1] {
		table, _ = table[k].(map[string]any)
	}
	v, there := table[path[len(path)-1]]
	return v, there
}

func set(table map[string]any, path []string, value any) {
	for _, k := range path[:len(path)-1] {
		sub, ok := table[k].(map[string]any)
		if !ok {
			sub = map[string]any{}
			table[k] = sub
		}
		table = sub
	}
	table[path[len(path)-1]] = value
}

// remove takes a key away unless its value is as good as none.
func remove(table map[string]any, path []string) {
	for _, k := range path[:len(path)-1] {
		sub, ok := table[k].(map[string]any)
		if !ok {
			return
		}
		table = sub
	}
	if last := path[len(path)-1]; !zero(table[last]) {
		delete(table, last)
	}
}

// merge brings the blocks of one section to what s wants. As long as its keys
// are written one a line, comments and order stay as they are; a section that
// uses inline tables or dotted keys for what has to change is written anew,
// with all its keys and without its comments.
func (s Section) merge(blocks []*block) ([]byte, error) {
	raw := document(blocks).bytes()
	have, err := decodeSection(raw)
	if err != nil {
		return nil, err
	}
	before := inline(have)
	s = s.replacing(have).completed(have).keeping(have)
	s.apply(have)
	want := inline(have)
	if before == want {
		return raw, nil
	}
	edited := s.edit(raw)
	if got, err := decodeSection(edited); err == nil && inline(got) == want {
		return edited, nil
	}
	anew := render(have)
	if bytes.HasSuffix(raw, []byte("\n\n")) {
		anew = append(anew, '\n')
	}
	return anew, nil
}

// decodeSection reads the one section that raw holds.
func decodeSection(raw []byte) (map[string]any, error) {
	var doc struct {
		Runners []map[string]any `toml:"runners"`
	}
	if err := toml.Unmarshal(raw, &doc); err != nil || len(doc.Runners) != 1 {
		return nil, fmt.Errorf("a [[runners]] section is not a table of its own")
	}
	v, err := normal(doc.Runners[0])
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

// edit changes the lines that have to change and no others. It may fail to
// bring about what s wants, but never touches what s does not name.
func (s Section) edit(raw []byte) []byte {
	doc, err := parse(raw)
	if err != nil {
		return raw
	}
	for _, path := range s.Unset {
		if b, e, ok := doc.find(path); ok && !zeroText(b, e) {
			b.cut(e)
		}
	}
	for _, l := range leaves(s.Set, nil) {
		if b, e, ok := doc.find(l.path); ok {
			if !sameText(b, e, l.value) {
				b.replace(e.value, e.end, inline(l.value))
			}
			continue
		}
		doc = doc.drop(l.path)
		doc = doc.insert(l)
	}
	return doc.bytes()
}

// valueOf reads the value of an expression.
func valueOf(b *block, e expr) (any, bool) {
	var v map[string]any
	if err := toml.Unmarshal(slices.Concat([]byte("v = "), b.raw[e.value:e.end]), &v); err != nil {
		return nil, false
	}
	n, err := normal(v["v"])
	return n, err == nil
}

func sameText(b *block, e expr, want any) bool {
	v, ok := valueOf(b, e)
	return ok && inline(v) == inline(want)
}

func zeroText(b *block, e expr) bool {
	v, ok := valueOf(b, e)
	return ok && zero(v)
}

// find looks for the line of a key.
func (d document) find(path []string) (*block, expr, bool) {
	for _, b := range d {
		if b.path == nil {
			continue
		}
		for _, e := range b.exprs {
			if slices.Equal(slices.Concat(b.path[1:], e.path), path) {
				return b, e, true
			}
		}
	}
	return nil, expr{}, false
}

// drop takes the tables away that stand where a plain value has to be.
func (d document) drop(path []string) document {
	full := append([]string{"runners"}, path...)
	return slices.DeleteFunc(d, func(b *block) bool { return under(b.path, full) })
}

// insert adds a key to the block of its table, which is made when missing.
func (d document) insert(l leaf) document {
	table := append([]string{"runners"}, l.path[:len(l.path)-1]...)
	last := l.path[len(l.path)-1:]
	indent := strings.Repeat("  ", len(table))
	for _, b := range d {
		if b.path != nil && slices.Equal(b.path, table) {
			b.add(last, l.value, indent)
			return d
		}
	}
	end := d[len(d)-1]
	if n := len(end.raw); n > 0 && end.raw[n-1] != '\n' {
		end.raw = append(end.raw, '\n')
	}
	// A blank line that separates this section from the next one stays last.
	tail := end.raw[len(bytes.TrimRight(end.raw, " \t\r\n")):]
	var gap []byte
	if i := bytes.IndexByte(tail, '\n'); i >= 0 {
		gap = slices.Clone(tail[i+1:])
		end.raw = end.raw[:len(end.raw)-len(gap)]
	}
	b := &block{path: table}
	b.raw = []byte(strings.Repeat("  ", len(table)-1) + "[" + dotted(table) + "]\n")
	b.add(last, l.value, indent)
	b.raw = append(b.raw, gap...)
	return append(d, b)
}

// render writes a whole section.
func render(table map[string]any) []byte {
	var b bytes.Buffer
	b.WriteString("[[runners]]\n")
	renderTable(&b, table, nil)
	return b.Bytes()
}

func renderTable(b *bytes.Buffer, table map[string]any, path []string) {
	indent := strings.Repeat("  ", len(path)+1)
	header := func(k string) string { return dotted(slices.Concat([]string{"runners"}, path, []string{k})) }
	var tables []string
	for _, l := range ordered(table, path) {
		if _, ok := l.value.(map[string]any); ok {
			tables = append(tables, l.path[0])
			continue
		}
		fmt.Fprintf(b, "%s%s = %s\n", indent, key(l.path[0]), inline(l.value))
	}
	for _, k := range tables {
		fmt.Fprintf(b, "%s[%s]\n", indent, header(k))
		renderTable(b, table[k].(map[string]any), append(slices.Clone(path), k))
	}
}

// ordered are the direct entries of a table.
func ordered(table map[string]any, prefix []string) []leaf {
	keys := slices.SortedFunc(maps.Keys(table), func(a, b string) int {
		if c := rank(prefix, a) - rank(prefix, b); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	out := make([]leaf, len(keys))
	for i, k := range keys {
		out[i] = leaf{[]string{k}, table[k]}
	}
	return out
}
