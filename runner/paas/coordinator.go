package paas

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/redirect"
)

// Coordinator is a GitLab or Heptapod that gives jobs. No call hangs: each has
// its own time limit. The zero value of each field but URL is its default.
type Coordinator struct {
	URL      string       // as in the configuration
	SystemID string       // tells this installation from others with the same token: s_ and 12 characters
	HTTP     *http.Client // default http.DefaultClient
	// CallLimit bounds every call but the request for a job, 30 s; PollLimit
	// that one, which the coordinator may hold, 90 s.
	CallLimit, PollLimit time.Duration
}

// StatusError is an answer that is neither what was asked for nor a known "no".
type StatusError struct {
	Call       string // method and path
	Status     int
	Code       int           // the API's own number, 0: none
	Message    string        // what the server says, one line; may be empty
	RetryAfter time.Duration // 0: not said
	Foreign    bool          // a proxy before the forge, or something else on the way, says so: see IsForges
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.Call, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Foreign {
		text += " (from something before the forge)"
	}
	return text
}

// Temporary tells a server in trouble from one that says no.
func (e *StatusError) Temporary() bool {
	return e.Foreign || e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// IsForges reports whether a refusal is the forge's own. A proxy answers 404 or
// 403 for a forge that restarts, or that it guards; the forge's own answers are
// JSON and begin with their status.
func IsForges(status int, body []byte) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
	default:
		return true
	}
	var said struct {
		Message, Error any
		Description    string `json:"error_description"` // of a token without the scope
	}
	if json.Unmarshal(body, &said) != nil {
		return false
	}
	begins := func(text any) bool {
		s, ok := text.(string)
		return ok && strings.HasPrefix(s, strconv.Itoa(status)+" ")
	}
	return begins(said.Message) || begins(said.Error) || said.Description != ""
}

// Temporary reports whether a call may succeed when it is made again: the server
// was in trouble or not reached, or the time was up.
func Temporary(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, redirect.ErrElsewhere) {
		return false
	}
	var status *StatusError
	if errors.As(err, &status) {
		return status.Temporary()
	}
	var reach *url.Error
	return errors.As(err, &reach) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Backoff is how long to wait after so many failures in a row: from one second
// up to a minute, half of it at random, and at least what the server asks for.
func Backoff(failures int, err error) time.Duration {
	const longest = time.Minute
	wait := longest
	if failures < 7 {
		wait = min(longest, time.Second<<max(failures-1, 0))
	}
	wait = wait/2 + rand.N(wait/2+1)
	var status *StatusError
	if errors.As(err, &status) {
		wait = max(wait, min(status.RetryAfter, time.Hour))
	}
	return wait
}

// call is one request to an API.
type call struct {
	method, path string
	body         any
	header       http.Header
	limit        time.Duration
}

// answer is what came back, read to its end.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	foreign bool // see StatusError
}

// bodyLimit bounds what is read of an answer; a job is far smaller.
const bodyLimit = 64 << 20

// send makes a call. Whatever the status is, it is no error.
func send(ctx context.Context, client *http.Client, base string, c call) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", c.method, c.path, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, base+c.path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.method, c.path, err)
	}
	if c.header != nil {
		req.Header = c.header.Clone()
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "application/json")
	if _, raw := c.body.([]byte); body != nil && !raw {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := redirect.SameServer(client).Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.method, c.path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	if err != nil {
		return nil, fmt.Errorf("%s %s: read answer: %w", c.method, c.path, err)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: data}, nil
}

const userAgent = "hepta-paas (heptapod-runner)"

// refusal makes an error of an answer.
func (a *answer) refusal(c call) error {
	e := &StatusError{Call: c.method + " " + c.path, Status: a.status, Foreign: a.foreign}
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(min(s, 3600)) * time.Second
	}
	var said struct {
		ID      int    `json:"id"`
		Message any    `json:"message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(a.body, &said) == nil {
		e.Code = said.ID
		e.Message = said.Error
		if said.Message != nil {
			e.Message = fmt.Sprint(said.Message)
		}
	}
	e.Message, _, _ = strings.Cut(e.Message, "\n")
	if len(e.Message) > 200 {
		e.Message = e.Message[:200]
	}
	return e
}

func (c *Coordinator) send(ctx context.Context, k call) (*answer, error) {
	if k.limit == 0 {
		k.limit = cmp.Or(c.CallLimit, 30*time.Second)
	}
	k.path = "/api/v4" + k.path
	a, err := send(ctx, c.HTTP, strings.TrimRight(c.URL, "/"), k)
	if err == nil {
		a.foreign = !IsForges(a.status, a.body)
	}
	return a, err
}
