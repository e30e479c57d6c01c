package configkeys

import (
	"reflect"
	"strings"
	"time"
)

// Same reports whether two values of a key mean the same to the runner: a text
// and a list of it alone where either may stand, 1h and 1h0m0s, and an entry
// of a list with or without keys that are empty. The key is dotted, from its
// section on. Of keys that are not known only equal values are the same.
func Same(section, key string, a, b any) bool {
	k := at(section + "." + key)
	return k.same(plain(a), plain(b))
}

func (k *key) same(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	if k == nil || len(k.kinds) == 0 {
		return false
	}
	newest := k.kinds[len(k.kinds)-1]
	switch {
	case newest == "text-or-list-of-text":
		return reflect.DeepEqual(one(a), one(b))
	case newest == "duration":
		x, isDuration := length(a)
		y, areDurations := length(b)
		return isDuration && areDurations && x == y
	case newest == "number":
		x, y := number(a), number(b)
		return x != nil && x == y
	case newest == "time":
		x, isTime := instant(a).(time.Time)
		y, areTimes := instant(b).(time.Time)
		return isTime && areTimes && x.Equal(y)
	case newest == "table":
		return k.sameTable(a, b)
	case strings.HasPrefix(string(newest), listOf):
		x, isList := a.([]any)
		y, areLists := b.([]any)
		if !isList || !areLists || len(x) != len(y) || newest != listOf+"table" {
			return false
		}
		for i := range x {
			if !k.sameTable(plain(x[i]), plain(y[i])) {
				return false
			}
		}
		return true
	}
	return false
}

func (k *key) sameTable(a, b any) bool {
	x, isTable := a.(map[string]any)
	y, areTables := b.(map[string]any)
	if !isTable || !areTables {
		return false
	}
	covers := func(x, y map[string]any) bool {
		for name, v := range x {
			other, there := y[name]
			if !there && isEmpty(plain(v)) {
				continue
			}
			if !there || !k.children[strings.ToLower(name)].same(plain(v), plain(other)) {
				return false
			}
		}
		return true
	}
	return covers(x, y) && covers(y, x)
}

// one is the element of a list of one.
func one(v any) any {
	if list, ok := v.([]any); ok && len(list) == 1 {
		return plain(list[0])
	}
	return v
}

func length(v any) (time.Duration, bool) {
	text, ok := v.(string)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// isEmpty reports whether a value is what a key means that is not there.
func isEmpty(v any) bool {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice, reflect.Map:
		return r.Len() == 0
	}
	return !r.IsValid() || r.IsZero()
}
