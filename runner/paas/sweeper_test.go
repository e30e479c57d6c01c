package paas

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// The forge's list of a runner's jobs is read until all are found; a job that is
// not in it has no status. Whoever may not ask is told what to do.
func TestJobStatuses(t *testing.T) {
	pages := 0
	c := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.URL.Path == "/api/v4/runners/verify":
			fmt.Fprint(w, `{"id":5}`)
		case r.Header.Get("Private-Token") != "reader":
			w.WriteHeader(http.StatusForbidden)
		case q.Get("page") == "1":
			pages++
			w.Header().Set("X-Next-Page", "2")
			fmt.Fprint(w, `[{"id":9,"status":"running"},{"id":8,"status":"success"}]`)
		default:
			pages++
			w.Header().Set("X-Next-Page", "3")
			fmt.Fprint(w, `[{"id":6,"status":"failed"},{"id":4,"status":"canceled"}]`)
		}
	})
	for _, x := range []struct {
		jobs  []int64
		want  string
		pages int
	}{
		{[]int64{8}, "map[8:success]", 1},
		{[]int64{9, 6}, "map[6:failed 9:running]", 2},
		{[]int64{7, 8}, "map[8:success]", 2}, // 7 was deleted, or cannot be seen
		{nil, "map[]", 0},
	} {
		pages = 0
		got, err := c.JobStatuses(t.Context(), secret.New("runner"), secret.New("reader"), x.jobs)
		if err != nil || fmt.Sprint(got) != x.want || pages != x.pages {
			t.Errorf("%v: %v, %v after %d pages", x.jobs, got, err, pages)
		}
	}
	for _, token := range []string{"other", ""} {
		if _, err := c.JobStatuses(t.Context(), secret.New("runner"), secret.New(token), []int64{1}); err == nil || !strings.Contains(fault.Remedy(err), "paas_job_trace_watch") {
			t.Errorf("%q: %v", token, err)
		}
	}
}
