package hepta

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
)

// bareEngine is a Docker Engine with nothing on it; it counts what it is asked.
type bareEngine struct {
	minAPI   string
	security []string // its Info's SecurityOptions

	mu    sync.Mutex
	asked map[string]int // "GET /version" → times
}

func (e *bareEngine) count(call string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[call]
}

// changes are the calls that are not for looking.
func (e *bareEngine) changes() (calls []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for call := range e.asked {
		if !strings.HasPrefix(call, "GET ") && !strings.HasPrefix(call, "HEAD ") {
			calls = append(calls, call)
		}
	}
	return calls
}

func (e *bareEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	e.mu.Lock()
	e.asked[r.Method+" "+path]++
	e.mu.Unlock()
	var answer any
	switch path {
	case "/containers/json", "/networks", "/images/json":
		answer = []string{}
	case "/volumes":
		answer = map[string]any{"Volumes": []string{}}
	case "/info":
		answer = map[string]any{"SecurityOptions": append([]string{"name=seccomp,profile=builtin"}, e.security...)}
	case "/version":
		answer = map[string]any{"Version": "29.0.0", "ApiVersion": "1.52", "MinAPIVersion": e.minAPI}
	default:
		http.Error(w, `{"message":"not here"}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// onBare connects a stack to a bare engine of that oldest API.
func onBare(t *testing.T, text, minAPI string) (*Stack, *bareEngine) {
	t.Helper()
	return onBareOf(t, stackOf(t, text), minAPI)
}

func onBareOf(t *testing.T, s *Stack, minAPI string) (*Stack, *bareEngine) {
	t.Helper()
	e := &bareEngine{minAPI: minAPI, asked: map[string]int{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	docker, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	s.opts.Docker = docker
	return s, e
}

// A proxy that the Engine cannot talk to is refused before anything is done.
func TestProxyThatDoesNotFitTheEngine(t *testing.T) {
	const old = "forge: hg.example.org\ntraefik: {image: traefik:v3.5}\n"
	for _, c := range []struct {
		name, text, minAPI string
		refused            bool
	}{
		{"new engine", old, "1.44", true},
		{"old engine", old, "1.24", false},
		{"default image", "forge: hg.example.org\n", "1.44", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, e := onBare(t, c.text, c.minAPI)
			_, err := s.Plan(t.Context())
			if refused := err != nil && strings.Contains(err.Error(), "wants 1.44 or newer"); refused != c.refused || !refused && err != nil {
				t.Errorf("plan: %v", err)
			}
			if n := e.count("GET /version"); n != 1 {
				t.Errorf("the Engine was asked %d times for its version", n)
			}
			if !c.refused {
				return
			}
			if _, err := s.Up(t.Context(), UpOptions{}); err == nil || !strings.Contains(err.Error(), "wants 1.44 or newer") {
				t.Errorf("up: %v", err)
			}
			if calls := e.changes(); len(calls) > 0 {
				t.Errorf("something was done before that: %v", calls)
			}
		})
	}
}

// With nothing to do the Engine is not even asked for its version.
func TestNothingToDoAsksForNoVersion(t *testing.T) {
	s, e := onBare(t, "forge: hg.example.org\n", "1.44")
	s.want = converge.Stack{Name: s.cfg.Stack}
	plan, err := s.Plan(t.Context())
	if err != nil || !plan.Empty() {
		t.Fatalf("got %v, %v", plan, err)
	}
	if text, err := json.Marshal(plan); err != nil || string(text) != `{"stack":"hepta","operations":[]}` {
		t.Errorf("programs read %s, %v", text, err)
	}
	if _, err := s.Up(t.Context(), UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := e.count("GET /version") + e.count("GET /info"); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// An Engine whose containers cannot use files of its host is refused before
// anything is done, for a forge and for runners alone.
func TestEngineThatKeepsFilesFromContainers(t *testing.T) {
	for _, text := range []string{"forge: hg.example.org\n", "forge: {url: https://hg.example.org}\nrunners: [{name: r, forge: {token_file: glrt.secret}}]\n"} {
		for option, want := range map[string]string{"name=userns": "userns-remap", "name=selinux": "selinux-enabled"} {
			cfg, err := Parse("", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.Runners) > 0 {
				cfg.Runners[0].Forge.Token = NewSecret("glrt-canary")
			}
			s, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			s, e := onBareOf(t, s, "1.44")
			e.security = []string{option}
			if _, err := s.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("plan on %s: %v", option, err)
			}
			if _, err := s.Up(t.Context(), UpOptions{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("up on %s: %v", option, err)
			}
			if calls := e.changes(); len(calls) > 0 {
				t.Errorf("something was done before that: %v", calls)
			}
		}
	}
}
