package traefik

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// bareEngine is an Engine of API 1.45 with nothing on it that must not be
// changed. It gives the paths that were asked for.
func bareEngine(t *testing.T, minAPI string) (*client.Client, func() string) {
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, path, _ := strings.Cut(r.URL.Path, "/v1.45")
		mu.Lock()
		asked = append(asked, path)
		mu.Unlock()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		switch path {
		case "/info":
			io.WriteString(w, `{"SecurityOptions":["name=seccomp,profile=builtin"]}`)
		case "/version":
			io.WriteString(w, `{"ApiVersion":"1.45","MinAPIVersion":"`+minAPI+`"}`)
		case "/volumes":
			io.WriteString(w, `{"Volumes":[]}`)
		case "/containers/json", "/networks", "/images/json":
			io.WriteString(w, `[]`)
		default:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"message":"no such thing"}`)
		}
	}))
	t.Cleanup(server.Close)
	docker, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.45"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	return docker, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(asked, " ")
	}
}

func TestPlanOnAnEngine(t *testing.T) {
	docker, _ := bareEngine(t, "1.24")
	p, err := New(Config{TLS: TLS{Mode: TLSOff}}, WithDocker(docker))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text := plan.String(); !strings.Contains(text, "create container hepta-traefik: not there") {
		t.Errorf("got\n%s", text)
	}
	if plan, err = p.Down(t.Context()); err != nil || !plan.Empty() {
		t.Errorf("down of nothing: %v, %v", plan, err)
	}
}

func TestUpRefusesAnImageThatTheEngineDoesNotServe(t *testing.T) {
	docker, asked := bareEngine(t, "1.44")
	p, err := New(Config{TLS: TLS{Mode: TLSOff}, Image: "traefik:v3.5.2"}, WithDocker(docker))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.Up(t.Context()); err == nil || !strings.Contains(fault.Describe(err), DefaultImage) {
		t.Errorf("got %v", err)
	}
	if got := asked(); !strings.HasSuffix(got, " /info /version") { // and nothing is touched: see bareEngine
		t.Errorf("asked for %s", got)
	}
	if _, err := p.Down(t.Context()); err != nil {
		t.Errorf("it cannot even be taken down: %v", err)
	}
}

// The proxy alone never takes the other services of a stack for ones that are
// no longer wanted.
func TestTheProxyAloneLeavesALargerStackAlone(t *testing.T) {
	p, err := New(Config{Stack: "lab", TLS: TLS{Mode: TLSOff}})
	if err != nil {
		t.Fatal(err)
	}
	s := p.resources()
	company := &converge.Observed{Containers: []converge.ObservedContainer{{Name: "lab-heptapod", Service: "heptapod", State: "running"}}}
	_, up := converge.Up(&s, company)
	_, down := converge.Down(&s, company, converge.DownOptions{})
	for _, err := range []error{up, down} {
		if !errors.Is(err, converge.ErrOrphans) || !strings.Contains(err.Error(), "lab-heptapod") {
			t.Errorf("got %v", err)
		}
	}
}
