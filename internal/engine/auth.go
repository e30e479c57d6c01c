package engine

import (
	"context"
	"errors"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/heptaup/hepta/internal/dockerauth"
)

// hubKey is what Docker Hub is called in a docker configuration.
const hubKey = "https://index.docker.io/v1/"

// registryOf is the registry that an image comes from.
func registryOf(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "docker.io"
	}
	return reference.Domain(named)
}

// registryAuth gives the credentials for an image in the form that the Engine
// wants, "" when there are none.
func registryAuth(ctx context.Context, ref string) (string, error) {
	auth, err := Credentials(ctx, ref)
	if auth == (registry.AuthConfig{}) {
		return "", err
	}
	text, wrong := registry.EncodeAuthConfig(auth)
	return text, errors.Join(err, wrong)
}

// Credentials gives what the docker configuration of this machine and its
// environment know about the registry of an image; ServerAddress is what they
// call that registry. Without any it is the zero value. Credentials may come
// with an error, which then tells what was passed over.
func Credentials(ctx context.Context, ref string) (registry.AuthConfig, error) {
	config, unread := dockerauth.Read()
	key := registryOf(ref)
	if key == "docker.io" {
		key = hubKey
	}
	found, err := config.Lookup(ctx, key)
	err = errors.Join(unread, err)
	if found == (dockerauth.Credentials{}) {
		return registry.AuthConfig{}, err
	}
	return registry.AuthConfig{
		Username: found.User, Password: found.Password, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken, ServerAddress: key,
	}, err
}
