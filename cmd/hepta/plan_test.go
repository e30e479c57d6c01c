package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bareEngine is the address of an Engine with nothing on it. A call that would
// change something fails the test.
func bareEngine(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Errorf("plan calls %s %s", r.Method, r.URL.Path)
		}
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		switch path := strings.TrimPrefix(r.URL.Path, "/v1.41"); path {
		case "/_ping":
		case "/info":
			fmt.Fprint(w, `{"SecurityOptions":["name=seccomp,profile=builtin"]}`)
		case "/version":
			fmt.Fprint(w, `{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}`)
		case "/containers/json", "/networks", "/images/json":
			fmt.Fprint(w, `[]`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return "tcp://" + server.Listener.Addr().String()
}

// On a bare host plan ends with 2, and its JSON is one object in which every
// operation says why.
func TestPlanOnABareHost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hepta.yaml")
	if err := os.WriteFile(file, []byte("forge: hg.example.org\nrunners: [{name: dind, tags: [docker]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := bareEngine(t)
	code, out, errs := invoke("--host", host, "--file", file, "plan")
	if code != exitChanges || errs != "" || !strings.Contains(out, "+ create heptapod: not there") || !strings.Contains(out, "'hepta up'") {
		t.Errorf("exit code %d, %s\n%s", code, errs, out)
	}
	code, out, errs = invoke("--host", host, "--file", file, "plan", "--json")
	if code != exitChanges || errs != "" {
		t.Errorf("exit code %d, %s", code, errs)
	}
	var plan struct {
		Stack      string
		Operations []struct {
			ID       int
			Kind     string
			Resource string
			Cause    string
			After    []int
		}
	}
	dec := json.NewDecoder(strings.NewReader(out))
	if err := dec.Decode(&plan); err != nil || dec.More() {
		t.Fatalf("no single object: %v\n%s", err, out)
	}
	if plan.Stack != "hepta" || len(plan.Operations) < 10 {
		t.Errorf("got %s", out)
	}
	for i, op := range plan.Operations {
		if op.ID != i+1 || op.Kind == "" || op.Resource == "" || op.Cause == "" {
			t.Errorf("operation %d: %+v", i, op)
		}
		for _, a := range op.After {
			if a >= op.ID {
				t.Errorf("operation %d waits for %d", op.ID, a)
			}
		}
	}
}
