package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/docker/docker/client"
)

// trace writes a line for every call of the Engine: when it began, how long it
// took until its answer came, and what it was. Attaching to a container goes
// another way and is not seen.
type trace struct {
	http.RoundTripper
	began time.Time

	mu  sync.Mutex
	out io.Writer
}

// traced is docker with a trace.
func traced(ctx context.Context, docker *client.Client, out io.Writer) (*client.Client, error) {
	t := &trace{RoundTripper: docker.HTTPClient().Transport, began: time.Now(), out: out}
	c, err := client.NewClientWithOpts(client.WithHost(docker.DaemonHost()), client.WithVersion(docker.ClientVersion()),
		client.WithHTTPClient(&http.Client{Transport: t}))
	if err != nil {
		return nil, fmt.Errorf("make tracing client: %w", err)
	}
	_, err = c.Ping(ctx)
	return c, err
}

var (
	version = regexp.MustCompile(`^/v[0-9.]+`)
	id      = regexp.MustCompile(`[0-9a-f]{64}`)
)

// RoundTrip passes a call on and writes its line.
func (t *trace) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.RoundTripper.RoundTrip(r)
	what := r.Method + " " + version.ReplaceAllString(r.URL.Path, "")
	if name := r.URL.Query().Get("name"); name != "" {
		what += " " + name
	}
	what = id.ReplaceAllStringFunc(what, func(id string) string { return id[:6] })
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%8.1f ms %+8.1f ms  %s\n", ms(began.Sub(t.began)), ms(time.Since(began)), what)
	return resp, err
}
