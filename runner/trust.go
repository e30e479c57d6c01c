package runner

import (
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/dockerauth"
)

// FileCA is where an authority goes that was handed over as such.
const FileCA = "runner-ca/ca.crt"

// trusted are the files of the authority that was handed over: for runners
// and jobs, and for the Engine that the runners work with.
func (cfg Config) trusted() []converge.File {
	if len(cfg.CA) == 0 {
		return nil
	}
	files := []converge.File{{Path: cfg.CAFile, Mode: 0o644, Content: cfg.CA}}
	for _, host := range cfg.RegistryHosts {
		files = append(files, converge.File{Path: dockerauth.AuthorityFile(host), Mode: 0o644, Content: cfg.CA})
	}
	return files
}
