package main

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// rackAttack are the settings of gitlab_rails['rack_attack_git_basic_auth'].
type rackAttack struct {
	enabled                     bool
	whitelist                   string // addresses, comma-separated
	maxRetry, findTime, banTime int    // times in seconds
}

// rackAttackOf fills in what gitlab.rb.template says for what is left out.
func rackAttackOf(s settings) rackAttack {
	at := func(key string) []string { return []string{"gitlab_rails", "rack_attack_git_basic_auth", key} }
	r := rackAttack{
		enabled: s.truth(false, at("enabled")...), whitelist: "127.0.0.1",
		maxRetry: s.number(10, at("maxretry")...), findTime: s.number(60, at("findtime")...), banTime: s.number(3600, at("bantime")...),
	}
	if list := s.list(at("ip_whitelist")...); len(list) > 0 {
		r.whitelist = strings.Join(list, ",")
	}
	return r
}

// loginLimit locks out addresses that fail to log in with a password or token
// over Git, Mercurial or to the registry: lib/gitlab/auth/ip_rate_limiter.rb
// counts by Rack::Attack::Allow2Ban, and config/initializers/
// rack_attack_git_basic_auth.rb answers everything from such an address with 403.
type loginLimit struct {
	rackAttack
	trusted []*net.IPNet
	now     func() time.Time

	mu       sync.Mutex
	attempts map[string]attempts
}

type attempts struct {
	failed int
	since  time.Time // of the first failure that counts
	banned time.Time // until then
}

func newLoginLimit(r rackAttack) *loginLimit {
	return &loginLimit{rackAttack: r, trusted: networks(strings.Split(r.whitelist, ",")), now: time.Now, attempts: map[string]attempts{}}
}

func (l *loginLimit) around(next http.Handler) http.Handler {
	if !l.enabled {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := r.Header.Get("X-Forwarded-For")
		if address == "" || within(l.trusted, net.ParseIP(address)) {
			next.ServeHTTP(w, r)
			return
		}
		if l.isBanned(address) {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		user, _, basic := r.BasicAuth()
		// The tokens of jobs are not counted.
		if !basic || user == "gitlab-ci-token" || strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		l.count(address, seen.status == http.StatusUnauthorized)
	})
}

func (l *loginLimit) isBanned(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(l.attempts[address].banned)
}

// count notes a login; one that succeeds clears the failures before.
func (l *loginLimit) count(address string, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !failed {
		delete(l.attempts, address)
		return
	}
	a, now := l.attempts[address], l.now()
	if now.Sub(a.since) > time.Duration(l.findTime)*time.Second {
		a = attempts{since: now}
	}
	if a.failed++; a.failed >= l.maxRetry {
		a = attempts{banned: now.Add(time.Duration(l.banTime) * time.Second)}
	}
	l.attempts[address] = a
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
