package paas

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/heptaup/hepta/internal/secret"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// thief is a server that nobody should be led to; it counts who was.
func thief(t *testing.T) (url string, visits *atomic.Int32) {
	t.Helper()
	visits = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(s.Close)
	return s.URL, visits
}

// Whatever a forge or a provider answers, the tokens of runners, jobs and
// organisations are sent to no other server: not in a header, not in a body.
func TestTokensGoToNoOtherServer(t *testing.T) {
	away, visits := thief(t)
	c := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, away, http.StatusTemporaryRedirect)
	})
	r := Record{Key: Key{"abcdefghi", 5}, Token: secret.New("job-token"), Failure: "why"}
	full, _ := load(t, "full.toml")
	k := *full.Runners[0].Clever
	k.API = c.URL
	p := &CleverCloud{Clever: k, Organisation: func(context.Context, string) (Organisation, error) {
		return Organisation{ID: "orga", Token: secret.New("orga-token")}, nil
	}}
	for name, call := range map[string]func() error{
		"poll": func() error {
			_, err := (&Poll{Coordinator: c, Token: secret.New("runner-token")}).Next(t.Context())
			return err
		},
		"heartbeat": func() error { _, err := c.Heartbeat(t.Context(), r, true); return err },
		"accept":    func() error { _, err := c.Accept(t.Context(), r); return err },
		"look":      func() error { _, err := c.Look(t.Context(), r); return err },
		"trace":     func() error { _, err := c.append(t.Context(), r, []byte("text")); return err },
		"started":   func() error { _, err := c.Started(t.Context(), r, 3, secret.New("watch")); return err },
		"live jobs": func() error {
			_, err := c.JobStatuses(t.Context(), secret.New("runner"), secret.New("reader"), []int64{1})
			return err
		},
		"organisation": func() error { _, err := c.Organisation(t.Context(), k, "group"); return err },
		"tenant":       func() error { _, err := c.Tenant(t.Context(), secret.New("attr"), Job{Project: 1}); return err },
		"register":     func() error { _, err := c.Register(t.Context(), "ci", secret.New("registration")); return err },
		"create":       func() error { _, err := p.Create(t.Context(), "", hostName, Flavor{Name: "M"}); return err },
		"delete":       func() error { return p.Delete(t.Context(), Host{ID: "app"}) },
	} {
		if err := call(); err == nil || Temporary(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := visits.Load(); n > 0 {
		t.Errorf("%d calls went to another server", n)
	}
}

// A repository that redirects a push elsewhere gets no push, and the other
// server neither job nor credentials.
func TestPushGoesToNoOtherServer(t *testing.T) {
	away, visits := thief(t)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, away+r.URL.Path, http.StatusFound)
	}))
	defer provider.Close()
	err := pushOnce(t.Context(), "", provider.URL+"/git/app_1.git", "Jenkins", secret.New(clevertest.Token), Files{"job.json": []byte("{}")})
	if err == nil || visits.Load() > 0 {
		t.Errorf("%v; %d visits", err, visits.Load())
	}
}
