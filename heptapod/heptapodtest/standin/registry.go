package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"
)

const registryConfig = registryDir + "/config.yml"

// registryYAML is the registry's configuration as the image writes it: tokens
// from the forge, deletion allowed, blobs on the data volume.
// heptapod-docker 4.
func registryYAML(s settings, keys secrets) ([]byte, error) {
	realm := s.text("registry", "token_realm")
	if realm == "" {
		realm = s.text("external_url")
	}
	b, err := yaml.Marshal(map[string]any{
		"version": "0.1",
		"log":     map[string]any{"level": "info", "formatter": "text", "fields": map[string]any{"service": "registry", "environment": "production"}},
		"storage": map[string]any{
			"cache":      map[string]any{"blobdescriptor": "inmemory"},
			"filesystem": map[string]any{"rootdirectory": blobPath(s)},
			"delete":     map[string]any{"enabled": s.truth(true, "registry", "storage_delete_enabled")},
		},
		"http": map[string]any{
			"addr":    registryAddr,
			"secret":  keys.text("registry", "http_secret"),
			"headers": map[string]any{"X-Content-Type-Options": []string{"nosniff"}},
		},
		"auth": map[string]any{"token": map[string]any{
			"realm":          realm + "/jwt/auth",
			"service":        "container_registry",
			"issuer":         registryIssuer(s),
			"rootcertbundle": registryDir + "/gitlab-registry.crt",
			"jwks":           registryDir + "/gitlab-registry.jwks",
			"autoredirect":   false,
		}},
		"health": map[string]any{"storagedriver": map[string]any{"enabled": true, "interval": "10s", "threshold": 3}},
	})
	if err != nil {
		return nil, fmt.Errorf("render registry configuration: %w", err)
	}
	return b, nil
}

func blobPath(s settings) string {
	if p := s.text("gitlab_rails", "registry_path"); p != "" {
		return p
	}
	return blobDir
}

func registryIssuer(s settings) string {
	if i := s.text("gitlab_rails", "registry_issuer"); i != "" {
		return i
	}
	return "omnibus-gitlab-issuer"
}

// writeRegistry writes the registry's files and reports whether one changed.
func (f *forge) writeRegistry(s settings, keys secrets) (changed bool, err error) {
	config, err := registryYAML(s, keys)
	if err != nil {
		return false, err
	}
	jwks, err := f.server.RegistryJWKS()
	if err != nil {
		return false, fmt.Errorf("look up the registry's keys: %w", err)
	}
	cert, err := f.server.RegistryCertificate()
	if err != nil {
		return false, fmt.Errorf("look up the registry's certificate: %w", err)
	}
	for _, dir := range []string{registryDir, blobPath(s)} {
		if err := os.MkdirAll(dir, 0o770); err != nil {
			return false, fmt.Errorf("make directory of the registry: %w", err)
		}
		if err := os.Chown(dir, registryUID, registryUID); err != nil {
			return false, fmt.Errorf("hand directory to the registry: %w", err)
		}
	}
	for file, content := range map[string][]byte{
		registryConfig: config, registryDir + "/gitlab-registry.jwks": jwks, registryDir + "/gitlab-registry.crt": cert,
	} {
		old, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("read registry's file: %w", err)
		}
		if bytes.Equal(old, content) {
			continue
		}
		changed = true
		if err := renameio.WriteFile(file, content, 0o640); err != nil {
			return false, fmt.Errorf("write registry's file: %w", err)
		}
		if err := os.Chown(file, 0, registryUID); err != nil {
			return false, fmt.Errorf("hand file to the registry: %w", err)
		}
	}
	return changed, nil
}
