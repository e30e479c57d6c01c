package converge

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

// Another data directory begins an empty forge: that is refused as soon as it
// can be seen, unless the data were moved or somebody agrees.
func TestNewDataIsRefused(t *testing.T) {
	const mark = "forge/database"
	for name, c := range map[string]struct {
		seen   *ObservedFile // nil: nothing shows it
		change func(*Stack, *hostModel)
		err    error
		note   string
	}{
		"empty":           {&ObservedFile{}, nil, ErrNewData, ""},
		"moved along":     {&ObservedFile{Exists: true}, nil, nil, ""},
		"not seen yet":    {nil, nil, nil, "up refuses to begin anew when /data does not hold"},
		"agreed to":       {&ObservedFile{}, func(s *Stack, _ *hostModel) { s.Allow.NewData = true }, nil, ""},
		"never run":       {&ObservedFile{}, func(_ *Stack, w *hostModel) { w.find("hepta-heptapod").State = "created" }, nil, ""},
		"nothing to lose": {&ObservedFile{}, func(s *Stack, _ *hostModel) { s.Marks = nil }, nil, ""},
	} {
		s, w := testStack(), newHostModel()
		s.Marks = []string{mark}
		if err := w.up(s); err != nil {
			t.Fatal(err)
		}
		s.Data = "/data"
		if c.change != nil {
			c.change(s, w)
		}
		o := w.observe(s)
		if c.seen != nil {
			o.Files[mark] = *c.seen
		}
		p, err := Up(s, o)
		if !errors.Is(err, c.err) || err != nil && (c.err == nil || !strings.Contains(fault.Describe(err), "data: /srv/hepta in hepta.yaml")) {
			t.Errorf("%s: %v", name, err)
		}
		if noted := err == nil && slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "refuses to begin anew") }); noted != (c.note != "") {
			t.Errorf("%s: the plan notes %q", name, p.Notes)
		}
	}
}
