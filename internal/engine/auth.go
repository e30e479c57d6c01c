package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/heptaup/hepta/internal/dockerauth"
)

// dockerConfig is the part of the docker CLI's configuration that matters
// here.
type dockerConfig struct {
	CurrentContext string                      `json:"currentContext"`
	CredsStore     string                      `json:"credsStore"`
	CredHelpers    map[string]string           `json:"credHelpers"`
	Auths          map[string]dockerauth.Entry `json:"auths"`
}

// configDir is where the docker CLI keeps its configuration, contexts and
// certificates.
func configDir() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".docker"
	}
	return filepath.Join(home, ".docker")
}

// loadDockerConfig reads the docker CLI's configuration; none is as good as
// an empty one.
func loadDockerConfig() (dockerConfig, error) {
	var c dockerConfig
	name := filepath.Join(configDir(), "config.json")
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read docker configuration: %w", err)
	}
	if len(bytes.TrimSpace(b)) == 0 { // as a file that was only touched
		return c, nil
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read docker configuration %s: %w", name, err)
	}
	return c, nil
}

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
	if err != nil || auth == (registry.AuthConfig{}) {
		return "", err
	}
	return registry.EncodeAuthConfig(auth)
}

// Credentials gives what the docker configuration of this machine knows about
// the registry of an image; ServerAddress is what it calls that registry.
// Without any it is the zero value.
func Credentials(ctx context.Context, ref string) (registry.AuthConfig, error) {
	config, err := loadDockerConfig()
	if err != nil {
		return registry.AuthConfig{}, err
	}
	key := registryOf(ref)
	if key == "docker.io" {
		key = hubKey
	}
	auth, err := config.lookup(ctx, key)
	if err != nil || auth == (registry.AuthConfig{}) {
		return registry.AuthConfig{}, err
	}
	auth.ServerAddress = key
	return auth, nil
}

// lookup asks the helper that keeps the credentials of a registry, and then
// the file itself.
func (c dockerConfig) lookup(ctx context.Context, key string) (registry.AuthConfig, error) {
	helper, own := c.CredHelpers[key]
	if !own {
		helper = c.CredsStore
	}
	if helper != "" {
		if found, err := askHelper(ctx, helper, key); err != nil || found != (registry.AuthConfig{}) {
			return found, err
		}
	}
	entry, known := c.Auths[key]
	if !known {
		for _, name := range slices.Sorted(maps.Keys(c.Auths)) {
			if dockerauth.Hostname(name) == key {
				entry = c.Auths[name]
			}
		}
	}
	user, password, err := entry.Login()
	if err != nil {
		return registry.AuthConfig{}, fmt.Errorf("credentials for %s: %w", key, err)
	}
	return registry.AuthConfig{Username: user, Password: password, IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken}, nil
}

// askHelper runs a credential helper of the docker CLI. That it knows nothing
// is no error.
func askHelper(ctx context.Context, helper, key string) (registry.AuthConfig, error) {
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(key)
	out, err := cmd.Output()
	if err != nil {
		if bytes.Contains(out, []byte("credentials not found")) {
			return registry.AuthConfig{}, nil
		}
		return registry.AuthConfig{}, fmt.Errorf("credentials for %s: docker-credential-%s: %w", key, helper, err)
	}
	var found struct{ Username, Secret string }
	if err := json.Unmarshal(out, &found); err != nil {
		return registry.AuthConfig{}, fmt.Errorf("credentials for %s: docker-credential-%s gave no answer that can be read", key, helper)
	}
	if found.Username == "<token>" {
		return registry.AuthConfig{IdentityToken: found.Secret}, nil
	}
	return registry.AuthConfig{Username: found.Username, Password: found.Secret}, nil
}
