package ci

import (
	"regexp"
	"strings"
)

var reference = regexp.MustCompile(`\$\$|\$[A-Za-z_][A-Za-z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// maskedIn is the first masked variable that a text refers to.
func (e *Event) maskedIn(text string) string {
	for _, ref := range reference.FindAllString(text, -1) {
		if name := strings.Trim(ref, "${}"); e.Masked != nil && e.Masked(name) {
			return name
		}
	}
	return ""
}

const maxExpanded = 1 << 20

// Expand replaces $NAME and ${NAME} by what get knows, as the forge does it
// before a runner sees a text: unknown names stay as they are, and $$ stays, to
// keep what follows from a later expansion. What would add more than 1 MiB
// stays as well.
func Expand(text string, get func(name string) (string, bool)) string {
	if !strings.Contains(text, "$") {
		return text
	}
	grown := 0
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$$" {
			return ref
		}
		if v, ok := get(strings.Trim(ref, "${}")); ok && grown+len(v) <= maxExpanded {
			grown += len(v)
			return v
		}
		return ref
	})
}

var fullReference = regexp.MustCompile(`\$\$|\$[A-Za-z_][A-Za-z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\}|%[A-Za-z_][A-Za-z0-9_]*%`)

// ExpandFully is Expand for what the forge itself uses: unknown names become
// empty, and %NAME% is expanded, too.
func ExpandFully(text string, get func(name string) (string, bool)) string {
	grown := 0
	return fullReference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$$" {
			return ref
		}
		v, _ := get(strings.Trim(ref, "${}%"))
		if grown+len(v) > maxExpanded {
			return ref
		}
		grown += len(v)
		return v
	})
}

// ExpandAll expands variables in the values of variables. Those that are Raw,
// and those that in the end would hold themselves, stay as they are. A later
// variable of the same name covers the earlier one.
func ExpandAll(list []Variable) []Variable {
	last := map[string]int{}
	for i, v := range list {
		last[v.Key] = i
	}
	out := make([]Variable, len(list))
	state := make([]int, len(list)) // 0 new, 1 open, 2 done, 3 in a loop
	total := 0
	var visit func(i int) bool
	visit = func(i int) bool {
		switch state[i] {
		case 1, 3:
			return false
		case 2:
			return true
		}
		state[i] = 1
		out[i] = list[i]
		ok := true
		if !list[i].Raw {
			value := Expand(list[i].Value, func(name string) (string, bool) {
				j, known := last[name]
				if !known {
					return "", false
				}
				if !visit(j) {
					ok = false
					return "", false
				}
				return out[j].Value, true
			})
			if ok && total+len(value) < maxExpanded {
				total += len(value)
				out[i].Value = value
			}
		}
		state[i] = 2
		if !ok {
			state[i] = 3
		}
		return ok
	}
	for i := range list {
		visit(i)
	}
	return out
}
