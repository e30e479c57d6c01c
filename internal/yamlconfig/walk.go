package yamlconfig

import (
	"fmt"
	"reflect"
)

// field is one value of a configuration with what its struct says about it.
type field struct {
	path   string
	tag    reflect.StructTag
	value  reflect.Value
	parent reflect.Value // the struct that holds it
}

// walk visits every field below v, a struct, parents first. Nil pointers are
// visited but not entered.
func walk(v reflect.Value, path string, visit func(field)) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		key := keyOf(f)
		if key == "" {
			continue
		}
		at := join(path, key)
		value := v.Field(i)
		visit(field{path: at, tag: f.Tag, value: value, parent: v})
		enter(value, at, visit)
	}
}

func enter(v reflect.Value, path string, visit func(field)) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		enter(v.Elem(), path, visit)
	case v.Kind() == reflect.Struct:
		walk(v, path, visit)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			enter(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

// keyOf is the field's YAML key, "" when it has none.
func keyOf(f reflect.StructField) string {
	if key := f.Tag.Get("yaml"); key != "-" {
		return key
	}
	return ""
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
