package heptapod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// here runs commands on this machine, in place of the container. It fails the
// test when a command line says more than the fixed script.
func here(t *testing.T) RunFunc {
	return func(ctx context.Context, cmd []string, stdin []byte) ([]byte, []byte, int, error) {
		if len(cmd) != 3 || cmd[2] != curlScript {
			t.Errorf("command line %q", cmd)
		}
		c := exec.CommandContext(ctx, cmd[0], cmd[1:]...)
		c.Env = []string{"PATH=/usr/bin:/bin", "http_proxy=http://127.0.0.1:1", "HOME=/nonexistent"}
		c.Stdin = bytes.NewReader(stdin)
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		err := c.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) && ctx.Err() == nil {
			return stdout.Bytes(), stderr.Bytes(), exit.ExitCode(), nil
		}
		return stdout.Bytes(), stderr.Bytes(), 0, errors.Join(err, ctx.Err())
	}
}

func transportTo(t *testing.T, server *httptest.Server) *ExecTransport {
	return &ExecTransport{Run: here(t), Inner: server.URL, External: &url.URL{Scheme: "https", Host: "hg.example.org"}}
}

func TestExecTransportPassesRequestsOn(t *testing.T) {
	type seen struct {
		method, uri, host, body string
		header                  http.Header
	}
	var got seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, r.Host, string(body), r.Header}
		w.Header().Set("X-Total", "3")
		w.Header().Add("Link", "<a>")
		w.Header().Add("Link", "<b>")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("answer"))
	}))
	defer server.Close()
	for _, c := range []struct {
		name, method, uri, body string
		header                  http.Header
	}{
		{"get", "GET", "/api/v4/version", "", http.Header{"Private-Token": {`gl"pat\-#{x}$HOME` + "`id`"}}},
		{"encoded slash", "GET", "/api/v4/projects/group%2Fproject/repository/branches/branch%2Fdefault?a=%5B1%5D&b[]=2", "", nil},
		{"dots", "GET", "/a/../b/./c", "", nil},
		{"post", "POST", "/api/v4/projects", `{"name":"it's"}`, http.Header{"Content-Type": {"application/json"}}},
		{"empty post", "POST", "/api/v4/x", "", nil},
		{"put", "PUT", "/api/v4/x", "\n\n\x00\xff@file", nil},
		{"delete", "DELETE", "/api/v4/x", "", nil},
		{"head", "HEAD", "/api/v4/x", "", nil},
		{"patch", "PATCH", "/api/v4/x", "url = \"http://elsewhere\"\n", nil},
		{"two values", "GET", "/x", "", http.Header{"X-Two": {"1", "2"}, "X-Empty": {""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, "https://hg.example.org"+c.uri, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.header {
				req.Header[k] = v
			}
			resp, err := transportTo(t, server).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got.method != c.method || got.uri != c.uri || got.host != "hg.example.org" || got.body != c.body {
				t.Errorf("the server saw %s %s for %s with %q", got.method, got.uri, got.host, got.body)
			}
			if got.header.Get("X-Forwarded-Proto") != "https" || got.header.Get("Expect") != "" {
				t.Errorf("headers %v", got.header)
			}
			for k, v := range c.header {
				if v[0] != "" && fmt.Sprint(got.header[k]) != fmt.Sprint(v) {
					t.Errorf("header %s arrived as %q", k, got.header[k])
				}
			}
			if got.header.Get("Content-Type") == "application/x-www-form-urlencoded" {
				t.Error("curl made up a content type")
			}
			want := "answer"
			if c.method == "HEAD" {
				want = ""
			}
			if resp.StatusCode != http.StatusTeapot || string(body) != want || resp.Header.Get("X-Total") != "3" || len(resp.Header["Link"]) != 2 {
				t.Errorf("answer %s %q %v", resp.Status, body, resp.Header)
			}
		})
	}
}

func TestExecTransportIsBinarySafe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-Chunked") != "" {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	transport := transportTo(t, server)
	echo := func(t fataler, body []byte, chunked bool) {
		req, err := http.NewRequest("POST", "https://hg.example.org/", bytes.NewReader(body))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if chunked {
			req.Header.Set("X-Chunked", "1")
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%v", err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("sent %d bytes, got %d back (%v)", len(body), len(got), err)
		}
	}
	big := bytes.Repeat([]byte("\x00\r\n\xff0123456789"), 200_000)
	echo(t, big, false)
	echo(t, big, true)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > 20 {
			return // each round starts processes
		}
		echo(rt, rapid.SliceOf(rapid.Byte()).Draw(rt, "body"), rapid.Bool().Draw(rt, "chunked"))
	})
}

func TestExecTransportRefusals(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	transport := transportTo(t, server)
	get := func(ctx context.Context, target string) error {
		req, err := http.NewRequestWithContext(ctx, "GET", target, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = transport.RoundTrip(req)
		return err
	}
	var curl *CurlError
	if err := get(t.Context(), "https://hg.example.org/"); !errors.As(err, &curl) || curl.Code != 7 || !curl.Temporary() {
		t.Errorf("nobody listens: %v", err)
	}
	if err := get(t.Context(), "https://elsewhere.example.org/"); err == nil || !strings.Contains(err.Error(), "leads to hg.example.org alone") {
		t.Errorf("another host: %v", err)
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	transport.Inner = slow.URL
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := get(ctx, "https://hg.example.org/"); err == nil {
		t.Error("a slow answer gave no error")
	}
}

func TestExecTransportSkipsInformationalAnswers(t *testing.T) {
	req, _ := http.NewRequest("GET", "https://hg.example.org/", nil)
	resp, err := readResponse([]byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	if _, err := readResponse([]byte("not http"), req); err == nil {
		t.Error("rubbish was taken for an answer")
	}
}

func TestClientSpeaksThroughTheContainer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Private-Token") != "glpat-x" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"version":"17.8.1","revision":%q}`, r.URL.Path)
	}))
	defer server.Close()
	client, err := NewClient("https://hg.example.org", NewSecret("glpat-x"), &http.Client{Transport: transportTo(t, server)})
	if err != nil {
		t.Fatal(err)
	}
	version, _, err := client.Version.GetVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.Version != "17.8.1" || version.Revision != "/api/v4/version" {
		t.Errorf("version %+v", version)
	}
}
