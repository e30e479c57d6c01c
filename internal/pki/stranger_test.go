package pki

import (
	"testing"
	"time"
)

func TestStranger(t *testing.T) {
	a, err := New("one", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := New("another", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Issue([]string{"a.b"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		chain, further []byte
		known          bool
	}{
		"nobody's":    {chain: leaf},
		"another's":   {chain: leaf, further: b.Root()},
		"its own":     {chain: leaf, further: a.Root(), known: true},
		"among two":   {chain: leaf, further: append(b.Root(), a.Root()...), known: true},
		"self-signed": {chain: a.Root()},
		"no PEM":      {chain: []byte("x"), known: true},
	} {
		if got := Stranger(c.chain, c.further); (got == "") != c.known {
			t.Errorf("%s: %q", name, got)
		}
	}
}
