package heptapod

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/heptaup/hepta/internal/converge"
)

// tokenHeader is the header of a request that holds an API token.
const tokenHeader = "PRIVATE-TOKEN"

// tokenTransport sends requests with the API token that is kept on the host.
// Where the forge refuses the token, or there is none, it gets another one and
// sends the request once more. A request is sent twice at most, and a token
// that was never accepted is not replaced by a further one.
//
// Requests that bring a credential of their own pass as they are.
type tokenTransport struct {
	f *Forge
	// onHost calls a function with the machine of the forge; with change the
	// stack's lock is held meanwhile.
	onHost func(ctx context.Context, change bool, work func(converge.Host) error) error

	mu     sync.Mutex
	token  Token  // the present one; empty before the first request
	fresh  bool   // token is a replacement that was not accepted yet
	proved Secret // a token that was seen to be an administrator's
}

func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get(tokenHeader) != "" || req.Header.Get("Authorization") != "" || req.Header.Get("JOB-TOKEN") != "" {
		return t.send(req, Token{}, nil)
	}
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		_ = req.Body.Close() // it was read, or that error is told
		if err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
	}
	token, err := t.present(req.Context())
	if err != nil {
		return nil, err
	}
	resp, err := t.send(req, token, body)
	if err != nil || !refusal(resp.StatusCode) {
		return resp, err
	}
	next, err := t.next(req.Context(), token, resp.StatusCode)
	if err != nil {
		_ = resp.Body.Close() // what it says is known
		return nil, fmt.Errorf("the forge refuses the API token, and another one could not be had: %w", err)
	}
	if next.Value == token.Value {
		return resp, nil
	}
	_ = resp.Body.Close()
	return t.send(req, next, body)
}

// refusal reports whether an answer may mean that the token is not good, or
// not an administrator's: GitLab says 401 of a token that it does not know, and
// 403 where its owner is blocked or has no right.
func refusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// send sends a copy of req with a token, unless that is empty.
func (t *tokenTransport) send(req *http.Request, token Token, body []byte) (*http.Response, error) {
	if !token.Value.Empty() {
		req = req.Clone(req.Context())
		req.Header.Set(tokenHeader, token.Value.Reveal())
		if req.Body != nil && req.Body != http.NoBody {
			req.Body = io.NopCloser(bytes.NewReader(body))
		}
	}
	var resp *http.Response
	err := t.onHost(req.Context(), false, func(host converge.Host) (err error) {
		resp, err = t.f.through(host).RoundTrip(req)
		return err
	})
	if err == nil && !refusal(resp.StatusCode) {
		t.mu.Lock()
		t.fresh = t.fresh && t.token.Value != token.Value
		t.mu.Unlock()
	}
	return resp, err
}

// present is the token to send, the first time read on the host.
func (t *tokenTransport) present(ctx context.Context) (Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.token.Value.Empty() {
		return t.token, nil
	}
	var why string
	err := t.onHost(ctx, false, func(host converge.Host) (err error) {
		t.token, why, err = t.f.keptToken(ctx, host)
		return err
	})
	if err != nil || why == "" {
		return t.token, err
	}
	return t.replace(ctx, Token{})
}

// next is the token to send after the forge has answered with a refusal:
// another one, or the same where nothing is wrong with it or no other helps.
func (t *tokenTransport) next(ctx context.Context, refused Token, status int) (Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.token.Value != refused.Value: // replaced meanwhile
		return t.token, nil
	case t.fresh, status == http.StatusForbidden && t.proved == refused.Value:
		return refused, nil
	}
	if status == http.StatusForbidden {
		is := unknownToken
		_ = t.onHost(ctx, false, func(host converge.Host) error {
			is = t.f.ask(ctx, host, refused)
			return nil
		})
		if is == acceptedToken {
			t.proved = refused.Value
		}
		if is != rejectedToken {
			return refused, nil
		}
	}
	return t.replace(ctx, refused)
}

// replace gets another token, under the stack's lock.
func (t *tokenTransport) replace(ctx context.Context, refused Token) (Token, error) {
	var made Token
	err := t.onHost(ctx, true, func(host converge.Host) (err error) {
		made, err = t.f.replace(ctx, host, refused)
		return err
	})
	if err != nil {
		return Token{}, err
	}
	t.token, t.fresh = made, true
	return made, nil
}
