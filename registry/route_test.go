package registry

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRoute: names that do not resolve lead to the machine, with the name in
// TLS and in the Host header; names that do are left alone.
func TestRoute(t *testing.T) {
	var hosts, names []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		hosts, names = append(hosts, r.Host), append(names, r.TLS.ServerName)
	}))
	server.Config.ErrorLog = quiet
	server.StartTLS() // its certificate is for example.com
	defer server.Close()
	machine, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	nobody := func(_ context.Context, name string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	r := &Route{
		Names: []string{"example.com"}, Machine: machine, Ports: map[string]string{"443": port}, Lookup: nobody,
		Authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	client, err := r.Client()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"https://example.com/v2/", "https://EXAMPLE.com:" + port + "/v2/"} {
		resp, err := client.Get(address)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		resp.Body.Close()
	}
	if len(hosts) != 2 || hosts[0] != "example.com" || names[0] != "example.com" {
		t.Errorf("hosts %q, names %q", hosts, names)
	}
	if got, want := r.Led("Example.com"), net.JoinHostPort(machine, port); got != want {
		t.Errorf("led to %q, want %q", got, want)
	}
	if got := r.Led("other.example.com"); got != "" {
		t.Errorf("another name is led to %q", got)
	}
}

func TestRouteLeavesNamesAlone(t *testing.T) {
	asked := false
	for _, c := range []struct {
		name  string
		route *Route
	}{
		{"resolves", &Route{Names: []string{"x.test"}, Machine: "10.0.0.1", Lookup: func(context.Context, string) ([]string, error) { asked = true; return []string{"10.9.9.9"}, nil }}},
		{"fails otherwise", &Route{Names: []string{"x.test"}, Machine: "10.0.0.1", Lookup: func(context.Context, string) ([]string, error) { return nil, errors.New("boom") }}},
		{"not ours", &Route{Names: []string{"y.test"}, Machine: "10.0.0.1"}},
		{"no machine", &Route{Names: []string{"x.test"}}},
	} {
		if got, err := c.route.leads(t.Context(), "x.test:443"); err != nil || got != "x.test:443" || c.route.Led("x.test") != "" {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
	}
	if !asked {
		t.Error("nobody looked the name up")
	}
	if _, err := (&Route{Authority: []byte("x")}).Client(); err == nil {
		t.Error("an authority that is none is taken")
	}
}

// Where nobody listens on the machine either, the finding says both.
func TestProbeOverRoute(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	r := &Route{Names: []string{"registry.test"}, Machine: "127.0.0.1", Ports: map[string]string{"443": port}, Lookup: func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}}
	client, err := r.Client()
	if err != nil {
		t.Fatal(err)
	}
	report, err := Probe(t.Context(), client, "https://registry.test")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, report, []string{"- registry answers: does not resolve here, and on the Engine's host"})
	if !strings.Contains(report.Findings[0].Saw, "refused") {
		t.Errorf("saw %s", report.Findings[0].Saw)
	}
}
