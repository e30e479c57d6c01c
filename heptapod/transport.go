package heptapod

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// RunFunc runs a command where the forge runs, with stdin on its standard
// input. A command that ran and failed gives an exit code and no error.
type RunFunc func(ctx context.Context, cmd []string, stdin []byte) (stdout, stderr []byte, exitCode int, err error)

// ExecTransport is an http.RoundTripper that sends requests with the curl
// inside the forge's container. It reaches the forge where the client cannot:
// no name in DNS yet, no trusted certificate, an Engine behind ssh. Bodies pass
// unchanged in both directions, and neither address, header nor body of a
// request shows in the container's process list.
type ExecTransport struct {
	Run RunFunc
	// External is the URL under which the forge knows itself; requests to any
	// other host are refused.
	External *url.URL
	// Inner is where the forge answers inside the container; default
	// http://localhost:80.
	Inner string
}

// curlScript reads curl's configuration up to an empty line and leaves the
// rest of its input to curl, as the body. The shell's read takes no byte more
// than its line.
const curlScript = `config=
while IFS= read -r line && [ -n "$line" ]; do
config="$config$line
"
done
PATH="$PATH:/opt/gitlab/embedded/bin"
exec curl --disable --config /dev/fd/3 3<<CONFIG
$config
CONFIG
`

// RoundTrip sends req and reads the whole answer.
func (t *ExecTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		_ = req.Body.Close() // it was read, or that error is told
		if err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
	}
	if !strings.EqualFold(req.URL.Host, t.External.Host) {
		return nil, fmt.Errorf("send request to %s: this way leads to %s alone", req.URL.Host, t.External.Host)
	}
	config, err := t.config(req, len(body) > 0)
	if err != nil {
		return nil, err
	}
	stdin := append([]byte(config+"\n"), body...)
	stdout, stderr, code, err := t.Run(req.Context(), []string{"/bin/sh", "-c", curlScript}, stdin)
	switch {
	case err != nil:
		return nil, fmt.Errorf("run curl in the container: %w", err)
	case code != 0:
		return nil, &CurlError{Code: code, Text: firstLine(stderr)}
	}
	return readResponse(stdout, req)
}

// CurlError is a curl that ran in the container and got no answer.
type CurlError struct {
	Code int // curl's exit code: 7 nobody listens, 28 too slow
	Text string
}

func (e *CurlError) Error() string {
	return fmt.Sprintf("curl in the container: exit code %d: %s", e.Code, e.Text)
}

// Timeout reports whether the answer took too long.
func (e *CurlError) Timeout() bool { return e.Code == 28 }

// Temporary reports whether the forge was not there yet, or no longer.
func (e *CurlError) Temporary() bool { return slices.Contains([]int{7, 28, 52, 56}, e.Code) }

// config is the request as a curl configuration. It holds no empty line.
func (t *ExecTransport) config(req *http.Request, hasBody bool) (string, error) {
	var c curlConfig
	inner := t.Inner
	if inner == "" {
		inner = innerURL
	}
	c.option("url", inner+req.URL.RequestURI())
	if req.Method == http.MethodHead {
		c.flag("head")
	} else {
		c.option("request", method(req))
	}
	for _, name := range []string{"silent", "show-error", "include", "raw", "http1.1", "globoff", "path-as-is"} {
		c.flag(name)
	}
	c.option("noproxy", "*")
	if deadline, ok := req.Context().Deadline(); ok {
		c.option("max-time", fmt.Sprintf("%.3f", max(time.Until(deadline), time.Millisecond).Seconds()))
	}
	host := req.Host
	if host == "" {
		host = t.External.Host
	}
	c.header("Host", host)
	c.header("X-Forwarded-Proto", t.External.Scheme)
	c.header("Expect", "")
	if hasBody {
		c.option("data-binary", "@-")
		if req.Header.Get("Content-Type") == "" {
			c.header("Content-Type", "")
		}
	} else if req.Body != nil && req.Body != http.NoBody {
		c.header("Content-Length", "0")
	}
	for _, name := range sortedKeys(req.Header) {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Content-Length", "Transfer-Encoding", "Expect", "X-Forwarded-Proto":
			continue
		}
		for _, value := range req.Header[name] {
			c.header(name, value)
		}
	}
	return c.String(), c.err
}

func method(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

func sortedKeys(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// curlConfig is a configuration as curl's --config reads it.
type curlConfig struct {
	strings.Builder
	err error
}

var curlQuote = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (c *curlConfig) flag(name string) { c.WriteString(name + "\n") }

func (c *curlConfig) option(name, value string) {
	if strings.ContainsAny(value, "\r\n\x00") {
		c.err = errors.Join(c.err, fmt.Errorf("send request: %s spans lines", name))
		return
	}
	c.WriteString(name + ` = "` + curlQuote.Replace(value) + "\"\n")
}

// header sends a header; an empty value keeps curl from sending its own.
func (c *curlConfig) header(name, value string) {
	switch value {
	case "":
		c.option("header", name+":")
	default:
		c.option("header", name+": "+value)
	}
}

// readResponse reads what curl printed: heads of informational answers, then
// the answer as it came over the wire.
func readResponse(output []byte, req *http.Request) (*http.Response, error) {
	r := bufio.NewReader(bytes.NewReader(output))
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return nil, fmt.Errorf("read answer of %s %s: %w", method(req), req.URL.Path, err)
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}
