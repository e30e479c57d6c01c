package heptapodtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// client speaks to the REST API.
type client struct {
	t      testing.TB
	url    string
	token  string
	header http.Header // of the last answer
}

func (c *client) do(method, path string, body any, headers map[string]string) (int, []byte) {
	c.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	case string:
		r = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	if !strings.HasPrefix(path, "http") {
		path = c.url + "/api/v4" + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, r)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, plain := body.([]byte); r != nil && !plain {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("PRIVATE-TOKEN", c.token)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.header = resp.Header
	return resp.StatusCode, data
}

// call wants a status and returns the JSON object of the answer.
func (c *client) call(method, path string, body any, want int) map[string]any {
	c.t.Helper()
	status, data := c.do(method, path, body, nil)
	if status != want {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, status, data, want)
	}
	var out map[string]any
	_ = json.Unmarshal(data, &out)
	return out
}

func (c *client) get(path string, want int) map[string]any { return c.call("GET", path, nil, want) }

func (c *client) list(path string) []map[string]any {
	c.t.Helper()
	status, data := c.do("GET", path, nil, nil)
	var out []map[string]any
	if err := json.Unmarshal(data, &out); status != http.StatusOK || err != nil {
		c.t.Fatalf("GET %s: %d %s", path, status, data)
	}
	return out
}
