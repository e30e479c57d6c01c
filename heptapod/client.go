package heptapod

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
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
// the token kept there.
func (f *Forge) ClientOn(ctx context.Context, host converge.Host) (*gitlab.Client, error) {
	token, err := f.tokenOn(ctx, host)
	if err != nil {
		return nil, err
	}
	return NewClient(f.URL(), token.Value, &http.Client{Transport: f.through(host)})
}

// tokenOn reads the token that is kept on the host.
func (f *Forge) tokenOn(ctx context.Context, host converge.Host) (Token, error) {
	token, err := readToken(ctx, host)
	if err != nil {
		return Token{}, &fault.Error{
			Op: "read API token of", What: f.ContainerName(), Err: err,
			Remedy: "Bring the forge up once more: a token that is missing or unreadable is made anew.",
		}
	}
	if !f.now().Before(token.Expires) {
		return Token{}, &fault.Error{
			Op: "read API token of", What: f.ContainerName(), Why: "it ended on " + token.Expires.Format(time.DateOnly),
			Remedy: "Bring the forge up once more: a token that has ended is made anew.",
		}
	}
	return token, nil
}
