package traefik

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// The credentials of a DNS provider, each in a file of its own that lego is told
// of by the variable NAME_FILE.
const (
	credentialsSource = "traefik/credentials"
	credentialsDir    = "/etc/traefik/credentials"
	fileSuffix        = "_FILE"
)

// credentials are the names of the variables, without the suffix that people
// may have written as lego's documents have it.
func (t TLS) credentials() map[string][]byte {
	list := make(map[string][]byte, len(t.Credentials))
	for name, content := range t.Credentials {
		list[strings.TrimSuffix(name, fileSuffix)] = content
	}
	return list
}

// addCredentials gives the proxy what its DNS provider asks for. The provider
// is made when Traefik starts, so others need another container.
func (cfg Config) addCredentials(c *converge.Container) (files []converge.File) {
	known := cfg.TLS.credentials()
	if cfg.TLS.Mode != TLSACME || len(known) == 0 {
		return nil
	}
	for i, name := range slices.Sorted(maps.Keys(known)) {
		file := path.Join(credentialsSource, name)
		if i == 0 {
			files = append(files, converge.KeyFile(file)) // of all in the directory
		}
		files = append(files, converge.File{Path: file, Mode: 0o600, Secret: true, Content: bytes.TrimRight(known[name], "\r\n")})
		c.RecreateOn = append(c.RecreateOn, file)
		c.Env = append(c.Env, name+fileSuffix+"="+path.Join(credentialsDir, name))
	}
	c.Mounts = append(c.Mounts, converge.Mount{Kind: converge.Data, Source: credentialsSource, Target: credentialsDir, ReadOnly: true})
	return files
}
