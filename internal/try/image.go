package try

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	dockerregistry "github.com/docker/docker/api/types/registry"
)

// auth is what the Engine hands on to a registry.
func auth(password string) (string, error) {
	return dockerregistry.EncodeAuthConfig(dockerregistry.AuthConfig{
		Username: "root", Password: password, ServerAddress: registryHost,
	})
}

// pushImage pushes a local image of the sandbox as ref.
func (t *trial) pushImage(ctx context.Context, local, ref, password string) error {
	if err := t.inner.ImageTag(ctx, local, ref); err != nil {
		return fmt.Errorf("tag image %s: %w", ref, err)
	}
	credentials, err := auth(password)
	if err != nil {
		return fmt.Errorf("push image %s: %w", ref, err)
	}
	said, err := t.inner.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: credentials})
	if err != nil {
		return fmt.Errorf("push image %s: %w", ref, err)
	}
	defer said.Close()
	if err := heard(said); err != nil {
		return fmt.Errorf("push image %s: %w", ref, err)
	}
	return nil
}

// pull brings both images back out of the registry, by way of the proxy. What
// the jobs left on the sandbox's engine is removed first, so that the registry
// has to give them.
func (t *trial) pull(ctx context.Context) error {
	password, err := t.stack.Forge().RootPassword(ctx)
	if err != nil {
		return err
	}
	credentials, err := auth(password.Reveal())
	if err != nil {
		return err
	}
	for _, tag := range []string{"dind", "socket"} {
		ref := registryHost + "/" + project + ":" + tag
		if _, err := t.inner.ImageRemove(ctx, ref, image.RemoveOptions{Force: true, PruneChildren: true}); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove image %s: %w", ref, err)
		}
		said, err := t.inner.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: credentials})
		if err != nil {
			return fmt.Errorf("pull image %s: %w", ref, err)
		}
		err = errors.Join(heard(said), said.Close())
		if err != nil {
			return fmt.Errorf("pull image %s: %w", ref, err)
		}
		i, err := t.inner.ImageInspect(ctx, ref)
		if err != nil {
			return fmt.Errorf("inspect image %s: %w", ref, err)
		}
		t.summary.Images = append(t.summary.Images, Image{Ref: ref, Digest: digestOf(i.RepoDigests)})
	}
	return nil
}

// heard reads the Engine's answers to the end and returns the error in them.
func heard(r io.Reader) error {
	d := json.NewDecoder(r)
	for {
		var m struct {
			Error string `json:"error"`
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}

// digestOf is the digest in the first of references like name@sha256:….
func digestOf(refs []string) string {
	for _, r := range refs {
		if _, digest, ok := strings.Cut(r, "@"); ok {
			return digest
		}
	}
	return ""
}
