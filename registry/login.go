package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// The reasons for which a registry gives nothing.
var (
	ErrDenied   = errors.New("access denied")
	ErrNotFound = errors.New("no such project")
)

// Secret is text that prints as ***.
type Secret = secret.Value

// NewSecret wraps text that must not be printed.
func NewSecret(text string) Secret { return secret.New(text) }

// Credentials are a user of the forge with a password, or with an access
// token, deploy token or job token in its place. The zero value is nobody.
type Credentials struct {
	User     string
	Password Secret
}

func (c Credentials) empty() bool { return c.User == "" && c.Password.Empty() }

// LoginOption adds to what Login does.
type LoginOption func(*login)

type login struct{ save string }

// SaveTo keeps credentials that proved good in a Docker configuration file, as
// `docker login` does; see DockerConfig for where Docker looks.
func SaveTo(path string) LoginOption { return func(l *login) { l.save = path } }

// Login proves credentials to the registry as a Docker client does: it takes a
// token at the realm and shows it to the registry.
func Login(ctx context.Context, client *http.Client, registryURL string, creds Credentials, opts ...LoginOption) error {
	c, err := connect(client, registryURL)
	if err != nil {
		return err
	}
	var l login
	for _, f := range opts {
		f(&l)
	}
	if creds.User == "" || creds.Password.Empty() {
		return &fault.Error{Op: "log in to", What: c.base.Host, Why: "user or password is missing"}
	}
	if err := c.prove(ctx, creds); err != nil {
		return err
	}
	if l.save == "" {
		return nil
	}
	return save(l.save, c.base.Host, creds)
}

// prove goes through the token flow once.
func (c *conn) prove(ctx context.Context, creds Credentials) error {
	got, err := c.do(ctx, http.MethodGet, c.api(""), nil)
	if err != nil {
		return c.failed("log in to", err)
	}
	if got.StatusCode != http.StatusUnauthorized {
		return &fault.Error{Op: "log in to", What: c.base.Host, Why: "it does not ask for a login but answers " + got.said(),
			Remedy: c.remedy()}
	}
	token, err := c.token(ctx, got, creds, "")
	if err != nil {
		return err
	}
	got, err = c.do(ctx, http.MethodGet, c.api(""), bearerAuth(token))
	if err != nil {
		return c.failed("log in to", err)
	}
	if got.StatusCode != http.StatusOK {
		return &fault.Error{Op: "log in to", What: c.base.Host, Why: "the forge gave a token and the registry refuses it: " + got.said(),
			Remedy: "Registry and forge disagree about key, issuer or time: check the clocks, then that both have the same registry key (gitlab-ctl reconfigure)."}
	}
	return nil
}

func (c *conn) failed(op string, err error) error {
	return &fault.Error{Op: op, What: c.base.Host, Err: err, Remedy: c.remedy()}
}

// remedy is how to find out by hand what a registry makes of a request.
func (c *conn) remedy() string {
	return fmt.Sprintf("Look for yourself: `curl -i %s` should say 401 and name the forge after Bearer realm. `hepta status` and `hepta logs heptapod` show how the forge does.", c.api(""))
}

func bearerAuth(token Secret) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.Reveal()) }
}

// token takes a token at the realm that an answer names: for a scope, or, when
// that is empty, just to prove who asks.
func (c *conn) token(ctx context.Context, got *answer, creds Credentials, scope string) (Secret, error) {
	refuse := func(why, remedy string, err error) (Secret, error) {
		return Secret{}, &fault.Error{Op: "get token for", What: c.base.Host, Why: why, Remedy: remedy, Err: err}
	}
	realm, service, err := got.bearer()
	if err != nil {
		return refuse("", "Check that this is the forge's registry.", err)
	}
	if c.base.Scheme == "https" && realm.Scheme != "https" || realm.Scheme != "https" && realm.Scheme != "http" {
		return refuse("its realm "+realm.String()+" is not https, and a password is not sent there",
			"Set the forge's external_url to https.", nil)
	}
	query := realm.Query()
	query.Set("service", service)
	query.Set("client_id", "hepta")
	if scope != "" {
		query.Set("scope", scope)
	}
	if !creds.empty() {
		query.Set("account", creds.User)
	}
	address := url.URL{Scheme: realm.Scheme, Host: realm.Host, Path: realm.Path, RawPath: realm.RawPath, RawQuery: query.Encode()}
	answer, err := c.do(ctx, http.MethodGet, address.String(), func(r *http.Request) {
		if !creds.empty() {
			r.SetBasicAuth(creds.User, creds.Password.Reveal())
		}
	})
	if err != nil {
		return refuse("", "Check that "+realm.Host+" is reached from here.", err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return refuse("the forge denies access to "+orNobody(creds.User)+": "+answer.said(),
			"Check user and password. An account with two-factor authentication needs a personal access token with read_registry (and write_registry to push); a job uses $CI_REGISTRY_USER and $CI_REGISTRY_PASSWORD.", ErrDenied)
	default:
		return refuse(realm.Host+" answers "+answer.said(), c.remedy(), nil)
	}
	var body struct {
		Token       Secret `json:"token"`
		AccessToken Secret `json:"access_token"`
	}
	if err := json.Unmarshal(answer.body, &body); err != nil {
		return refuse(realm.Host+" answers with something else than a token", "Check that external_url is the forge's address.", nil)
	}
	switch {
	case !body.Token.Empty():
		return body.Token, nil
	case !body.AccessToken.Empty():
		return body.AccessToken, nil
	}
	return refuse(realm.Host+" answers without a token", "Check that external_url is the forge's address.", nil)
}

func orNobody(user string) string {
	if user == "" {
		return "someone without a name"
	}
	return user
}
