package paas

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// All pages and all states count, and whoever may not ask is told what to do.
func TestLiveJobs(t *testing.T) {
	old := false
	c := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.URL.Path == "/api/v4/runners/verify":
			fmt.Fprint(w, `{"id":5}`)
		case r.Header.Get("Private-Token") != "reader":
			w.WriteHeader(http.StatusForbidden)
		case q.Get("status") == "running" && q.Get("page") == "1":
			w.Header().Set("X-Next-Page", "2")
			fmt.Fprint(w, `[{"id":1},{"id":2}]`)
		case q.Get("status") == "running":
			fmt.Fprint(w, `[{"id":3}]`)
		case q.Get("status") == "canceling" && old:
			w.WriteHeader(http.StatusBadRequest)
		case q.Get("status") == "canceling":
			fmt.Fprint(w, `[{"id":4}]`)
		default:
			fmt.Fprint(w, `[]`)
		}
	})
	for _, old = range []bool{false, true} {
		live, err := c.LiveJobs(t.Context(), secret.New("runner"), secret.New("reader"))
		if err != nil || !live[1] || !live[2] || !live[3] || live[4] == old || live[5] {
			t.Errorf("old %v: %v, %v", old, live, err)
		}
	}
	for _, token := range []string{"other", ""} {
		if _, err := c.LiveJobs(t.Context(), secret.New("runner"), secret.New(token)); err == nil || !strings.Contains(fault.Remedy(err), "paas_job_trace_watch") {
			t.Errorf("%q: %v", token, err)
		}
	}
}
