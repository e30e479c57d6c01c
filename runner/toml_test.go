package runner

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// What is written is read back as the same value.
func TestValues(t *testing.T) {
	for _, v := range []any{
		"", "plain", "tab\t, line\n, return\r, quote\", back\\, bell\a, del\x7f, é, \U0001F98E", true, int64(-3), 1.5, 1e300, math.Inf(-1), 3.0,
		[]any{}, []any{"a", []any{int64(1)}}, map[string]any{"a b": map[string]any{}, "x": "y"}, time.Date(2026, 11, 20, 1, 2, 3, 4000, time.UTC),
		toml.LocalDate{Year: 2026, Month: 11, Day: 20}, toml.LocalTime{Hour: 7, Nanosecond: 500000000, Precision: 1},
	} {
		var got map[string]any
		if err := toml.Unmarshal([]byte("v = "+inline(v)), &got); err != nil {
			t.Errorf("%s: %v", inline(v), err)
			continue
		}
		n, err := normal(got["v"])
		if err != nil {
			t.Errorf("%s: %v", inline(v), err)
		}
		if diff := cmp.Diff(v, n); diff != "" {
			t.Errorf("%s\n%s", inline(v), diff)
		}
	}
}

func TestNormal(t *testing.T) {
	for _, c := range []struct{ in, want any }{
		{3, int64(3)}, {uint64(3), int64(3)}, {json.Number("3"), int64(3)}, {json.Number("0.5"), 0.5},
		{[]string{"a"}, []any{"a"}}, {map[string]string{"a": "b"}, map[string]any{"a": "b"}},
		{[]map[string]any{{"a": 1}}, []any{map[string]any{"a": int64(1)}}},
	} {
		got, err := normal(c.in)
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("%v: got %v, %v", c.in, got, err)
		}
	}
	for _, in := range []any{nil, uint64(math.MaxUint64), struct{}{}, []any{nil}, map[string]any{"a": func() {}}} {
		if got, err := normal(in); err == nil {
			t.Errorf("%v was taken for %v", in, got)
		}
	}
}
