package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/heptaup/hepta/internal/fault"
)

// DockerConfig is where Docker clients keep what `docker login` learns:
// config.json in $DOCKER_CONFIG, or in .docker of the home directory.
func DockerConfig() (string, error) {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find docker configuration: %w", err)
	}
	return filepath.Join(home, ".docker", "config.json"), nil
}

// dockerConfig is a configuration file with what is not ours left as it is.
type dockerConfig struct {
	all     map[string]json.RawMessage
	auths   map[string]json.RawMessage
	store   string            // program that keeps all credentials, "" for the file
	helpers map[string]string // the same for one registry
}

func readDockerConfig(path string) (*dockerConfig, error) {
	c := &dockerConfig{all: map[string]json.RawMessage{}, auths: map[string]json.RawMessage{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(text)) == 0 {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read docker configuration: %w", err)
	}
	// The decoder's own words may quote what is in the file.
	damaged := &fault.Error{Op: "read docker configuration", What: path, Why: "it is not what Docker writes",
		Remedy: "Repair the file, or move it away and log in anew."}
	if err := json.Unmarshal(text, &c.all); err != nil || c.all == nil {
		return nil, damaged
	}
	for key, into := range map[string]any{"auths": &c.auths, "credsStore": &c.store, "credHelpers": &c.helpers} {
		if raw, ok := c.all[key]; ok && json.Unmarshal(raw, into) != nil {
			return nil, damaged
		}
	}
	if c.auths == nil {
		c.auths = map[string]json.RawMessage{}
	}
	return c, nil
}

// keeper is the program that keeps the credentials of host, or "".
func (c *dockerConfig) keeper(host string) string {
	if helper, ok := c.helpers[host]; ok {
		return helper
	}
	return c.store
}

type dockerAuth struct {
	Auth string `json:"auth"`
}

// save replaces the entry of one host. Everything else in the file stays, and
// whoever reads it meanwhile sees the old file or the new one.
func save(path, host string, creds Credentials) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	c, err := readDockerConfig(path)
	if err != nil {
		return err
	}
	if keeper := c.keeper(host); keeper != "" {
		return &fault.Error{Op: "save credentials for", What: host, Why: path + " leaves them to docker-credential-" + keeper,
			Remedy: "Run `docker login --password-stdin " + host + "` instead."}
	}
	auth := base64.StdEncoding.EncodeToString([]byte(creds.User + ":" + creds.Password.Reveal()))
	if c.auths[host], err = json.Marshal(dockerAuth{auth}); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	if c.all["auths"], err = json.Marshal(c.auths); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	text, err := json.MarshalIndent(c.all, "", "\t")
	if err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	if err := replaceFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	return nil
}

// replaceFile writes a file that only its owner reads, whoever read the old one.
func replaceFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
