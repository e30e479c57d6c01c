package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/render"
)

// What removes services that nothing describes asks on a terminal, and does
// nothing elsewhere unless a flag says so.
func TestOrphansAreRemovedByAgreement(t *testing.T) {
	flags := []cli.Flag{removeOrphansFlag()}
	refused := &fault.Error{Why: "it has services that are not described: hepta-runner would be removed", Err: hepta.ErrOrphans}
	for name, c := range map[string]struct {
		args  []string
		typed string // "": there is nobody
		want  []bool // with what it was done
		done  bool
	}{
		"yes":       {nil, "yes\n", []bool{false, true}, true},
		"no":        {nil, "no\n", []bool{false}, false},
		"nobody":    {nil, "", []bool{false}, false},
		"by a flag": {[]string{"--remove-orphans"}, "", []bool{true}, true},
	} {
		term, said := terminal{in: strings.NewReader("yes\n"), err: io.Discard}, func() string { return "" }
		if c.typed != "" {
			term, said = typed(t, c.typed)
		}
		var got []bool
		err := withOrphans(with(t, flags, c.args...), term, &session{progress: render.New(render.Quiet, io.Discard, render.Options{})}, func(remove bool) error {
			got = append(got, remove)
			if !remove {
				return refused
			}
			return nil
		})
		if (err == nil) != c.done || !slices.Equal(got, c.want) {
			t.Errorf("%s: done with %v, %v", name, got, err)
		}
		if c.typed == "" && !c.done && !errors.Is(err, hepta.ErrOrphans) {
			t.Errorf("%s: %v", name, err)
		}
		if text := said(); c.typed != "" && !strings.Contains(text, "hepta-runner would be removed") {
			t.Errorf("%s: it is asked %q", name, text)
		}
	}
}
