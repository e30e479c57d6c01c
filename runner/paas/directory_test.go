package paas

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Organisations are remembered for a minute, and longer while the forge is
// down; what the forge says counts as soon as it speaks.
func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		answer, trouble := Organisation{ID: "first"}, error(nil)
		d := &directory{find: func(context.Context, string) (Organisation, error) { asked++; return answer, trouble }}
		want := func(id string, calls int) {
			t.Helper()
			if o, err := d.of(t.Context(), "a"); err != nil || o.ID != id || asked != calls {
				t.Errorf("%s, %v, asked %d times; want %s, %d", o.ID, err, asked, id, calls)
			}
		}
		want("first", 1)
		answer.ID = "second"
		want("first", 1)
		time.Sleep(organisationKept)
		want("second", 2)
		time.Sleep(organisationKept)
		trouble = &StatusError{Status: 502}
		want("second", 3)
		trouble = errors.New("it has no custom attribute")
		if _, err := d.of(t.Context(), "a"); err == nil {
			t.Error("an organisation that was taken away is still used")
		}
		if _, err := d.of(t.Context(), "b"); err == nil {
			t.Error("no error for one that was never known")
		}
	})
}
