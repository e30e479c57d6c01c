package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestTypes are the manifests that Docker knows, the index first: the
// digest is that of what a pull asks for.
var manifestTypes = strings.Join([]string{
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

// snag is why an image does not get through, as a finding tells it.
type snag struct{ saw, means, remedy string }

func (s *snag) Error() string { return s.saw + ": " + s.means }

// transfer moves images in and out of one repository.
type transfer struct {
	*conn
	repository string
	token      Secret
}

func (t *transfer) at(path string) string { return t.api(t.repository + "/" + path) }

// push sends the image's parts and names it by a tag.
func (t *transfer) push(ctx context.Context, i *image, tag string) error {
	for _, blob := range [][]byte{i.config, i.layer} {
		if err := t.upload(ctx, blob); err != nil {
			return err
		}
	}
	got, err := t.send(ctx, http.MethodPut, t.at("manifests/"+tag), i.manifest, func(r *http.Request) {
		bearerAuth(t.token)(r)
		r.Header.Set("Content-Type", v1.MediaTypeImageManifest)
	})
	if err != nil {
		return err
	}
	if got.StatusCode != http.StatusCreated {
		return t.refused("PUT of the manifest", got)
	}
	return nil
}

// upload sends one blob in two steps, as Docker does: the registry says where
// it wants to have it.
func (t *transfer) upload(ctx context.Context, blob []byte) error {
	got, err := t.do(ctx, http.MethodPost, t.at("blobs/uploads/"), bearerAuth(t.token))
	if err != nil {
		return err
	}
	if got.StatusCode != http.StatusAccepted {
		return t.refused("start of an upload", got)
	}
	to, err := got.Request.URL.Parse(got.Header.Get("Location"))
	if err != nil || got.Header.Get("Location") == "" {
		return &snag{"no Location in the answer to an upload", "Clients do not know where to send a layer.", "Check that nothing between here and the registry drops headers."}
	}
	if !sameOrigin(to, t.base) {
		return &snag{"uploads are sent to " + to.Scheme + "://" + to.Host, "Clients send their layers to an address that may not lead to the registry, or in the clear.",
			"The proxy has to pass on Host and X-Forwarded-Proto as the client sees them; registry_external_url has to be " + t.base.String() + "."}
	}
	query := to.Query()
	query.Set("digest", digest.FromBytes(blob).String())
	to.RawQuery = query.Encode()
	got, err = t.send(ctx, http.MethodPut, to.String(), blob, func(r *http.Request) {
		bearerAuth(t.token)(r)
		r.Header.Set("Content-Type", "application/octet-stream")
	})
	if err != nil {
		return err
	}
	if got.StatusCode != http.StatusCreated {
		return t.refused("PUT of a layer", got)
	}
	return nil
}

// refused says what an answer to a push or pull comes from.
func (t *transfer) refused(step string, got *answer) error {
	s := &snag{saw: step + ": " + got.said()}
	switch got.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		s.means = "The forge does not let this user do that in " + t.repository + "."
		s.remedy = "Check that the project exists and has its registry switched on, that the user is Developer there or more, and that the token has write_registry."
	case http.StatusNotFound:
		s.means = "The registry has lost what it has just been given, or the path is not passed on as it is."
		s.remedy = "Check that nothing in front of the registry changes paths, then look at its log: `gitlab-ctl tail registry`."
	case http.StatusMethodNotAllowed:
		s.means = "The registry is read-only or something in front of it lets no such request through."
		s.remedy = "Check registry['maintenance'] in gitlab.rb and the middlewares of the proxy."
	case http.StatusRequestEntityTooLarge:
		s.means = "Something in front of the registry limits how much may be sent at once: no layer of any size gets through."
		s.remedy = "Take buffering off the registry's route in the proxy and leave client_max_body_size of its nginx at 0."
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		s.means = "The registry went away in the middle."
		s.remedy = "Look at its log: `gitlab-ctl tail registry`."
	default:
		s.means = "The registry does not take or give images."
		s.remedy = "Look at its log: `gitlab-ctl tail registry`. A full disk and wrong owners of its directory are the usual causes."
	}
	return s
}

// pull asks for the image by its digest, and for its layer, and compares.
func (t *transfer) pull(ctx context.Context, i *image) error {
	manifest, err := t.do(ctx, http.MethodGet, t.at("manifests/"+i.digest().String()), func(r *http.Request) {
		bearerAuth(t.token)(r)
		r.Header.Set("Accept", manifestTypes)
	})
	if err != nil {
		return err
	}
	if manifest.StatusCode != http.StatusOK {
		return t.refused("GET of the manifest", manifest)
	}
	layer, err := t.blob(ctx, t.at("blobs/"+digest.FromBytes(i.layer).String()))
	if err != nil {
		return err
	}
	if layer.StatusCode != http.StatusOK {
		return t.refused("GET of a layer", layer)
	}
	if !bytes.Equal(manifest.body, i.manifest) || !bytes.Equal(layer.body, i.layer) {
		return &snag{"what comes back is not what was pushed", "Pulled images are damaged; Docker refuses them.", "Check that nothing between here and the registry rewrites or caches answers."}
	}
	return nil
}

// blob follows where a registry keeps its blobs elsewhere, and shows its token
// to the registry alone.
func (t *transfer) blob(ctx context.Context, address string) (*answer, error) {
	prepare := bearerAuth(t.token)
	for range 5 {
		got, err := t.do(ctx, http.MethodGet, address, prepare)
		if err != nil || got.StatusCode < 300 || got.StatusCode >= 400 {
			return got, err
		}
		to, err := got.Request.URL.Parse(got.Header.Get("Location"))
		if err != nil {
			return nil, fmt.Errorf("follow redirect: %w", err)
		}
		address, prepare = to.String(), nil
		if sameOrigin(to, t.base) {
			prepare = bearerAuth(t.token)
		}
	}
	return nil, &snag{"more than five redirects", "Clients give up on pulling layers.", "Check the storage of the registry and what is in front of it."}
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && hostPort(a) == hostPort(b) }

// remove deletes the image by its digest and reports whether the registry lets it.
func (t *transfer) remove(ctx context.Context, i *image) (*answer, error) {
	return t.do(ctx, http.MethodDelete, t.at("manifests/"+i.digest().String()), bearerAuth(t.token))
}
