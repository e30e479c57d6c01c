package heptapod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// tokenForge is a forge that takes one token. What it is asked comes as curl's
// configuration.
type tokenForge struct {
	mu    sync.Mutex
	takes string // the token that is taken; "" for none
	// status is the answer to a token that is not taken, other that of the
	// address /api/v4/runners/7 to a good one; both default to success or 401.
	status, other int
	mints         string // the next token; "" fails
	minted        int
	calls         []string // method, path and token of each request
}

func (f *tokenForge) exec(_ context.Context, cmd []string, stdin []byte) (converge.ExecResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cmd[0] == "gitlab-rails" {
		f.minted++
		if f.mints == "" {
			return converge.ExecResult{ExitCode: 1, Stderr: []byte(noAdministrator + "\n")}, nil
		}
		f.takes = f.mints
		return converge.ExecResult{Stdout: []byte("HEPTA_TOKEN=" + f.mints + "\nHEPTA_EXPIRES=2026-12-20\n")}, nil
	}
	value := func(begin string) string {
		_, rest, _ := strings.Cut(string(stdin), begin)
		text, _, _ := strings.Cut(rest, `"`)
		return text
	}
	token, path := value("Private-Token: "), value(`url = "http://localhost:80`)
	_, sent, _ := strings.Cut(string(stdin), "\n\n")
	f.calls = append(f.calls, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", value(`request = "`), path, token, sent)))
	status, body := http.StatusOK, `{}`
	switch {
	case token != f.takes || token == "":
		status = f.status
	case path == "/api/v4/runners/7":
		status = f.other
	}
	if strings.HasPrefix(path, "/api/v4/runners/all") {
		body = `[]`
	}
	return converge.ExecResult{Stdout: fmt.Appendf(nil, "HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)}, nil
}

// A token that the forge refuses is replaced once, by all who work with the
// forge in the same way: with the stack's lock, and never a second time.
func TestRefusedTokenIsReplaced(t *testing.T) {
	kept := `{"token":"glpat-old","expires_at":"2026-12-19"}`
	for _, c := range []struct {
		name   string
		file   string
		forge  *tokenForge
		err    string // of the request; empty when it succeeds
		minted int
		calls  []string
	}{
		{"good", kept, &tokenForge{takes: "glpat-old"}, "", 0, []string{"PUT /api/v4/runners/7 glpat-old body"}},
		{"revoked", kept, &tokenForge{mints: "glpat-new"}, "", 1, []string{
			"PUT /api/v4/runners/7 glpat-old body", "DELETE /api/v4/personal_access_tokens/self glpat-old", "PUT /api/v4/runners/7 glpat-new body"}},
		{"its owner is blocked", kept, &tokenForge{mints: "glpat-new", status: 403}, "", 1, []string{
			"PUT /api/v4/runners/7 glpat-old body", "GET /api/v4/runners/all?per_page=1 glpat-old",
			"DELETE /api/v4/personal_access_tokens/self glpat-old", "PUT /api/v4/runners/7 glpat-new body"}},
		{"lost", "", &tokenForge{mints: "glpat-new"}, "", 1, []string{"PUT /api/v4/runners/7 glpat-new body"}},
		{"ended", `{"token":"glpat-old","expires_at":"2026-11-20"}`, &tokenForge{mints: "glpat-new"}, "", 1, []string{"PUT /api/v4/runners/7 glpat-new body"}},
		{"rubbish", `glpat-old`, &tokenForge{mints: "glpat-new"}, "", 1, []string{"PUT /api/v4/runners/7 glpat-new body"}},
		{"the right is missing for another reason", kept, &tokenForge{takes: "glpat-old", other: 403}, "403", 0, []string{
			"PUT /api/v4/runners/7 glpat-old body", "GET /api/v4/runners/all?per_page=1 glpat-old", "PUT /api/v4/runners/7 glpat-old body"}},
		{"another cannot be made", kept, &tokenForge{}, noAdministrator, 2, []string{"PUT /api/v4/runners/7 glpat-old body", "PUT /api/v4/runners/7 glpat-old body"}},
		{"another is refused as well", kept, &tokenForge{mints: "glpat-new", takes: "glpat-other"}, "401", 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := c.forge
			if made.status == 0 {
				made.status = http.StatusUnauthorized
			}
			if made.other == 0 {
				made.other = http.StatusOK
			}
			exec := made.exec
			if c.forge.takes == "glpat-other" {
				exec = func(ctx context.Context, cmd []string, stdin []byte) (converge.ExecResult, error) {
					result, err := made.exec(ctx, cmd, stdin)
					made.takes = "glpat-other"
					return result, err
				}
			}
			host := &fakeHost{files: map[string]string{FileToken: c.file}, exec: exec}
			if c.file == "" {
				delete(host.files, FileToken)
			}
			f := forge(t, Config{})
			changes := 0
			f.connect = func(_ context.Context, change bool) (converge.Host, func(), error) {
				if change {
					changes++
				}
				return host, func() {}, nil
			}
			client, err := f.Client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ask := func() error {
				req, err := client.NewRequest(http.MethodPut, "runners/7", nil, []gitlab.RequestOptionFunc{gitlab.WithContext(t.Context())})
				if err != nil {
					t.Fatal(err)
				}
				if err := req.SetBody([]byte("body")); err != nil {
					t.Fatal(err)
				}
				_, err = client.Do(req, nil)
				return err
			}
			err = ask()
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if c.err == noAdministrator && !strings.Contains(fault.Remedy(err), "activate!") {
				t.Errorf("remedy %q", fault.Remedy(err))
			}
			if c.err != "" {
				_ = ask() // once more does nothing more than that
			}
			if made.minted != c.minted || changes != c.minted {
				t.Errorf("%d made, want %d; %d times under the lock", made.minted, c.minted, changes)
			}
			if c.calls != nil && strings.Join(made.calls, "\n") != strings.Join(c.calls, "\n") {
				t.Errorf("calls\n%s\nwant\n%s", strings.Join(made.calls, "\n"), strings.Join(c.calls, "\n"))
			}
			if c.minted > 0 && c.err == "" && !strings.Contains(host.files[FileToken], "glpat-new") {
				t.Error("the new token is not kept on the host")
			}
		})
	}
}

// Of many who are refused at once, one makes the token and all go on with it.
func TestManyAreRefusedAtOnce(t *testing.T) {
	made := &tokenForge{mints: "glpat-new", status: http.StatusUnauthorized, other: http.StatusOK}
	host := &fakeHost{files: map[string]string{FileToken: `{"token":"glpat-old","expires_at":"2026-12-19"}`}, exec: made.exec}
	f := forge(t, Config{})
	var all sync.WaitGroup
	for range 8 {
		client, err := f.clientOn(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			all.Go(func() {
				if _, _, err := client.Runners.GetRunnerDetails(7); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if made.minted != 1 {
		t.Errorf("%d tokens were made", made.minted)
	}
}

// A client that lives on for months gets another token each time the present
// one has ended, also after one that had not the right for something.
func TestClientOutlivesItsToken(t *testing.T) {
	made := &tokenForge{takes: "glpat-1", status: http.StatusUnauthorized, other: http.StatusOK}
	host := &fakeHost{files: map[string]string{FileToken: `{"token":"glpat-1","expires_at":"2026-12-19"}`}, exec: made.exec}
	client, err := forge(t, Config{}).clientOn(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []string{"glpat-2", "glpat-3"} {
		made.other = http.StatusForbidden
		if _, _, err := client.Runners.GetRunnerDetails(7); err == nil {
			t.Error("what is forbidden was done")
		}
		made.other = http.StatusOK
		if _, _, err := client.Runners.GetRunnerDetails(7); err != nil {
			t.Fatal(err)
		}
		made.takes, made.mints = "", next
	}
	if _, _, err := client.Runners.GetRunnerDetails(7); err != nil || made.minted != 2 {
		t.Errorf("%d made: %v", made.minted, err)
	}
}

// A request that brings its own credential is sent with that, and its refusal
// says nothing about ours.
func TestOtherCredentialsPass(t *testing.T) {
	made := &tokenForge{takes: "glpat-old", status: http.StatusUnauthorized, other: http.StatusOK, mints: "glpat-new"}
	host := &fakeHost{files: map[string]string{FileToken: `{"token":"glpat-old","expires_at":"2026-12-19"}`}, exec: made.exec}
	client, err := forge(t, Config{}).clientOn(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	_, resp, err := client.Runners.GetRunnerDetails(7, gitlab.WithToken(gitlab.PrivateToken, "glpat-theirs"))
	if err == nil || resp.StatusCode != http.StatusUnauthorized || made.minted != 0 {
		t.Errorf("%d made: %v", made.minted, err)
	}
}

// What keeps the token from being read is told at once.
func TestClientWithoutTheEngine(t *testing.T) {
	f := forge(t, Config{})
	f.connect = func(context.Context, bool) (converge.Host, func(), error) { return nil, nil, io.ErrUnexpectedEOF }
	if _, err := f.Client(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}
