// Package expand computes the variables that a job is given.
package expand

import (
	"slices"
	"strings"
)

// Variable is one variable as a runner is told of it.
type Variable struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Public bool   `json:"public"`
	File   bool   `json:"file"`
	Masked bool   `json:"masked"`
	Raw    bool   `json:"raw"`
}

// Last keeps the last of several variables with one key, at the first one's
// place: the order decides which value wins, not who is listed first.
func Last(all []Variable) []Variable {
	at := make(map[string]int, len(all))
	out := make([]Variable, 0, len(all))
	for _, v := range all {
		if i, ok := at[v.Key]; ok {
			out[i] = v
			continue
		}
		at[v.Key] = len(out)
		out = append(out, v)
	}
	return out
}

// limit is the longest value that references may grow to.
const limit = 64 << 10

// Resolve replaces references between variables. Raw and file variables are
// neither expanded nor put into others; undefined names, variables that lead
// back to themselves, values that would grow out of bounds and $$ stay as they
// are, for the runner.
func Resolve(all []Variable) []Variable {
	out := Last(all)
	r := resolver{byKey: make(map[string]*Variable, len(out)), done: map[string]string{}, left: map[string]bool{}}
	for i := range out {
		r.byKey[out[i].Key] = &out[i]
	}
	for i := range out {
		r.value(out[i].Key)
	}
	for i := range out {
		if value, ok := r.done[out[i].Key]; ok {
			out[i].Value = value
		}
	}
	return out
}

type resolver struct {
	byKey map[string]*Variable
	done  map[string]string // resolved
	left  map[string]bool   // stays as it is
	stack []string          // being resolved
}

// value returns what stands for a reference to name; false leaves the reference.
func (r *resolver) value(name string) (string, bool) {
	if v, ok := r.done[name]; ok {
		return v, true
	}
	v := r.byKey[name]
	if v == nil || v.Raw || v.File || r.left[name] {
		return "", false
	}
	if i := slices.Index(r.stack, name); i >= 0 {
		for _, n := range r.stack[i:] {
			r.left[n] = true
		}
		return "", false
	}
	r.stack = append(r.stack, name)
	text := String(v.Value, r.value)
	r.stack = r.stack[:len(r.stack)-1]
	if r.left[name] || len(text) > limit {
		r.left[name] = true
		return "", false
	}
	r.done[name] = text
	return text, true
}

// String replaces $name and ${name} in text with what value returns; where it
// returns false, and at $$, the text stays as it is.
func String(text string, value func(name string) (string, bool)) string {
	if !strings.Contains(text, "$") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if text[i] != '$' {
			b.WriteByte(text[i])
			i++
			continue
		}
		if strings.HasPrefix(text[i:], "$$") {
			b.WriteString("$$")
			i += 2
			continue
		}
		name, size := reference(text[i:])
		if name != "" {
			if v, ok := value(name); ok {
				b.WriteString(v)
				i += size
				continue
			}
		}
		b.WriteString(text[i : i+size])
		i += size
	}
	return b.String()
}

// reference reads $name or ${name} at the start of text; without a name it
// covers the dollar alone.
func reference(text string) (name string, size int) {
	rest := text[1:]
	if strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end > 1 && word(rest[1:end]) == end-1 {
			return rest[1:end], end + 2
		}
		return "", 1
	}
	n := word(rest)
	return rest[:n], n + 1
}

// word is the length of the variable name at the start of text.
func word(text string) int {
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', i > 0 && c >= '0' && c <= '9':
		default:
			return i
		}
	}
	return len(text)
}
