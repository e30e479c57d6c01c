package paas

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/heptaup/hepta/internal/bom"
)

// report gathers what is found while a file is read.
type report struct{ errors, warnings []Problem }

// table is one table of a TOML file. Its methods read a key of some type, take
// the default when there is none and report what is wrong with it.
type table struct {
	*report
	values map[string]any
	lines  map[string]int // of keys, by their path from the root
	path   string         // of the table, with a dot at the end; empty for the root
	at     int            // the line where it begins
}

// parseTable reads a whole file.
func parseTable(data []byte, r *report) (table, bool) {
	t, data := table{report: r}, bom.Trim(data)
	if err := toml.Unmarshal(data, &t.values); err != nil {
		p := Problem{Text: "not valid TOML"}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, column := at.Position()
			p.Line, p.Text = line, fmt.Sprintf("not valid TOML at column %d", column)
		}
		r.errors = append(r.errors, p)
		return t, false
	}
	t.lines = keyLines(data)
	return t, true
}

// keyLines says where each key stands. Elements of an array of tables have
// their index in the path: runners.0.name.
func keyLines(data []byte) map[string]int {
	lines, count := map[string]int{}, map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		var keys []string
		line := 0
		for it := e.Key(); it.Next(); {
			keys = append(keys, string(it.Node().Data))
			if line == 0 {
				line = p.Shape(it.Node().Raw).Start.Line
			}
		}
		mark := func(path string) {
			if _, known := lines[path]; !known {
				lines[path] = line
			}
		}
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix = ""
			for i, k := range keys {
				prefix += k
				mark(prefix)
				if last := i == len(keys)-1; last && e.Kind == unstable.ArrayTable {
					count[prefix]++
				}
				if n := count[prefix]; n > 0 {
					prefix += fmt.Sprint(".", n-1)
					mark(prefix)
				}
				prefix += "."
			}
		default:
			path := prefix
			for _, k := range keys {
				path += k
				mark(path)
				path += "."
			}
		}
	}
	return lines
}

// line is where the key stands, or the nearest thing around it.
func (t table) line(key string) int {
	if n := t.lines[t.path+key]; n > 0 {
		return n
	}
	return t.at
}

func (t table) wrong(key, format string, args ...any) {
	t.errors = append(t.errors, Problem{t.line(key), key, fmt.Sprintf(format, args...)})
}

func (t table) odd(key, format string, args ...any) {
	t.warnings = append(t.warnings, Problem{t.line(key), key, fmt.Sprintf(format, args...)})
}

// spelled finds a key under the name that counts or another one that is
// accepted for it.
func (t table) spelled(key string, others ...string) string {
	found := ""
	for _, k := range append([]string{key}, others...) {
		if _, ok := t.values[k]; !ok {
			continue
		}
		if found != "" {
			t.wrong(k, "is another name of %s, which is there too: keep one", found)
			continue
		}
		found = k
	}
	if found == "" {
		return key
	}
	return found
}

func (t table) text(key, otherwise string) string {
	switch v := t.values[key].(type) {
	case nil:
		return otherwise
	case string:
		if v == "" {
			return otherwise
		}
		return v
	}
	t.wrong(key, "want text in quotes")
	return otherwise
}

func (t table) required(key string) string {
	v := t.text(key, "")
	if _, there := t.values[key].(string); v == "" && (there || t.values[key] == nil) {
		t.wrong(key, "is missing")
	}
	return v
}

func (t table) yes(key string, otherwise bool) bool {
	switch v := t.values[key].(type) {
	case nil:
		return otherwise
	case bool:
		return v
	}
	t.wrong(key, "want true or false")
	return otherwise
}

func (t table) count(key string, otherwise int) int {
	switch v := t.values[key].(type) {
	case nil:
		return otherwise
	case int64:
		if v >= 1 && v <= math.MaxInt32 {
			return int(v)
		}
	}
	t.wrong(key, "want a whole number of at least 1")
	return otherwise
}

// seconds reads a time span. It may be zero only when its default is.
func (t table) seconds(key string, otherwise float64) time.Duration {
	n := otherwise
	switch v := t.values[key].(type) {
	case nil:
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		n = math.NaN()
	}
	if !(n > 0 || n == 0 && otherwise == 0) || n > 1e9 {
		t.wrong(key, "want a number of seconds")
		n = otherwise
	}
	return time.Duration(n * float64(time.Second))
}

// sub is a table inside this one, nil values when there is none.
func (t table) sub(key string) table {
	out := table{report: t.report, lines: t.lines, path: t.path + key + ".", at: t.line(key)}
	switch v := t.values[key].(type) {
	case nil:
	case map[string]any:
		out.values = v
	default:
		t.wrong(key, "want a table")
	}
	return out
}

// texts is a table of texts; numbers and booleans in it are taken as written.
func (t table) texts() map[string]string {
	out := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(t.values)) {
		switch v := t.values[k].(type) {
		case string:
			out[k] = v
		case bool, int64, float64:
			out[k] = fmt.Sprint(v)
		default:
			t.wrong(k, "want text in quotes")
		}
	}
	return out
}

// strangers warns of keys with one of the prefixes that are not known.
func (t table) strangers(known []string, prefixes ...string) {
	for _, k := range slices.Sorted(maps.Keys(t.values)) {
		ours := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(k, p) })
		if ours && !slices.Contains(known, k) {
			t.odd(k, "is not known and has no effect")
		}
	}
}
