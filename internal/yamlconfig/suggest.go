package yamlconfig

import (
	"reflect"

	yaml "go.yaml.in/yaml/v3"
)

func (d *decoder) unknown(key *yaml.Node, t reflect.Type, path string) {
	where := ""
	if path != "" {
		where = " in " + path
	}
	text := "unknown key " + quoted(key.Value) + where
	if near := nearest(key.Value, keysOf(t)); near != "" {
		text += ": did you mean " + quoted(near) + "?"
	} else if home := homeOf(key.Value, d.root, ""); home != "" && home != join(path, key.Value) {
		text += ": did you mean " + quoted(home) + "?"
	}
	d.problems = append(d.problems, Problem{Position: place(key), Text: text, inside: join(path, key.Value)})
}

func fieldByKey(t reflect.Type, key string) int {
	for i := range t.NumField() {
		if k := keyOf(t.Field(i)); k != "" && k == key {
			return i
		}
	}
	return -1
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if k := keyOf(t.Field(i)); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// homeOf is the path of the first key of that name anywhere in the configuration.
func homeOf(key string, t reflect.Type, path string) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return ""
	}
	if fieldByKey(t, key) >= 0 {
		return join(path, key)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		k := keyOf(f)
		if k == "" {
			continue
		}
		if home := homeOf(key, f.Type, join(path, k)); home != "" {
			return home
		}
	}
	return ""
}

// nearest is the candidate that a slip of the fingers could have meant, "" when
// none is near enough.
func nearest(key string, candidates []string) string {
	best, distance := "", len(key)/3+1
	if distance > 3 {
		distance = 3
	}
	if len(key) > 40 {
		return ""
	}
	for _, c := range candidates {
		if d := slips(key, c); d < distance || d == distance && best == "" {
			best, distance = c, d
		}
	}
	return best
}

// slips counts insertions, deletions, replacements and swaps of neighbours.
func slips(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
