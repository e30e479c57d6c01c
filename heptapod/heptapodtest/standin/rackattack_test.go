package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// An address that fails to log in too often is refused for a while, and
// nobody else is.
func TestRackAttack(t *testing.T) {
	s := parsed(t, `{"external_url": "https://hg.test", "gitlab_rails": {"rack_attack_git_basic_auth":
		{"enabled": true, "ip_whitelist": ["127.0.0.1", "10.1.0.0/16"], "maxretry": 3, "findtime": 60, "bantime": 600}}}`)
	now := time.Now()
	limit := newLoginLimit(rackAttackOf(s))
	limit.now = func() time.Time { return now }
	forge := limit.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, basic := r.BasicAuth(); basic && password != "right" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	ask := func(address, user, password string) int {
		r := httptest.NewRequest(http.MethodGet, "/group/project.git/info/refs", nil)
		r.Header.Set("X-Forwarded-For", address)
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		w := httptest.NewRecorder()
		forge.ServeHTTP(w, r)
		return w.Code
	}
	for i, c := range []struct {
		address, user, password string
		after                   time.Duration
		want                    int
	}{
		{"192.0.2.1", "x", "wrong", 0, 401},
		{"192.0.2.1", "x", "wrong", 0, 401},
		{"192.0.2.1", "x", "right", 0, 200}, // which forgets the two
		{"192.0.2.1", "x", "wrong", 0, 401},
		{"192.0.2.1", "x", "wrong", 61 * time.Second, 401}, // the one before is too old
		{"192.0.2.1", "x", "wrong", 0, 401},
		{"192.0.2.1", "gitlab-ci-token", "wrong", 0, 401}, // is not counted
		{"192.0.2.1", "x", "wrong", 0, 401},
		{"192.0.2.1", "x", "right", 0, 403},
		{"192.0.2.1", "", "", 0, 403},
		{"192.0.2.2", "x", "right", 0, 200},
		{"192.0.2.1", "", "", 601 * time.Second, 200},
		{"10.1.2.3", "x", "wrong", 0, 401},
		{"10.1.2.3", "x", "wrong", 0, 401},
		{"10.1.2.3", "x", "wrong", 0, 401},
		{"10.1.2.3", "x", "right", 0, 200},
	} {
		now = now.Add(c.after)
		if got := ask(c.address, c.user, c.password); got != c.want {
			t.Errorf("request %d: %d, want %d", i, got, c.want)
		}
	}
	if r := rackAttackOf(parsed(t, `{"external_url": "https://hg.test"}`)); r.enabled || r.maxRetry != 10 || r.findTime != 60 || r.banTime != 3600 {
		t.Errorf("without settings: %+v", r)
	}
}
