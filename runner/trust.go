package runner

import (
	"path"

	"github.com/heptaup/hepta/internal/converge"
)

const (
	// FileCA is where an authority goes that was handed over as such.
	FileCA = "runner-ca/ca.crt"
	// TrustDir is where a Docker Engine looks for the authorities of registries.
	TrustDir = "/etc/docker/certs.d"
)

// trusted are the files of the authority that was handed over: for runners
// and jobs, and for the Engine that the runners work with.
func (cfg Config) trusted() []converge.File {
	if len(cfg.CA) == 0 {
		return nil
	}
	files := []converge.File{{Path: cfg.CAFile, Mode: 0o644, Content: cfg.CA}}
	for _, host := range cfg.RegistryHosts {
		files = append(files, converge.File{Path: path.Join(TrustDir, host, "ca.crt"), Mode: 0o644, Content: cfg.CA})
	}
	return files
}
