package hepta

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/dockerauth"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// runnerCAFile holds the stack's own authority and those of runner.ca. It is
// where those alone go when the stack has none of its own. Its directory is
// shown to the runners, that of the authority and its key to nobody.
const runnerCAFile = runner.FileCA

// bundles reports whether runners need more than the stack's own authority.
func (c *Config) bundles() bool {
	return c.tlsMode() == traefik.TLSInternal && !c.isExternal() && len(c.Runner.CA) > 0
}

// trust hands on the stack's own authority, and with it those of runner.ca:
// to the Engine, that it may push to and pull from the registry, and to the
// runners. The proxy's container is the window through
// which the Engine's file is seen.
func (s *Stack) trust() {
	leaf := s.leaf()
	if leaf == nil {
		return
	}
	bundles := s.cfg.bundles()
	host := s.cfg.registryHost()
	// What has a certificate of its own is of no authority of the stack's.
	engine := host != "" && (bundles || s.cfg.ownAuthority())
	var root, bundle atomic.Pointer[[]byte] // of the leaf that is there, or that has just been made
	merge := leaf.Merge
	leaf.Merge = func(o *converge.Observed, current []byte) ([]byte, error) {
		content, err := merge(o, current)
		if found := pki.RootOf(content); err == nil && len(found) > 0 {
			root.Store(&found)
			bundle.Store(&content)
		}
		return content, err
	}
	after := []converge.Ref{converge.Ref("file:" + leaf.Path), traefik.CertificateRef}
	add := func(name string) {
		s.want.Files = append(s.want.Files, converge.File{
			Path: name, Mode: 0o644, After: after,
			Merge: func(_ *converge.Observed, current []byte) ([]byte, error) {
				if known := root.Load(); known != nil {
					return s.cfg.authorities(*known), nil
				}
				return current, nil
			},
		})
	}
	if s.cfg.registryIssued() {
		s.shareLeaf(&bundle, after)
	}
	if len(s.cfg.Runners) > 0 {
		add(runnerCAFile)
		// Jobs are given the file by its path: were it not there when they begin,
		// the Engine would make a directory of that name.
		for i := range s.want.Files {
			if f := &s.want.Files[i]; f.Path == runner.FileConfig {
				f.After = append(slices.Clone(f.After), converge.Ref("file:"+runnerCAFile))
			}
		}
	}
	if !engine {
		return
	}
	add(dockerauth.AuthorityFile(host))
	for i := range s.want.Containers {
		if c := &s.want.Containers[i]; c.Service == traefik.Service {
			c.Mounts = append(c.Mounts, converge.Mount{Kind: converge.HostPath, Source: dockerauth.AuthorityDir, Target: dockerauth.AuthorityDir, ReadOnly: true})
		}
	}
}

// ownAuthority reports whether the registry's certificate is of the authority
// that the mode internal makes.
func (c *Config) ownAuthority() bool {
	r := c.forgeRegistry()
	return r != nil && !c.isExternal() && c.tlsMode() == traefik.TLSInternal && (r.Host != "" || c.registryIssued())
}

// shareLeaf gives the registry's port on the forge's name the proxy's
// certificate, which is for that name. The forge takes a new one over without a
// restart.
func (s *Stack) shareLeaf(bundle *atomic.Pointer[[]byte], after []converge.Ref) {
	for file, kind := range map[string]string{heptapod.FileRegistryCert: "CERTIFICATE", heptapod.FileRegistryKey: "PRIVATE KEY"} {
		for i := range s.want.Files {
			f := &s.want.Files[i]
			if f.Path != file {
				continue
			}
			f.After = slices.Concat(f.After, after)
			f.Merge = func(_ *converge.Observed, current []byte) ([]byte, error) {
				if known := bundle.Load(); known != nil {
					return pki.Blocks(*known, kind), nil
				}
				return current, nil
			}
		}
	}
}

// strangers tells of certificates whose authority this machine does not know:
// the Docker host and its jobs may not either, and would refuse them.
func (c *Config) strangers() []string {
	if c.isExternal() || len(c.Runners) == 0 {
		return nil
	}
	var list []string
	look := func(key string, chain []byte) {
		if of := pki.Stranger(chain, c.Runner.CA); of != "" {
			list = append(list, fmt.Sprintf("%s is of an authority that is not known here, %q: unless runners, their jobs and the Docker host know it, give them its certificate as runner: {ca: FILE}", key, of))
		}
	}
	if c.tlsMode() == traefik.TLSFiles {
		look("tls.certificate", c.TLS.Certificate)
	}
	if r := c.forgeRegistry(); r != nil && len(r.Certificate) > 0 {
		look("registry.certificate", r.Certificate)
	}
	return list
}

// authorities are the stack's own, which may be nil, and those of runner.ca.
func (c *Config) authorities(own []byte) []byte {
	all := slices.Clone(own)
	if len(c.Runner.CA) == 0 {
		return all
	}
	if len(all) > 0 && !bytes.HasSuffix(all, []byte("\n")) {
		all = append(all, '\n')
	}
	return append(all, c.Runner.CA...)
}
