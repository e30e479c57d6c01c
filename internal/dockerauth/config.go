package dockerauth

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
)

// Config is the part of the docker CLI's configuration that matters here.
type Config struct {
	CurrentContext string            `json:"currentContext"`
	CredsStore     string            `json:"credsStore"`
	CredHelpers    map[string]string `json:"credHelpers"`
	Auths          map[string]Entry  `json:"auths"`
}

// Dir is where the docker CLI keeps its configuration, contexts and
// certificates: $DOCKER_CONFIG, or .docker of the home directory.
func Dir() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".docker"
	}
	return filepath.Join(home, ".docker")
}

// Read reads the docker CLI's configuration; none is as good as an empty one.
// No error quotes what the file holds.
func Read() (Config, error) {
	var c Config
	name := filepath.Join(Dir(), "config.json")
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
	if json.Unmarshal(b, &c) != nil {
		return Config{}, fmt.Errorf("read docker configuration %s: it is not what Docker writes: repair the file, or move it away and log in anew", name)
	}
	return c, nil
}

// Credentials are what a registry is asked with.
type Credentials struct {
	User, Password string
	IdentityToken  string
	RegistryToken  string
}

// Lookup gives the credentials for the registry of a key below auths, as the
// docker CLI finds them: in $DOCKER_AUTH_CONFIG, else from the helper that keeps
// those of the registry, else in the file. Without any they are the zero value.
// Credentials may come with an error, which then tells what was passed over.
func (c Config) Lookup(ctx context.Context, key string) (Credentials, error) {
	given, wrong := fromEnvironment()
	if found, ok := given[key]; ok {
		return found, nil
	}
	found, err := c.kept(ctx, key)
	return found, errors.Join(wrong, err)
}

// Variable is the environment variable whose credentials come before those of
// the configuration.
const Variable = "DOCKER_AUTH_CONFIG"

// fromEnvironment reads Variable. It takes {"auths": {KEY: {"auth": …}}} and
// nothing else: the docker CLI passes over all of it where anything else is in
// there, such as what the variable of that name in CI jobs may hold.
func fromEnvironment() (map[string]Credentials, error) {
	text := os.Getenv(Variable)
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var given struct {
		Auths map[string]struct {
			Auth string `json:"auth"`
		} `json:"auths"`
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&given) != nil || decoder.More() {
		return nil, errors.New(`the environment variable ` + Variable + ` is passed over, as the docker command does: it takes {"auths": {"REGISTRY": {"auth": "…"}}} and nothing else`)
	}
	all := map[string]Credentials{}
	for _, key := range slices.Sorted(maps.Keys(given.Auths)) {
		user, password, err := Entry{Auth: given.Auths[key].Auth}.Login()
		if err == nil && user == "" {
			err = errors.New("auth is missing")
		}
		if err != nil {
			return nil, fmt.Errorf("the environment variable %s is passed over, as the docker command does: credentials for %s: %w", Variable, key, err)
		}
		all[key] = Credentials{User: user, Password: password}
	}
	return all, nil
}

// kept gives what a helper or the file has. Where a helper is in charge, user
// and password of the file do not count.
func (c Config) kept(ctx context.Context, key string) (Credentials, error) {
	entry, known := c.Auths[key]
	if !known {
		for _, name := range slices.Sorted(maps.Keys(c.Auths)) {
			if Hostname(name) == key {
				entry = c.Auths[name]
				break
			}
		}
	}
	helper, own := c.CredHelpers[key]
	if !own {
		helper = c.CredsStore
	}
	if helper != "" {
		found, err := ask(ctx, helper, key)
		found.RegistryToken = entry.RegistryToken
		return found, err
	}
	user, password, err := entry.Login()
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials for %s: %w", key, err)
	}
	return Credentials{User: user, Password: password, IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken}, nil
}

// ask runs a credential helper of the docker CLI. That it knows nothing is no error.
func ask(ctx context.Context, helper, key string) (Credentials, error) {
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(key)
	out, err := cmd.Output()
	if err != nil {
		if bytes.Contains(out, []byte("credentials not found")) {
			return Credentials{}, nil
		}
		return Credentials{}, fmt.Errorf("credentials for %s: docker-credential-%s: %w", key, helper, err)
	}
	var found struct{ Username, Secret string }
	if json.Unmarshal(out, &found) != nil {
		return Credentials{}, fmt.Errorf("credentials for %s: docker-credential-%s gave no answer that can be read", key, helper)
	}
	if found.Username == "<token>" {
		return Credentials{IdentityToken: found.Secret}, nil
	}
	return Credentials{User: found.Username, Password: found.Secret}, nil
}
