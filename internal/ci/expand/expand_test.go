package expand

import (
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	in := []Variable{
		{Key: "HOST", Value: "first"},
		{Key: "URL", Value: "http://${HOST}/$PATH_PART"},
		{Key: "PATH_PART", Value: "p"},
		{Key: "PRICE", Value: "$$5 $UNDEFINED ${ALSO_UNDEFINED} $"},
		{Key: "RAW", Value: "$HOST", Raw: true},
		{Key: "USES_RAW", Value: "$RAW/$FILE/$HOST"},
		{Key: "FILE", Value: "secret $HOST", File: true},
		{Key: "A", Value: "a$B"}, {Key: "B", Value: "b$A"},
		{Key: "SELF", Value: "$SELF:x"},
		{Key: "TO_LOOP", Value: "<$A>"},
		{Key: "HOST", Value: "last"},
	}
	want := map[string]string{
		"HOST": "last", "URL": "http://last/p", "PRICE": "$$5 $UNDEFINED ${ALSO_UNDEFINED} $",
		"RAW": "$HOST", "USES_RAW": "$RAW/$FILE/last", "FILE": "secret $HOST",
		"A": "a$B", "B": "b$A", "SELF": "$SELF:x", "TO_LOOP": "<$A>", "PATH_PART": "p",
	}
	out := Resolve(in)
	if len(out) != len(want) {
		t.Errorf("%d variables, want %d", len(out), len(want))
	}
	for _, v := range out {
		if v.Value != want[v.Key] {
			t.Errorf("%s = %q, want %q", v.Key, v.Value, want[v.Key])
		}
	}
}

func TestResolveStaysBounded(t *testing.T) {
	var in []Variable
	for c := 'A'; c < 'Z'; c++ {
		next := "$" + string(c+1)
		in = append(in, Variable{Key: string(c), Value: strings.Repeat(next, 8)})
	}
	in = append(in, Variable{Key: "Z", Value: "zzzzzzzz"})
	for _, v := range Resolve(in) {
		if len(v.Value) > limit {
			t.Fatalf("%s grew to %d bytes", v.Key, len(v.Value))
		}
	}
}

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{
		"branch/Default": "branch-default", "-x_y-": "x-y", "Größe": "gr--e", "": "",
		strings.Repeat("a", 70): strings.Repeat("a", 63), strings.Repeat("a", 62) + "-b": strings.Repeat("a", 62),
	} {
		if got := Slug(in); got != want {
			t.Errorf("Slug(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("$B", "$A", "${C}", "$$C")
	f.Add("${", "$", "${}", "$1")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		out := Resolve([]Variable{{Key: "A", Value: a}, {Key: "B", Value: b}, {Key: "C", Value: c}, {Key: "D", Value: d}})
		if len(out) != 4 {
			t.Fatalf("%d variables", len(out))
		}
	})
}
