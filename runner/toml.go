package runner

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// normal turns a value as it comes out of YAML, JSON or Go code into the few
// types that TOML has: string, bool, int64, float64, []any, map[string]any and
// the dates. What has no TOML form is an error.
func normal(v any) (any, error) {
	switch v := v.(type) {
	case string, bool, int64, float64, time.Time, toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		return v, nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case uint:
		return normal(uint64(v))
	case uint64:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("%d is too big", v)
		}
		return int64(v), nil
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		return v.Float64()
	case []string:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return list, nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			n, err := normal(v[i])
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			list[i] = n
		}
		return list, nil
	case []map[string]any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return normal(list)
	case map[string]any:
		table := make(map[string]any, len(v))
		for k := range v {
			n, err := normal(v[k])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			table[k] = n
		}
		return table, nil
	case map[string]string:
		table := make(map[string]any, len(v))
		for k := range v {
			table[k] = v[k]
		}
		return table, nil
	case nil:
		return nil, fmt.Errorf("an empty value has no form in TOML")
	default:
		return nil, fmt.Errorf("a %T has no form in TOML", v)
	}
}

// inline writes a normal value on one line. Tables are sorted by key, so equal
// values have equal text: that is also how values are compared.
func inline(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return float(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = inline(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, key(k)+" = "+inline(v[k]))
		}
		if len(parts) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	default: // the local dates print as TOML
		return fmt.Sprint(v)
	}
}

func float(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// key writes one part of a key, bare where TOML allows it.
func key(k string) string {
	bare := k != ""
	for _, c := range k {
		bare = bare && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if bare {
		return k
	}
	return quote(k)
}

// dotted writes a whole key.
func dotted(path []string) string {
	parts := make([]string, len(path))
	for i := range path {
		parts[i] = key(path[i])
	}
	return strings.Join(parts, ".")
}

// quote writes a basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// zero reports whether v is what an absent key means to the runner.
func zero(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case int64:
		return v == 0
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
