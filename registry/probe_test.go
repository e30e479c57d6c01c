package registry

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
)

var quiet = log.New(io.Discard, "", 0)

func TestProbe(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*hub)
		opts  func(*hub) []ProbeOption
		want  []string // "+ check" or "- check: part of what was seen or follows"
	}{
		{"good", func(*hub) {}, func(h *hub) []ProbeOption { return []ProbeOption{ForForge(h.URL)} },
			[]string{"+ registry answers", "+ registry asks for a token", "+ tokens are had over https", "+ tokens come from the forge", "+ forge issues tokens"}},
		{"open", func(h *hub) { h.root = says(200, "{}") }, nil, []string{"- registry answers: without logging in"}},
		{"no route in the proxy", func(h *hub) { h.root = says(404, "404 page not found\n") }, nil, []string{"- registry answers: no route to that name"}},
		{"no registry", func(h *hub) { h.root = says(404, "<html>") }, nil, []string{"- registry answers: is not a registry"}},
		{"forge boots", func(h *hub) { h.root = says(502, "Bad Gateway") }, nil, []string{"- registry answers: does not answer yet"}},
		{"no server", func(h *hub) { h.root = says(503, "") }, nil, []string{"- registry answers: does not answer yet"}},
		{"wrong network", func(h *hub) { h.root = says(504, "") }, nil, []string{"- registry answers: on a network"}},
		{"broken", func(h *hub) { h.root = says(500, "") }, nil, []string{"- registry answers: expects 401"}},
		{"redirects", func(h *hub) { h.root = redirects("https://elsewhere.example.org/v2/") }, nil, []string{"- registry answers: https://elsewhere.example.org/v2/"}},
		{"no challenge", func(h *hub) { h.challenge = "" }, nil, []string{"+ registry answers", "- registry asks for a token: there is no Bearer challenge"}},
		{"basic only", func(h *hub) { h.challenge = `Basic realm="x"` }, nil, []string{"+ registry answers", "- registry asks for a token: there is no Bearer challenge"}},
		{"garbled challenge", func(h *hub) { h.challenge = `Bearer realm="x` }, nil, []string{"+ registry answers", "- registry asks for a token: malformed"}},
		{"no realm", func(h *hub) { h.challenge = `Bearer service="x"` }, nil, []string{"+ registry answers", "- registry asks for a token: names no realm"}},
		{"http realm", func(h *hub) { h.challenge = strings.Replace(h.challenge, "%s", "http://127.0.0.1:1", 1) }, nil,
			[]string{"+ registry answers", "+ registry asks for a token", "- tokens are had over https: in the clear", "- forge issues tokens: refused"}},
		{"another forge", func(*hub) {}, func(*hub) []ProbeOption { return []ProbeOption{ForForge("https://hg.example.org")} },
			[]string{"+ registry answers", "+ registry asks for a token", "+ tokens are had over https", "- tokens come from the forge: instead of hg.example.org", "+ forge issues tokens"}},
		{"registry off in the forge", func(h *hub) { h.realm = says(404, "") }, nil,
			[]string{"+ registry answers", "+ registry asks for a token", "+ tokens are had over https", "- forge issues tokens: does not know the registry"}},
		{"forge fails", func(h *hub) { h.realm = says(500, "") }, nil,
			[]string{"+ registry answers", "+ registry asks for a token", "+ tokens are had over https", "- forge issues tokens: not ready"}},
		{"forge redirects", func(h *hub) { h.realm = redirects("/users/sign_in") }, nil,
			[]string{"+ registry answers", "+ registry asks for a token", "+ tokens are had over https", "- forge issues tokens: /users/sign_in"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, true)
			c.spoil(h)
			var opts []ProbeOption
			if c.opts != nil {
				opts = c.opts(h)
			}
			report, err := Probe(t.Context(), h.Client(), h.URL, opts...)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, report, c.want)
		})
	}
}

func compare(t *testing.T, report *Report, want []string) {
	t.Helper()
	ok := true
	for i, f := range report.Findings {
		mark := "+ "
		if !f.OK {
			mark, ok = "- ", false
			if f.Means == "" || f.Remedy == "" {
				t.Errorf("%s: no meaning or no remedy", f.Check)
			}
		}
		if i >= len(want) {
			t.Errorf("too much: %+v", f)
			continue
		}
		line, part, _ := strings.Cut(want[i], ": ")
		if line != mark+f.Check || !strings.Contains(f.Saw+" "+f.Means, part) {
			t.Errorf("got %s%s: %s: %s\nwant %s", mark, f.Check, f.Saw, f.Means, want[i])
		}
	}
	if len(report.Findings) < len(want) {
		t.Errorf("missing: %q", want[len(report.Findings):])
	}
	if report.OK() != ok {
		t.Errorf("OK is %v", report.OK())
	}
}

func TestProbeWithoutTLS(t *testing.T) {
	h := newHub(t, false)
	report, err := Probe(t.Context(), nil, h.host())
	if err != nil {
		t.Fatal(err)
	}
	compare(t, report, []string{"+ registry answers", "+ registry asks for a token", "+ tokens are had over https", "+ forge issues tokens"})
	if report.Realm != h.URL+"/jwt/auth" || report.Service != "container_registry" {
		t.Errorf("got %+v", report)
	}
}

func TestProbeUnreachable(t *testing.T) {
	plain, secure := newHub(t, false), newHub(t, true)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.Addr().String()
	nobody.Close()
	lost := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "registry.example.org", IsNotFound: true}
	}}}
	there := secure.Client()
	other := &http.Client{Transport: there.Transport.(*http.Transport).Clone()}
	other.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, secure.host())
	}
	for _, c := range []struct {
		name, url string
		client    *http.Client
		want      string
	}{
		{"nobody listens", "http://" + address, nil, "Nobody listens"},
		{"no name", "https://registry.example.org", lost, "does not resolve"},
		{"unknown authority", secure.URL, nil, "does not know that authority"},
		{"another name", "https://registry.test", other, "for other names"},
		{"http on the https port", "https://" + plain.host(), nil, "plain http"},
		{"https on the http port", "http://" + secure.host(), nil, "expects https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := Probe(t.Context(), c.client, c.url)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, report, []string{"- registry answers: " + c.want})
		})
	}
}

func TestProbeRefuses(t *testing.T) {
	for _, address := range []string{"", "ftp://x", "https://", "https://u:" + canary + "@x", "https://x/v2/", "x?y", "https://x#y", "a b"} {
		if _, err := Probe(t.Context(), nil, address); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", address, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	h := newHub(t, false)
	if _, err := Probe(ended, nil, h.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
