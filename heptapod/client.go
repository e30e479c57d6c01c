package heptapod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/redirect"
)

// NewClient returns a client of the REST API below url, which is the forge's
// own URL without /api. A nil httpClient stands for http.DefaultClient. It
// logs nothing, repeats what the forge answers with 429 or 5xx, and follows
// redirects only to the same server.
func NewClient(url string, token Secret, httpClient *http.Client) (*gitlab.Client, error) {
	client, err := gitlab.NewClient(token.Reveal(),
		gitlab.WithBaseURL(strings.TrimRight(url, "/")+"/api/v4"),
		gitlab.WithHTTPClient(redirect.SameServer(httpClient)),
		gitlab.WithURLWarningLogger(slog.New(slog.DiscardHandler)),
		gitlab.WithCustomRetryWaitMinMax(200*time.Millisecond, 2*time.Second),
	)
	if err != nil {
		return nil, fmt.Errorf("make client for %s: %w", url, err)
	}
	return client, nil
}

// ClientOn returns a client that works through the container on host, with
// the token kept there. The stack's lock is held: where there is no token, or
// the forge refuses it, another one is made and kept.
func (f *Forge) ClientOn(ctx context.Context, host Host) (*gitlab.Client, error) {
	return f.clientOn(ctx, opaque.Show(host))
}

func (f *Forge) clientOn(ctx context.Context, host converge.Host) (*gitlab.Client, error) {
	return f.client(ctx, func(_ context.Context, _ bool, work func(converge.Host) error) error { return work(host) })
}

// Client is a client of the forge's REST API with the rights of an
// administrator. It works wherever the Engine can be reached: requests go
// through the container, one exec each. Where no token is kept on the host, or
// the forge refuses it, another one is made, which takes the stack's lock: who
// holds that already uses ClientOn.
func (f *Forge) Client(ctx context.Context) (*gitlab.Client, error) {
	return f.client(ctx, func(ctx context.Context, change bool, work func(converge.Host) error) error {
		host, release, err := f.connect(ctx, change)
		if err != nil {
			return err
		}
		defer release()
		return work(host)
	})
}

func (f *Forge) client(ctx context.Context, onHost func(context.Context, bool, func(converge.Host) error) error) (*gitlab.Client, error) {
	t := &tokenTransport{f: f, onHost: onHost}
	if _, err := t.present(ctx); err != nil {
		return nil, err
	}
	return NewClient(f.URL(), Secret{}, &http.Client{Transport: t})
}

// keptToken reads the token that is kept on the host. Where that is none that
// lasts, it says why.
func (f *Forge) keptToken(ctx context.Context, host converge.Host) (token Token, why string, err error) {
	content, err := host.ReadFile(ctx, FileToken)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Token{}, "", fmt.Errorf("read API token of %s: %w", f.ContainerName(), err)
	}
	token, err = ParseToken(content)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "there is none at " + f.cfg.Data + "/" + FileToken
	case err != nil:
		why = err.Error()
	case !f.now().Before(token.Expires):
		why = "it ended on " + token.Expires.Format(time.DateOnly)
	}
	return token, why, nil
}
