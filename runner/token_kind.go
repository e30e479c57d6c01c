package runner

import (
	"context"
	"net/http"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// tokenKind is what the forge's token turns out to be. GitLab made runners with
// registration tokens, and then with API tokens; a token does not tell.
type tokenKind int

const (
	tokenKindUnknown tokenKind = iota
	apiToken
	registrationToken
)

// direct reaches the forge by its URL, and the first time asks which kind of
// token it was given. Where a registration token is given beside it, there is
// nothing to ask.
func (r *Runners) direct(ctx context.Context, host converge.Host) (API, error) {
	token := r.cfg.Forge.Token
	api, err := r.cfg.reach(ctx, host, r.cfg.Forge.URL, token)
	if err != nil || token.Empty() || !r.cfg.Forge.RegistrationToken.Empty() || r.kindOfToken() != tokenKindUnknown {
		return api, err
	}
	known, err := api.knowsToken(ctx)
	if err != nil {
		f := &fault.Error{Op: "reach the forge at", What: r.cfg.Forge.URL, Err: err,
			Remedy: "hepta makes the runners through the forge's API, from this machine: see that it reaches that address."}
		if strings.Contains(err.Error(), "x509: certificate signed by unknown authority") {
			f.Remedy = remedyCA
		}
		return nil, f
	}
	is := registrationToken
	if known {
		is = apiToken
	}
	r.mu.Lock()
	r.tokenKind = is
	r.mu.Unlock()
	return api, nil
}

func (r *Runners) kindOfToken() tokenKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tokenKind
}

// connected reports whether the forge's API can be asked about runners by id. It
// knows for sure once the API has been reached.
func (r *Runners) connected() bool {
	return r.connect != nil && (r.opts.connect != nil || !r.cfg.Forge.Token.Empty() && r.kindOfToken() != registrationToken)
}

// registration is the registration token, empty where there is none.
func (r *Runners) registration() Secret {
	if r.kindOfToken() == registrationToken {
		return r.cfg.Forge.Token
	}
	return r.cfg.Forge.RegistrationToken
}

// knowsToken reports whether the client's token is an API token. One whose scopes
// do not reach as far is one all the same.
func (r restAPI) knowsToken(ctx context.Context) (bool, error) {
	resp, err := r.call(ctx, http.MethodGet, "user", nil, nil)
	if resp == nil || resp.Response == nil {
		return false, err
	}
	return resp.StatusCode != http.StatusUnauthorized, nil
}
