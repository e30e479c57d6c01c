package hepta

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/heptaup/hepta/registry"
)

func TestRegistryAddress(t *testing.T) {
	for _, c := range []struct {
		text, url string
		plain     bool
	}{
		{"forge: hg.test\nregistry: reg.test\n", "https://reg.test", false},
		{"forge: hg.test\nregistry: reg.test\ntls: {mode: off}\n", "http://reg.test", true},
		{"forge: hg.test\nregistry: reg.test\ntraefik: {https_port: 8443}\n", "https://reg.test:8443", false},
		{"forge: hg.test\nregistry: {port: 5050}\ntls: {mode: off}\n", "http://hg.test:5050", true},
	} {
		s := stackOf(t, c.text)
		if got, err := s.registryURL(); err != nil || got != c.url || s.cfg.registryPlain() != c.plain {
			t.Errorf("%q: %s, plain %v, %v", c.text, got, s.cfg.registryPlain(), err)
		}
	}
}

// Without a registry every verb says how to get one.
func TestNoRegistry(t *testing.T) {
	s := stackOf(t, "forge: hg.test\n")
	ctx := t.Context()
	_, check := s.CheckRegistry(ctx, RegistryCheck{})
	_, list := s.ListRegistry(ctx, registry.ListOptions{})
	_, metadata := s.RegistryMetadata(ctx)
	_, pull := s.PullSecret(registry.PullSecret{})
	login := s.LoginRegistry(ctx, registry.Credentials{})
	collect := s.CollectRegistry(ctx, nil, registry.CollectOptions{})
	for name, err := range map[string]error{"check": check, "list": list, "metadata": metadata, "secret": pull, "login": login, "gc": collect} {
		if err == nil || !strings.Contains(err.Error(), "it has none") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A registry whose name nobody knows is asked where the Engine is, by its name.
func TestCheckRegistryWithoutName(t *testing.T) {
	var forge string
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.Host, "reg.invalid") && r.URL.Path == "/v2/":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+forge+`/jwt/auth",service="container_registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(r.Host, "hg.invalid") && r.URL.Path == "/jwt/auth":
			w.WriteHeader(http.StatusForbidden)
		default:
			http.NotFound(w, r)
		}
	}))
	defer front.Close()
	_, port, _ := net.SplitHostPort(front.Listener.Addr().String())
	s := stackOf(t, "forge: hg.invalid\nregistry: reg.invalid\ntls: {mode: off}\ndocker: tcp://127.0.0.1:1\ntraefik: {http_port: "+port+"}\n")
	forge = s.forge.URL()
	report, err := s.CheckRegistry(t.Context(), RegistryCheck{})
	if err != nil {
		t.Fatal(err)
	}
	var led []string
	for _, f := range report.Findings {
		if f.Check == "name resolves" {
			led = append(led, f.Saw)
		}
	}
	if !report.OK() || len(led) != 2 || !strings.Contains(strings.Join(led, " "), "reg.invalid was asked at 127.0.0.1:"+port) {
		t.Errorf("%+v", report.Findings)
	}
}

func TestPullSecretOfStack(t *testing.T) {
	creds := registry.Credentials{User: "alice", Password: NewSecret("x")}
	for text, want := range map[string]bool{"forge: hg.test\nregistry: reg.test\n": false, "forge: hg.test\nregistry: reg.test\ntls: {mode: off}\n": true} {
		got, err := stackOf(t, text).PullSecret(registry.PullSecret{Credentials: creds, Flux: &registry.Flux{Image: "g/p"}})
		if err != nil || !strings.Contains(string(got), "image: reg.test/g/p\n") || strings.Contains(string(got), "insecure: true") != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// The forge is asked where hepta.yaml says that the Engine is.
func TestForgeIsOnTheEngineOfTheFile(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
		http.NotFound(w, r)
	}))
	defer server.Close()
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	s := stackOf(t, "forge: hg.test\nregistry: reg.test\ndocker: tcp://"+server.Listener.Addr().String()+"\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := s.ListRegistry(ctx, registry.ListOptions{}); err == nil {
		t.Error("no error")
	}
	if len(asked) == 0 {
		t.Error("another Engine was asked")
	}
}
