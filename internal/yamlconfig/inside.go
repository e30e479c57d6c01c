package yamlconfig

import (
	"reflect"
	"strings"

	"github.com/heptaup/hepta/internal/secret"
)

// Inside lists the paths of values of the tag private:"inside" that hold what
// looks like a secret: whoever reads the configuration knows it.
func Inside(v any) (paths []string) {
	walk(reflect.ValueOf(v).Elem(), "", func(f field) {
		if f.tag.Get("private") == "inside" && holdsSecret("", f.value) {
			paths = append(paths, f.path)
		}
	})
	return paths
}

// holdsSecret reports whether a value, or anything in it, looks like a secret.
// Elements of lists are assignments, NAME=value, or are called as their list.
func holdsSecret(name string, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return !v.IsNil() && holdsSecret(name, v.Elem())
	case reflect.String:
		return secret.HasSecret(v.String()) || secret.IsSecret(name, v.String())
	case reflect.Map:
		for each := v.MapRange(); each.Next(); {
			if holdsSecret(strings.TrimSpace(each.Key().String()), each.Value()) {
				return true
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if holdsSecret(name, v.Index(i)) {
				return true
			}
		}
	}
	return false
}
