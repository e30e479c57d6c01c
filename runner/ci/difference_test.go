package ci

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Without its lines with + the difference is what only the old text has, and
// the other way round; what they have in common can be told from both.
func TestDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 8)
		old, new := lines.Draw(t, "old"), lines.Draw(t, "new")
		text := difference(strings.Join(old, "\n")+"\n", strings.Join(new, "\n"))
		var gone, come []string
		if text != "" {
			for _, line := range strings.Split(text, "\n") {
				if rest, ok := strings.CutPrefix(line, "- "); ok {
					gone = append(gone, rest)
				} else {
					come = append(come, strings.TrimPrefix(line, "+ "))
				}
			}
		}
		if slices.Equal(old, new) != (text == "") {
			t.Fatalf("%q and %q differ by %q", old, new, text)
		}
		if len(old)-len(gone) != len(new)-len(come) || !within(gone, old) || !within(come, new) {
			t.Fatalf("%q and %q differ by %q", old, new, text)
		}
	})
}

// within reports whether list can be had from all by leaving lines out.
func within(list, all []string) bool {
	for _, x := range list {
		i := slices.Index(all, x)
		if i < 0 {
			return false
		}
		all = all[i+1:]
	}
	return true
}

// A long difference is cut.
func TestDifferenceIsShort(t *testing.T) {
	text := difference(strings.Repeat("a\n", 100), strings.Repeat("b\n", 100))
	if n := strings.Count(text, "\n"); n != shown || !strings.HasSuffix(text, "… and 160 lines more") {
		t.Errorf("%d lines:\n%s", n, text)
	}
}
