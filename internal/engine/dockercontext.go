package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"

	"github.com/heptaup/hepta/internal/dockerauth"
	"github.com/heptaup/hepta/internal/fault"
)

// contextMeta is meta.json of a context of the docker CLI.
type contextMeta struct {
	Name      string
	Endpoints map[string]struct {
		Host          string
		SkipTLSVerify bool
	}
}

// loadContext reads a context from the docker CLI's store: meta.json and the
// TLS files, in directories named after the hash of the context's name. The
// name "default" and none at all mean the local socket.
func loadContext(name string) (address, error) {
	if name == "" || name == "default" {
		return address{host: client.DefaultDockerHost}, nil
	}
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	store := filepath.Join(dockerauth.Dir(), "contexts")
	b, err := os.ReadFile(filepath.Join(store, "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return address{}, &fault.Error{Op: "read docker context", What: name, Why: "there is no such context",
			Remedy: "See which there are (docker context ls) and choose one with docker context use NAME, DOCKER_CONTEXT, or docker: NAME in hepta.yaml.", Err: err}
	}
	if err != nil {
		return address{}, fmt.Errorf("read docker context %s: %w", name, err)
	}
	var meta contextMeta
	if err := json.Unmarshal(b, &meta); err != nil {
		return address{}, fmt.Errorf("read docker context %s: %w", name, err)
	}
	end, ok := meta.Endpoints["docker"]
	if !ok || end.Host == "" {
		return address{}, &fault.Error{Op: "read docker context", What: name, Why: "it names no Docker Engine",
			Remedy: "Give it one: docker context update " + name + " --docker host=…"}
	}
	at := address{host: end.Host}
	tlsDir := filepath.Join(store, "tls", id, "docker")
	options := tlsconfig.Options{InsecureSkipVerify: end.SkipTLSVerify}
	found := end.SkipTLSVerify
	for name, field := range map[string]*string{"ca.pem": &options.CAFile, "cert.pem": &options.CertFile, "key.pem": &options.KeyFile} {
		if file := filepath.Join(tlsDir, name); exists(file) {
			*field, found = file, true
		}
	}
	if found {
		at.tls = &options
	}
	return at, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
