package runner

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/redirect"
	"github.com/heptaup/hepta/internal/secret"
)

// NewAPI speaks to a forge through a client of its REST API.
func NewAPI(client *gitlab.Client) API { return restAPI{client} }

// restAPI is the REST API of GitLab and Heptapod.
type restAPI struct{ client *gitlab.Client }

// answer is what a forge may say about one runner, in any of the calls.
type answer struct {
	ID              int64      `json:"id"`
	Token           string     `json:"token"`
	TokenExpiresAt  *time.Time `json:"token_expires_at"`
	Description     string     `json:"description"`
	MaintenanceNote string     `json:"maintenance_note"`
	Online          bool       `json:"online"`
	Status          string     `json:"status"`
	Paused          bool       `json:"paused"`
	ContactedAt     *time.Time `json:"contacted_at"`
}

func (a answer) made() Made {
	m := Made{ID: a.ID, Token: secret.New(a.Token)}
	if a.TokenExpiresAt != nil {
		m.ExpiresAt = *a.TokenExpiresAt
	}
	return m
}

func (a answer) status() Status {
	return Status{ID: a.ID, Description: a.Description, Note: a.MaintenanceNote, Online: a.Online || a.Status == "online",
		Paused: a.Paused || a.Status == "paused", Contacted: a.ContactedAt != nil || a.Online || a.Status == "online"}
}

// call does one request. What creates is not repeated by the client: the
// answer may have been lost after the forge had made a runner.
func (r restAPI) call(ctx context.Context, method, path string, body, into any, secrets ...Secret) (*gitlab.Response, error) {
	options := []gitlab.RequestOptionFunc{gitlab.WithContext(ctx)}
	if method == http.MethodPost {
		options = append(options, gitlab.WithRequestRetry(func(context.Context, *http.Response, error) (bool, error) { return false, nil }))
	}
	query := body
	if method == http.MethodDelete { // the client would put it into the address
		query = nil
	}
	req, err := r.client.NewRequest(method, path, query, options)
	if err == nil && method == http.MethodDelete && body != nil {
		var text []byte
		if text, err = json.Marshal(body); err == nil {
			req.Header.Set("Content-Type", "application/json")
			err = req.SetBody(text)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: make request", method, path)
	}
	resp, err := r.client.Do(req, into)
	if err != nil {
		return resp, refine(method, path, resp, err, secrets)
	}
	return resp, nil
}

// refine says in our words what the forge answered. The forge's own message
// is kept without any of the secrets that the request held.
func refine(method, path string, resp *gitlab.Response, err error, secrets []Secret) error {
	var known *fault.Error
	if errors.As(err, &known) { // no answer, and it is known why
		return fmt.Errorf("%s %s: %w", method, path, known)
	}
	text := err.Error()
	var said *gitlab.ErrorResponse
	if errors.As(err, &said) && said.Message != "" {
		text = said.Message
	}
	for _, s := range secrets {
		if !s.Empty() {
			text = strings.ReplaceAll(text, s.Reveal(), s.String())
		}
	}
	code := 0
	if resp != nil && resp.Response != nil {
		code = resp.StatusCode
	}
	var kind error
	switch code {
	case http.StatusNotFound:
		kind = ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = ErrRefused
	case http.StatusMethodNotAllowed:
		kind = ErrUnsupported
	case http.StatusGone:
		kind = ErrDisabled
	default:
		return fmt.Errorf("%s %s: %s", method, path, text)
	}
	return fmt.Errorf("%s %s: %w (%d %s)", method, path, kind, code, text)
}

func (r restAPI) ListRunners(ctx context.Context) ([]Status, error) {
	list, err := r.pages(ctx, "runners/all")
	if errors.Is(err, ErrRefused) { // not an administrator: what the token's owner may manage
		list, err = r.pages(ctx, "runners")
	}
	return list, err
}

func (r restAPI) pages(ctx context.Context, path string) ([]Status, error) {
	var out []Status
	for page := int64(1); page != 0; {
		var answers []answer
		resp, err := r.call(ctx, http.MethodGet, path, &gitlab.ListOptions{Page: page, PerPage: 100}, &answers)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			out = append(out, a.status())
		}
		page = resp.NextPage
	}
	return out, nil
}

// body is a request about a runner with attributes a.
func body(a Attributes) map[string]any {
	m := map[string]any{
		"description": a.Description, "maintenance_note": a.Note, "tag_list": a.Tags, "run_untagged": a.RunUntagged,
		"locked": a.Locked, "paused": a.Paused, "access_level": a.AccessLevel,
	}
	if a.Tags == nil {
		m["tag_list"] = []string{}
	}
	if a.MaximumTimeout > 0 {
		m["maximum_timeout"] = a.MaximumTimeout
	}
	return m
}

func (r restAPI) CreateRunner(ctx context.Context, a Attributes) (Made, error) {
	m := body(a)
	switch {
	case a.Group != 0:
		m["runner_type"], m["group_id"] = "group_type", a.Group
	case a.Project != 0:
		m["runner_type"], m["project_id"] = "project_type", a.Project
	default:
		m["runner_type"] = "instance_type"
	}
	made, err := r.make(ctx, "user/runners", m)
	if errors.Is(err, ErrNotFound) && a.Group == 0 && a.Project == 0 {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return made, err
}

func (r restAPI) RegisterRunner(ctx context.Context, registration Secret, a Attributes) (Made, error) {
	m := body(a)
	m["token"], m["tag_list"] = registration.Reveal(), strings.Join(a.Tags, ",")
	return r.make(ctx, "runners", m, registration)
}

func (r restAPI) make(ctx context.Context, path string, m map[string]any, secrets ...Secret) (Made, error) {
	var a answer
	if _, err := r.call(ctx, http.MethodPost, path, m, &a, secrets...); err != nil {
		return Made{}, err
	}
	if a.ID == 0 || a.Token == "" {
		return Made{}, fmt.Errorf("POST %s: the answer holds no id or no token", path)
	}
	return a.made(), nil
}

func (r restAPI) UpdateRunner(ctx context.Context, id int64, a Attributes) error {
	m := body(a)
	if a.MaximumTimeout == 0 {
		m["maximum_timeout"] = nil // as the project says
	}
	_, err := r.call(ctx, http.MethodPut, fmt.Sprintf("runners/%d", id), m, nil)
	return err
}

func (r restAPI) PauseRunner(ctx context.Context, id int64, paused bool) error {
	_, err := r.call(ctx, http.MethodPut, fmt.Sprintf("runners/%d", id), map[string]any{"paused": paused}, nil)
	return err
}

func (r restAPI) DeleteRunner(ctx context.Context, id int64) error {
	_, err := r.call(ctx, http.MethodDelete, fmt.Sprintf("runners/%d", id), nil, nil)
	return err
}

func (r restAPI) DeleteByToken(ctx context.Context, token Secret) error {
	_, err := r.call(ctx, http.MethodDelete, "runners", map[string]any{"token": token.Reveal()}, nil, token)
	return err
}

func (r restAPI) ResetToken(ctx context.Context, id int64) (Made, error) {
	var a answer
	if _, err := r.call(ctx, http.MethodPost, fmt.Sprintf("runners/%d/reset_authentication_token", id), nil, &a); err != nil {
		return Made{}, err
	}
	if a.Token == "" {
		return Made{}, fmt.Errorf("reset token of runner %d: the answer holds none", id)
	}
	a.ID = id
	return a.made(), nil
}

// Verify reads the answer as text first: forges before 15 say just "200".
func (r restAPI) Verify(ctx context.Context, token Secret) (int64, error) {
	var text strings.Builder
	if _, err := r.call(ctx, http.MethodPost, "runners/verify", map[string]any{"token": token.Reveal()}, io.Writer(&text), token); err != nil {
		return 0, err
	}
	var a answer
	if json.Unmarshal([]byte(text.String()), &a) != nil {
		return 0, nil
	}
	return a.ID, nil
}

func (r restAPI) RunnerStatus(ctx context.Context, id int64) (Status, error) {
	var a answer
	if _, err := r.call(ctx, http.MethodGet, fmt.Sprintf("runners/%d", id), nil, &a); err != nil {
		return Status{}, err
	}
	return a.status(), nil
}

// reach is the API of any forge, by way of the system's authorities and the
// one that the configuration names. Without a token only calls that need none
// are answered.
func (cfg Config) reach(ctx context.Context, host converge.Host, url string, token Secret) (api restAPI, err error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.CAFile != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pem := cfg.CA
		if len(pem) == 0 {
			if pem, err = host.ReadFile(ctx, cfg.CAFile); err != nil {
				return api, fmt.Errorf("read authority %s: %w", cfg.CAFile, err)
			}
		}
		if !pool.AppendCertsFromPEM(pem) {
			return api, fmt.Errorf("read authority %s: it holds no certificate", cfg.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	client, err := gitlab.NewClient(token.Reveal(),
		gitlab.WithBaseURL(url+"/api/v4"),
		gitlab.WithHTTPClient(redirect.SameServer(&http.Client{Transport: transport, Timeout: time.Minute})),
		gitlab.WithURLWarningLogger(slog.New(slog.DiscardHandler)),
		gitlab.WithCustomRetryWaitMinMax(200*time.Millisecond, 2*time.Second),
	)
	if err != nil {
		return api, fmt.Errorf("make client for %s: %w", url, err)
	}
	return restAPI{client}, nil
}
