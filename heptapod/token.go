package heptapod

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// RefToken is the task that makes the API token. What needs the token waits
// for it; it is in a plan only when a token is due.
const RefToken Ref = "task:token"

const (
	renewBefore = 7 * 24 * time.Hour // a token this close to its end is replaced
	mintTimeout = 6 * time.Minute    // Rails boots for it
)

// tokenScript makes a token that lasts 30 days.
//
//go:embed token.rb
var tokenScript []byte

// Token is access to the API as an administrator.
type Token struct {
	Value   Secret
	Expires time.Time // the day on which it ends, UTC
}

// noAdministrator is what the script ends with where it finds none.
const noAdministrator = "no administrator of the forge is active"

// storedToken is the form of FileToken.
type storedToken struct {
	Token   string `json:"token"`
	Expires string `json:"expires_at"`
}

// ParseToken reads the content of FileToken. Empty content is fs.ErrNotExist.
func ParseToken(content []byte) (Token, error) {
	if len(strings.TrimSpace(string(content))) == 0 {
		return Token{}, fmt.Errorf("read %s: %w", FileToken, fs.ErrNotExist)
	}
	var stored storedToken
	if err := json.Unmarshal(content, &stored); err != nil {
		// The error of encoding/json may quote the content.
		return Token{}, fmt.Errorf("read %s: it is no JSON", FileToken)
	}
	expires, err := time.Parse(time.DateOnly, stored.Expires)
	if err != nil || stored.Token == "" {
		return Token{}, fmt.Errorf("read %s: token or expires_at is missing", FileToken)
	}
	return Token{Value: NewSecret(stored.Token), Expires: expires}, nil
}

func (t Token) content() []byte {
	text, err := json.Marshal(storedToken{Token: t.Value.Reveal(), Expires: t.Expires.Format(time.DateOnly)})
	if err != nil {
		panic(err) // two strings always have a JSON form
	}
	return append(text, '\n')
}

// due says why a token has to be made, or "".
func (f *Forge) due(file converge.ObservedFile) string {
	if !file.Exists {
		return "there is none"
	}
	token, err := ParseToken(file.Content)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is none"
	case err != nil:
		return "the one on the host cannot be read"
	case !f.now().Before(token.Expires.Add(-renewBefore)):
		return "the present one ends on " + token.Expires.Format(time.DateOnly)
	}
	return ""
}

// decideToken asks for a token when there is none that will last.
func (f *Forge) decideToken(o *converge.Observed) ([]converge.Task, error) {
	cause := f.due(o.Files[FileToken])
	if cause == "" {
		return nil, nil
	}
	if _, looked := o.Files[FileToken]; !looked {
		cause = converge.CauseUnseen
	}
	return []converge.Task{{
		Name:   "api token",
		Verb:   "mint",
		Effect: converge.EffectAdd,
		Cause:  cause,
		Ref:    RefToken,
		After:  []converge.Ref{"container:" + Service, "file:" + FileToken}, // that is made empty
		Run:    f.renew,
	}}, nil
}

// renew makes a token unless the one on the host, which no container may have
// shown when the plan was made, will last and is not refused.
func (f *Forge) renew(ctx context.Context, host converge.Host) error {
	f.renewing.Lock()
	defer f.renewing.Unlock()
	content, err := host.ReadFile(ctx, FileToken)
	if err == nil && f.due(converge.ObservedFile{Exists: true, Content: content}) == "" {
		if token, err := ParseToken(content); err == nil && f.ask(ctx, host, token) != rejectedToken {
			return nil
		}
	}
	_, err = f.mint(ctx, host)
	return err
}

// replace gives a token in the place of one that the forge has refused, or of
// none: the one on the host where somebody has made another one meanwhile, else
// a new one.
func (f *Forge) replace(ctx context.Context, host converge.Host, refused Token) (Token, error) {
	f.renewing.Lock()
	defer f.renewing.Unlock()
	kept, why, err := f.keptToken(ctx, host)
	if err == nil && why == "" && kept.Value != refused.Value && f.ask(ctx, host, kept) == acceptedToken {
		return kept, nil
	}
	return f.mint(ctx, host)
}

// tokenState is what the forge makes of a token.
type tokenState int

const (
	unknownToken  tokenState = iota // it could not be asked
	acceptedToken                   // it is that of an administrator
	rejectedToken                   // it is unknown, or its owner may not do what it is for
)

// ask asks the forge for something that administrators alone are told.
func (f *Forge) ask(ctx context.Context, host converge.Host, token Token) tokenState {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL()+"/api/v4/runners/all?per_page=1", nil)
	if err != nil {
		return unknownToken
	}
	req.Header.Set(tokenHeader, token.Value.Reveal())
	resp, err := f.through(host).RoundTrip(req)
	if err != nil {
		return unknownToken
	}
	_ = resp.Body.Close() // the status says all
	switch {
	case resp.StatusCode == http.StatusOK:
		return acceptedToken
	case refusal(resp.StatusCode):
		return rejectedToken
	}
	return unknownToken
}

// mint makes a token, keeps it on the host and ends the one before. Killed in
// between it leaves a token behind that ends by itself.
func (f *Forge) mint(ctx context.Context, host converge.Host) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	before, why, err := f.keptToken(ctx, host)
	if err != nil {
		f.opts.Log.Warn("api token on the host is not readable", "err", err)
	}
	host.Progress("booting Rails to make an API token, which takes a minute or two")
	token, err := MintToken(ctx, runOn(host))
	if err != nil {
		return Token{}, err
	}
	if err := host.WriteFile(ctx, FileToken, token.content(), 0o600, 0, 0); err != nil {
		return Token{}, fmt.Errorf("keep API token: %w", err)
	}
	if err == nil && why == "" {
		if err := f.revoke(ctx, host, before); err != nil {
			f.opts.Log.Warn("the API token before was not revoked; it ends by itself", "ends", before.Expires.Format(time.DateOnly), "err", err)
		}
	}
	return token, nil
}

// MintToken makes an API token of an administrator of the forge in whose
// container run runs commands: the first one that is active, whatever its
// name. It boots Rails, which takes a minute or two, and keeps the token
// nowhere.
func MintToken(ctx context.Context, run RunFunc) (Token, error) {
	stdout, stderr, code, err := run(ctx, []string{"gitlab-rails", "runner", "-"}, tokenScript)
	if err != nil {
		return Token{}, fmt.Errorf("make API token: %w", err)
	}
	return mintedToken(converge.ExecResult{ExitCode: code, Stdout: stdout, Stderr: stderr})
}

// mintedToken reads what the script printed. Its errors quote standard error
// alone: the token goes to standard output.
func mintedToken(result converge.ExecResult) (Token, error) {
	failed := &fault.Error{Op: "make API token", What: "by gitlab-rails runner"}
	switch result.ExitCode {
	case 0:
	case 137:
		failed.Why = "it was killed, most likely for want of memory"
		failed.Remedy = "Rails needs about 1 GiB beside the running forge. Give the host or heptapod.memory more, then run the same command again."
		return Token{}, failed
	default:
		failed.Why = fmt.Sprintf("exit code %d: %s", result.ExitCode, lastLine(result.Stderr))
		failed.Remedy = "Run the same command again once the forge is healthy; `gitlab-ctl status` and `gitlab-ctl tail` in its container say more."
		if strings.HasSuffix(failed.Why, noAdministrator) {
			failed.Why = noAdministrator
			failed.Remedy = "Unblock one, such as root: hepta exec heptapod gitlab-rails runner 'User.find_by_username(\"root\").activate!'"
		}
		return Token{}, failed
	}
	var token Token
	for line := range strings.Lines(string(result.Stdout)) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "HEPTA_TOKEN="); ok {
			token.Value = NewSecret(text)
		} else if text, ok := strings.CutPrefix(line, "HEPTA_EXPIRES="); ok {
			token.Expires, _ = time.Parse(time.DateOnly, text) // zero is told below
		}
	}
	if token.Value.Empty() || token.Expires.IsZero() {
		failed.Why = "it printed no token"
		failed.Remedy = "Check that the container's image is Heptapod or GitLab."
		return Token{}, failed
	}
	return token, nil
}

// revoke ends a token with its own right to do so.
func (f *Forge) revoke(ctx context.Context, host converge.Host, token Token) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, f.URL()+"/api/v4/personal_access_tokens/self", nil)
	if err != nil {
		return err
	}
	req.Header.Set(tokenHeader, token.Value.Reveal())
	resp, err := f.through(host).RoundTrip(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // the status says all
	if resp.StatusCode/100 != 2 && !refusal(resp.StatusCode) {
		return fmt.Errorf("revoke API token: %s", resp.Status)
	}
	return nil
}

// through sends requests by way of the container.
func (f *Forge) through(host converge.Host) *ExecTransport {
	return &ExecTransport{External: f.base, Run: runOn(host)}
}

// runOn runs commands in the forge's container on host.
func runOn(host converge.Host) RunFunc {
	return func(ctx context.Context, cmd []string, stdin []byte) ([]byte, []byte, int, error) {
		r, err := host.Exec(ctx, Service, cmd, stdin)
		return r.Stdout, r.Stderr, r.ExitCode, err
	}
}

// lastLine is the last line of a program's output that says something.
func lastLine(output []byte) string {
	text := strings.TrimSpace(string(output))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
