package yamlconfig

import (
	"reflect"

	yaml "go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/spelling"
)

func (d *decoder) unknown(key *yaml.Node, t reflect.Type, path string) {
	where := ""
	if path != "" {
		where = " in " + path
	}
	text := "unknown key " + quoted(key.Value) + where
	if near := spelling.Nearest(key.Value, keysOf(t)); near != "" {
		text += ": did you mean " + quoted(near) + "?"
	} else if home := homeOf(key.Value, t, path); home != "" {
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

// homeOf is the path of the first key of that name in what path holds; one of
// another section means another thing.
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
