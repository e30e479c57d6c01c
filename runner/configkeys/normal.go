package configkeys

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// kind is the type of a key: text, boolean, integer, number, duration, time,
// table, any, text-or-list-of-text, or list-of- or mapping-of- another kind.
type kind string

const (
	listOf    = "list-of-"
	mappingOf = "mapping-of-"
)

// String says to people what a kind is.
func (k kind) String() string {
	text := string(k)
	if rest, ok := strings.CutPrefix(text, listOf); ok {
		return "a list of " + plural(kind(rest))
	}
	if rest, ok := strings.CutPrefix(text, mappingOf); ok {
		return "a mapping of " + plural(kind(rest))
	}
	switch k {
	case "text", "table", "any":
		return map[kind]string{"text": "text", "table": "a mapping", "any": "anything"}[k]
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "duration":
		return "a duration with its unit, such as 90s or 1h"
	case "time":
		return "a time such as 2026-01-31T12:00:00Z"
	case "text-or-list-of-text":
		return "text or a list of texts"
	}
	return "a number"
}

func plural(k kind) string {
	switch k {
	case "text":
		return "texts"
	case "table":
		return "mappings"
	case "integer":
		return "whole numbers"
	case "boolean":
		return "true or false"
	}
	if strings.HasPrefix(string(k), listOf) {
		return "lists of " + plural(kind(strings.TrimPrefix(string(k), listOf)))
	}
	return "numbers"
}

// Written is a value that remembers how it was written: 0100 is the number 64
// and the text "0100".
type Written interface {
	// Written gives the text of the file and what it means by itself.
	Written() (text string, value any)
}

// Problem is a value that the runner does not take, or a key that it ignores.
type Problem struct {
	Key     string // below the section: services[0].name
	Text    string // what is wrong with it; it never quotes the value
	Ignored bool   // the runner takes the file and has no use for the key
}

// Normal is what a section has to hold in config.toml: every key as it is
// documented, every value in the type that the runner reads. Values have the
// types string, bool, int64, float64, time.Time, []any and map[string]any.
// What was asked for is left as it is.
func Normal(section string, values map[string]any) (map[string]any, []Problem) {
	n := &normalizer{}
	out := n.table(at(section), values, "")
	slices.SortStableFunc(n.problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return out, n.problems
}

type normalizer struct{ problems []Problem }

func (n *normalizer) add(path, format string, args ...any) any {
	n.problems = append(n.problems, Problem{Key: path, Text: fmt.Sprintf(format, args...)})
	return nil
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// table gives the keys of a mapping their names and types. A key that the
// runner does not know passes in whatever form TOML has for it.
func (n *normalizer) table(k *key, values map[string]any, path string) map[string]any {
	out := make(map[string]any, len(values))
	spelled := map[string]string{} // lower case → as it was written
	for _, name := range slices.Sorted(maps.Keys(values)) {
		here := below(path, name)
		if k == nil || k.children == nil {
			out[name] = n.free(values[name], here)
			continue
		}
		if before, twice := spelled[strings.ToLower(name)]; twice {
			n.add(here, "is the same key as %s: the runner does not look at case", before)
			continue
		}
		spelled[strings.ToLower(name)] = name
		c := k.children[strings.ToLower(name)]
		if c == nil {
			n.ignored(here, "is no key that GitLab Runner has here%s", suggestion(name, k))
			out[name] = n.free(values[name], here)
			continue
		}
		if !c.newest {
			n.ignored(here, "is a key of old GitLab Runners alone (%s); newer ones ignore it%s", c.versions, suggestion(name, k))
		}
		if v := n.value(c, values[name], here); v != nil {
			out[c.name] = v
		}
	}
	return out
}

func (n *normalizer) ignored(path, format string, args ...any) {
	n.problems = append(n.problems, Problem{Key: path, Text: fmt.Sprintf(format, args...), Ignored: true})
}

// value gives a value of a key the type that every version takes, where there
// is one, and else that of the newest.
func (n *normalizer) value(k *key, v any, path string) any {
	if v == nil {
		return n.empty(path)
	}
	if len(k.kinds) > 1 && k.kinds[0] == "text" { // what once was one text became a list
		if list, ok := plain(v).([]any); ok && len(list) == 1 {
			v = list[0]
		}
	}
	return n.typed(k.kinds[len(k.kinds)-1], k, v, path)
}

func (n *normalizer) typed(as kind, k *key, v any, path string) any {
	if elem, ok := strings.CutPrefix(string(as), listOf); ok {
		return n.list(kind(elem), k, v, path)
	}
	if elem, ok := strings.CutPrefix(string(as), mappingOf); ok {
		return n.mapping(kind(elem), k, v, path)
	}
	if as == "text" {
		return n.text(v, path)
	}
	if as == "text-or-list-of-text" {
		if _, is := plain(v).([]any); is {
			return n.list("text", k, v, path)
		}
		return n.text(v, path)
	}
	if as == "any" {
		return n.free(v, path)
	}
	v = plain(v)
	if as == "table" {
		if m, ok := v.(map[string]any); ok {
			return n.table(k, m, path)
		}
		return n.add(path, "is not %s", as)
	}
	var out any
	switch as {
	case "boolean":
		out = truth(v)
	case "integer":
		out = integer(v)
		if out == nil && k.name == "shm_size" {
			out = size(v)
		}
	case "number":
		out = number(v)
	case "duration":
		out = duration(v)
	case "time":
		out = instant(v)
	}
	if out == nil {
		return n.add(path, "is not %s", as)
	}
	return out
}

// pairs are the lists that people also write as a mapping, and what stands
// between name and value in them.
var pairs = map[string]string{"environment": "=", "extra_hosts": ":"}

// list takes a list, and one element alone for a list of one.
func (n *normalizer) list(elem kind, k *key, v any, path string) any {
	var list []any
	switch x := plain(v).(type) {
	case []any:
		list = x
	case map[string]any:
		switch {
		case elem == "table":
			list = []any{x}
		case pairs[k.name] != "": // as compose files have it
			for _, name := range slices.Sorted(maps.Keys(x)) {
				if text, ok := n.text(x[name], below(path, name)).(string); ok {
					list = append(list, name+pairs[k.name]+text)
				}
			}
		default:
			return n.add(path, "is not %s", kind(listOf+elem))
		}
	default:
		list = []any{v}
	}
	out := make([]any, 0, len(list))
	for i, e := range list {
		at := path
		if _, many := plain(v).([]any); many {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if name, ok := plain(e).(string); ok && elem == "table" && k.children["name"] != nil {
			e = map[string]any{"name": name}
		}
		if x := n.typed(elem, k, e, at); x != nil {
			out = append(out, x)
		}
	}
	return out
}

// mapping takes a mapping, and for one of texts also a list of NAME=VALUE.
func (n *normalizer) mapping(elem kind, k *key, v any, path string) any {
	switch x := plain(v).(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for _, name := range slices.Sorted(maps.Keys(x)) {
			if e := n.typed(elem, k, x[name], below(path, name)); e != nil {
				out[name] = e
			}
		}
		return out
	case []any:
		out := make(map[string]any, len(x))
		for _, e := range x {
			text, _ := plain(e).(string)
			name, value, ok := strings.Cut(text, "=")
			if elem != "text" || !ok || name == "" {
				return n.add(path, "is not %s", kind(mappingOf+elem))
			}
			out[name] = value
		}
		return out
	}
	return n.add(path, "is not %s", kind(mappingOf+elem))
}

// text keeps what was written, also where it looks like something else.
func (n *normalizer) text(v any, path string) any {
	if w, ok := v.(Written); ok {
		text, _ := w.Written()
		return text
	}
	switch x := plain(v).(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(x)
	}
	return n.add(path, "is not text")
}

// free is a value of which nothing is known, in a form that TOML has.
func (n *normalizer) free(v any, path string) any {
	switch x := plain(v).(type) {
	case string, bool, int64, float64, time.Time:
		return x
	case []any:
		out := make([]any, 0, len(x))
		for i, e := range x {
			if e = n.free(e, fmt.Sprintf("%s[%d]", path, i)); e != nil {
				out = append(out, e)
			}
		}
		return out
	case map[string]any:
		return n.table(nil, x, path)
	}
	if v == nil {
		return n.empty(path)
	}
	return n.add(path, "has no form in TOML")
}

func (n *normalizer) empty(path string) any {
	return n.add(path, "is empty: leave the key out, or give it a value")
}

// plain brings what YAML, JSON and Go code give to few types.
func plain(v any) any {
	switch x := v.(type) {
	case Written:
		_, value := x.Written()
		return plain(value)
	case int:
		return int64(x)
	case int32:
		return int64(x)
	case uint:
		return plain(uint64(x))
	case uint64:
		if x > math.MaxInt64 {
			return float64(x)
		}
		return int64(x)
	case float32:
		return float64(x)
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return i
		}
		if f, err := x.Float64(); err == nil {
			return f
		}
		return x.String()
	case []string:
		return anys(x)
	case []map[string]any:
		return anys(x)
	case map[string]string:
		return anyMap(x)
	case map[string]bool:
		return anyMap(x)
	}
	return v
}

func anys[E any](list []E) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}

func anyMap[E any](m map[string]E) map[string]any {
	out := make(map[string]any, len(m))
	for k := range m {
		out[k] = m[k]
	}
	return out
}

func truth(v any) any {
	switch x := v.(type) {
	case bool:
		return x
	case int64:
		if x == 0 || x == 1 {
			return x == 1
		}
	case string:
		switch strings.ToLower(strings.TrimSpace(x)) {
		case "true", "yes", "on", "1":
			return true
		case "false", "no", "off", "0":
			return false
		}
	}
	return nil
}

func integer(v any) any {
	switch x := v.(type) {
	case int64:
		return x
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x)
		}
	case string:
		if i, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return i
		}
	}
	return nil
}

// size reads bytes as docker does: 256m.
func size(v any) any {
	if text, ok := v.(string); ok {
		if bytes, err := units.RAMInBytes(strings.TrimSpace(text)); err == nil {
			return bytes
		}
	}
	return nil
}

func number(v any) any {
	switch x := v.(type) {
	case float64:
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x
		}
	case int64:
		return float64(x)
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(x), 64); err == nil {
			return number(f)
		}
	}
	return nil
}

// duration is the text of one. A number alone would be nanoseconds, which
// nobody means.
func duration(v any) any {
	if text, ok := v.(string); ok {
		if _, err := time.ParseDuration(text); err == nil {
			return text
		}
	}
	if i, ok := v.(int64); ok && i == 0 {
		return "0s"
	}
	return nil
}

func instant(v any) any {
	switch x := v.(type) {
	case time.Time:
		return x
	case string:
		if t, err := time.Parse(time.RFC3339, x); err == nil {
			return t
		}
	}
	return nil
}
