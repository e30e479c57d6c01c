package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/heptaup/hepta/internal/fault"
)

// The reasons for which a registry gives nothing.
var (
	ErrDenied   = errors.New("access denied")
	ErrNotFound = errors.New("no such image")
)

// manifestTypes are the manifests that Docker knows, the index first: the
// digest is that of what a pull asks for.
var manifestTypes = strings.Join([]string{
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

// Digest asks the registry which manifest an image reference names now. The
// zero Credentials ask as nobody. The reference may begin with http:// for a
// registry without TLS, which is taken for granted on the loopback. The error
// is, where it applies, an ErrDenied or an ErrNotFound.
func Digest(ctx context.Context, client *http.Client, ref string, creds Credentials) (string, error) {
	plain, bare := "", ref
	if rest, ok := strings.CutPrefix(ref, "http://"); ok {
		plain, bare = "http://", rest
	} else if rest, ok := strings.CutPrefix(ref, "https://"); ok {
		plain, bare = "https://", rest
	}
	named, err := reference.ParseDockerRef(bare)
	if err != nil {
		return "", &fault.Error{Op: "read image reference", What: ref, Err: err, Remedy: "Write it as in registry.example.org/group/project:tag."}
	}
	host := reference.Domain(named)
	if host == "docker.io" {
		host = "registry-1.docker.io"
	}
	c, err := connect(client, plain+host)
	if err != nil {
		return "", err
	}
	return c.digest(ctx, named, creds)
}

func (c *conn) digest(ctx context.Context, named reference.Named, creds Credentials) (string, error) {
	fail := func(why, remedy string, err error) (string, error) {
		return "", &fault.Error{Op: "look up image", What: reference.FamiliarString(named), Why: why, Remedy: remedy, Err: err}
	}
	at := "latest"
	switch r := named.(type) {
	case reference.Digested:
		at = r.Digest().String()
	case reference.Tagged:
		at = r.Tag()
	}
	address := c.api(reference.Path(named) + "/manifests/" + at)
	var token Secret
	ask := func(method string) (*answer, error) {
		return c.do(ctx, method, address, func(r *http.Request) {
			r.Header.Set("Accept", manifestTypes)
			if !token.Empty() {
				bearerAuth(token)(r)
			}
		})
	}
	got, err := ask(http.MethodHead)
	if err == nil && got.StatusCode == http.StatusUnauthorized {
		if token, err = c.token(ctx, got, creds, "repository:"+reference.Path(named)+":pull"); err != nil {
			return "", err
		}
		got, err = ask(http.MethodHead)
	}
	if err != nil {
		return fail("", c.remedy(), err)
	}
	switch got.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return fail("", "Check name and tag.", ErrNotFound)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fail("the registry denies it to "+orNobody(creds.User), "Log in as someone who may read the project.", ErrDenied)
	default:
		return fail("the registry answers "+got.said(), c.remedy(), nil)
	}
	if d, err := digest.Parse(got.Header.Get("Docker-Content-Digest")); err == nil {
		return d.String(), nil
	}
	// The header is optional; the content is what counts.
	if got, err = ask(http.MethodGet); err != nil {
		return fail("", "", err)
	}
	if got.StatusCode != http.StatusOK || len(got.body) == 0 || len(got.body) == maxAnswer {
		return fail("the registry answers "+got.Status, "", nil)
	}
	return digest.FromBytes(got.body).String(), nil
}
