package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/google/renameio/v2"
)

// secrets are the keys of gitlab-secrets.json, section by section. Sections
// that the stand-in does not know are kept.
type secrets map[string]map[string]any

// loadSecrets reads the secrets and adds those that are missing.
func loadSecrets(file string) (secrets, error) {
	s := secrets{}
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read secrets: %w", err)
	default:
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, fmt.Errorf("parse %s: %w", file, err)
		}
	}
	changed := false
	add := func(section, key string, value func() (string, error)) error {
		if s[section] == nil {
			s[section] = map[string]any{}
		}
		if text, _ := s[section][key].(string); text != "" {
			return nil
		}
		text, err := value()
		if err != nil {
			return fmt.Errorf("make secret %s.%s: %w", section, key, err)
		}
		s[section][key] = text
		changed = true
		return nil
	}
	err = errors.Join(
		add("gitlab_workhorse", "secret_token", randomHex(32)),
		add("gitlab_shell", "secret_token", randomHex(64)),
		add("gitlab_rails", "secret_key_base", randomHex(64)),
		add("gitlab_rails", "db_key_base", randomHex(64)),
		add("gitlab_rails", "otp_key_base", randomHex(64)),
		add("gitlab_rails", "openid_connect_signing_key", rsaKey),
		add("registry", "http_secret", randomHex(64)),
		add("registry", "internal_key", rsaKey),
	)
	if err != nil || !changed {
		return s, err
	}
	if b, err = json.MarshalIndent(s, "", "  "); err != nil {
		return nil, fmt.Errorf("encode secrets: %w", err)
	}
	if err := renameio.WriteFile(file, append(b, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write secrets: %w", err)
	}
	return s, nil
}

func (s secrets) text(section, key string) string {
	text, _ := s[section][key].(string)
	return text
}

// databaseKey identifies the key that columns of the database are encrypted
// with, without telling it.
func (s secrets) databaseKey() string {
	sum := sha256.Sum256([]byte("database " + s.text("gitlab_rails", "db_key_base")))
	return hex.EncodeToString(sum[:])
}

func randomHex(bytes int) func() (string, error) {
	return func() (string, error) {
		b := make([]byte, bytes)
		_, err := rand.Read(b)
		return hex.EncodeToString(b), err
	}
}

func rsaKey() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), nil
}

// hostKeys makes the ssh host keys that are missing, once, on the volume.
func hostKeys(dir string, say func(string)) error {
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		file := dir + "/ssh_host_" + kind + "_key"
		if _, err := os.Stat(file); err == nil {
			// A copied volume may have lost the mode that sshd insists on.
			if err := os.Chmod(file, 0o600); err != nil {
				return fmt.Errorf("protect ssh host key: %w", err)
			}
			continue
		}
		say("Generating ssh_host_" + kind + "_key...")
		out, err := exec.Command("ssh-keygen", "-q", "-f", file, "-N", "", "-t", kind, "-C", "root@gitlab").CombinedOutput()
		if err != nil {
			return fmt.Errorf("make ssh host key: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
