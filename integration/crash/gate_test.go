package crash

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// gate stands before the forge and the cloud, and stops the program at one call.
type gate struct {
	mu     sync.Mutex
	call   string
	served bool          // it takes effect, and the answer does not get through
	hit    chan struct{} // closed when the call has come
	over   chan struct{} // closed when the program is dead
	calls  []string
}

func newGate() *gate { return &gate{} }

// arm lets the gate stop the next call of that name.
func (g *gate) arm(call string, served bool) (hit chan struct{}, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.call, g.served, g.hit, g.over, g.calls = call, served, make(chan struct{}), make(chan struct{}), nil
	return g.hit, sync.OnceFunc(func() { close(g.over) })
}

// met are the calls since arm.
func (g *gate) met() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.calls...)
}

// pass serves a call, or stops it.
func (g *gate) pass(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	name := nameOf(r)
	answer := httptest.NewRecorder()
	asking := name == "request"
	if asking { // only one that gets a job counts
		if serve(answer, r); answer.Code == http.StatusCreated {
			name = "request a job"
		}
	}
	g.mu.Lock()
	stop := name == g.call && g.hit != nil
	hit, over := g.hit, g.over
	if stop {
		g.hit = nil
	}
	g.calls = append(g.calls, name)
	served := g.served
	g.mu.Unlock()
	if !asking && (!stop || served) {
		serve(answer, r)
	}
	if stop {
		close(hit)
		<-over
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

var digits = regexp.MustCompile(`/(app_)?[0-9]+\b`)

// nameOf is what a call does.
func nameOf(r *http.Request) string {
	path := digits.ReplaceAllString(r.URL.Path, "")
	switch {
	case strings.HasSuffix(path, "/jobs/request"):
		return "request"
	case strings.HasSuffix(path, "/trace"):
		return "write trace"
	case strings.HasSuffix(path, "/api/v4/jobs"):
		data, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(data))
		var in struct{ State string }
		_ = json.Unmarshal(data, &in)
		return "say " + in.State
	case strings.HasSuffix(path, "/api/v4/job"):
		return "look"
	case strings.HasSuffix(path, "git-receive-pack"):
		return "push"
	case strings.HasPrefix(path, "/git/"):
		return "ask git"
	case strings.HasSuffix(path, "/deployments"):
		return "deployment"
	case strings.HasSuffix(path, "/env"):
		return "set environment"
	case strings.HasSuffix(path, "/applications") && r.Method == http.MethodPost:
		return "create"
	case strings.HasSuffix(path, "/applications") && r.Method == http.MethodDelete:
		return "delete"
	case strings.HasSuffix(path, "/applications") && digits.MatchString(r.URL.Path):
		return "wait for repository"
	}
	return "read " + path
}

// twoPhases makes a forge wait until jobs are accepted.
type twoPhases struct {
	mu      sync.Mutex
	on      bool
	waiting map[string]bool // by job token
}

// coordinator is the way to the forge through the gate.
func (g *gate) coordinator(t *testing.T, forge string, two *twoPhases) string {
	t.Helper()
	to, err := url.Parse(forge)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.pass(w, r, func(w http.ResponseWriter, r *http.Request) { two.serve(w, r, proxy) })
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (p *twoPhases) serve(w http.ResponseWriter, r *http.Request, forge http.Handler) {
	name, token := nameOf(r), r.Header.Get("Job-Token")
	p.mu.Lock()
	waits := p.waiting[token]
	switch {
	case waits && name == "say running":
		delete(p.waiting, token)
	case waits && (name == "say failed" || name == "write trace"):
		p.mu.Unlock()
		http.Error(w, `{"message":"the job waits to be accepted"}`, http.StatusBadRequest)
		return
	}
	p.mu.Unlock()
	if name == "look" && waits {
		_, _ = io.WriteString(w, `{"status":"pending"}`)
		return
	}
	forge.ServeHTTP(w, r)
	if rec, ok := w.(*httptest.ResponseRecorder); ok && name == "request" && rec.Code == http.StatusCreated {
		var job struct{ Token string }
		_ = json.Unmarshal(rec.Body.Bytes(), &job)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.on {
			p.waiting[job.Token] = true
		}
	}
	if rec, ok := w.(*httptest.ResponseRecorder); ok && waits && name == "say pending" {
		rec.Header().Del("Job-Status")
	}
}
