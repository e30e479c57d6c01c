package traefik

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pki"
)

// Service is the proxy's short name inside its stack.
const Service = "traefik"

// Name is how others on the network find the proxy of a stack: its container's
// name, which is an alias as well since a replacement that is being tried does
// not have the name yet.
func Name(stack string) string { return stack + "-" + Service }

const (
	acmeFile   = "traefik/acme/acme.json"
	acmeCAFile = "traefik/acme/ca.pem"
)

// resources are what the proxy needs on its host: network, files, container
// and, in the mode internal, the certificate. They name nothing that another
// part of the stack has to provide.
func (p *Proxy) resources() converge.Stack {
	cfg := p.cfg
	c := cfg.container()
	var files []converge.File
	var decide []func(*converge.Observed) ([]converge.Task, error)
	var reads []converge.Read
	main := converge.File{Path: dynamicFile, Mode: 0o644, Content: p.dynamic}
	if cfg.Dashboard.Host != "" {
		files = append(files, converge.File{Path: usersFile, Mode: 0o600, Secret: true, Content: renderUsers(cfg)})
		main.After = append(main.After, "file:"+usersFile)
	}
	switch cfg.TLS.Mode {
	case TLSInternal:
		issuer := newIssuer(cfg, p.now)
		files = append(files, converge.File{Path: leafFile, Mode: 0o600, Secret: true, Merge: issuer.merge, After: []converge.Ref{CertificateRef}})
		main.After = append(main.After, "file:"+leafFile)
		decide = append(decide, issuer.decide)
	case TLSFiles:
		chain, key, err := pki.Given(cfg.TLS.Certificate, cfg.TLS.Key)
		if err != nil { // Validate has refused it
			chain, key = terminated(cfg.TLS.Certificate), terminated(cfg.TLS.Key)
		}
		bundle := slices.Concat(chain, key)
		files = append(files, converge.File{Path: leafFile, Mode: 0o600, Secret: true, Content: bundle})
		main.After = append(main.After, "file:"+leafFile)
	case TLSACME:
		files = append(files, converge.File{Path: acmeFile, Mode: 0o600, Secret: true, Once: true})
		reads = append(reads, converge.Read{Paths: []string{acmeFile}}) // which Traefik writes
		if len(cfg.TLS.CACertificates) > 0 {
			files = append(files, converge.File{Path: acmeCAFile, Mode: 0o644, Content: pki.AuthoritiesOr(cfg.TLS.CACertificates)})
			c.RecreateOn = []string{acmeCAFile}
		}
	}
	files = append(files, cfg.addCredentials(&c)...)
	s := converge.Stack{
		Name:       cfg.Stack,
		Data:       cfg.Data,
		Networks:   []converge.Network{{Name: cfg.Network}},
		Files:      append(files, main),
		Containers: []converge.Container{c},
		Reads:      reads,
		Decide:     append(decide, p.decideOldLogs),
		Warn:       []func(*converge.Observed) []string{p.warnProvider},
		Publishes:  labelEnable,
	}
	s.Add(cfg.socketProxy())
	return s
}

func (p *Proxy) warnProvider(*converge.Observed) []string {
	if text := unknownProvider(p.cfg.TLS.Provider); text != "" {
		return []string{text}
	}
	return nil
}

func (cfg Config) container() converge.Container {
	c := converge.Container{
		Service:    Service,
		Name:       Name(cfg.Stack),
		NeedsProof: true,
		Image:      cfg.Image,
		Cmd:        Flags(cfg),
		Labels:     maps.Clone(cfg.Labels),
		Mounts: []converge.Mount{
			{Kind: converge.Data, Source: "traefik/dynamic", Target: dynamicDir, ReadOnly: !cfg.flagsName(dynamicDir)},
		},
		Networks: []converge.Attachment{
			{Network: cfg.Network, Aliases: append([]string{Name(cfg.Stack)}, cfg.hosts()...)},
			{Network: socketNetwork(cfg.Stack)},
		},
		Ports: cfg.published(),
		// It stays root, for what it has to read: keys that are root's alone, and
		// whatever people put beside them. DAC_OVERRIDE is for files of other
		// owners among those; nothing else is left of being root.
		CapDrop:     []string{"ALL"},
		CapAdd:      []string{"DAC_OVERRIDE", "NET_BIND_SERVICE"},
		SecurityOpt: []string{"no-new-privileges:true"},
		ReadOnly:    true,
		Tmpfs:       []string{"/tmp"},
		PidsLimit:   1024,
		Restart:     "unless-stopped",
		StopTimeout: 15 * time.Second, // Traefik gives open requests 10 s
		Health: &converge.Health{
			Test:          []string{"CMD", "traefik", "healthcheck", "--ping", "--entrypoints.traefik.address=" + pingAddress},
			Interval:      3 * time.Second,
			Timeout:       10 * time.Second,
			StartPeriod:   20 * time.Second,
			StartInterval: 500 * time.Millisecond,
			Retries:       3,
		},
		LogMaxSize:  "20m",
		LogMaxFiles: 5,
		After:       []converge.Ref{"container:" + SocketProxyService},
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Environment)) {
		c.Env = append(c.Env, name+"="+cfg.Environment[name])
	}
	if cfg.flagsName(logDir) {
		c.Mounts = append(c.Mounts, converge.Mount{Kind: converge.Data, Source: logSource, Target: logDir})
	}
	if cfg.flagsName("plugins") { // where it keeps those that it has fetched
		c.Tmpfs = append(c.Tmpfs, "/plugins-storage")
	}
	if cfg.TLS.Mode == TLSACME {
		c.Mounts = append(c.Mounts, converge.Mount{Kind: converge.Data, Source: "traefik/acme", Target: acmeDir})
		if len(cfg.TLS.CACertificates) > 0 {
			c.Env = append(c.Env, "LEGO_CA_CERTIFICATES="+path.Join(acmeDir, path.Base(acmeCAFile)))
		}
	}
	return c
}

// published are the ports of the Docker host that lead to the proxy.
func (cfg Config) published() []converge.Port {
	ports := []converge.Port{{HostIP: cfg.HTTPAddress, Host: cfg.HTTPPort, Container: 80}}
	if cfg.TLS.Mode != TLSOff {
		ports = append(ports, converge.Port{HostIP: cfg.HTTPSAddress, Host: cfg.HTTPSPort, Container: 443})
	}
	if cfg.SSHPort != 0 {
		ports = append(ports, converge.Port{HostIP: cfg.SSHAddress, Host: cfg.SSHPort, Container: 22})
	}
	return ports
}

// flagsName reports whether a flag of the user's own has text in it, in
// whatever case.
func (cfg Config) flagsName(text string) bool {
	return slices.ContainsFunc(cfg.Flags, func(flag string) bool {
		return strings.Contains(strings.ToLower(flag), text)
	})
}

// terminated ends PEM text with a newline, so that more can follow.
func terminated(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		return append(slices.Clone(text), '\n')
	}
	return text
}
