package clevertest_test

import (
	"testing"

	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// A Clever Cloud for a test, and the question whether any application was left
// alive at its end.
func ExampleNew() {
	_ = func(t *testing.T) {
		cloud := clevertest.New(t)
		// Now let something make applications at cloud.URL + "/v2".
		for _, left := range cloud.Alive() {
			t.Errorf("application %s is left", left.Name)
		}
	}
}
