package traefik

import (
	"fmt"
	"path"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// Where things lie inside the proxy's container.
const (
	dynamicDir = "/etc/traefik/dynamic"
	acmeDir    = "/etc/traefik/acme"
	logDir     = "/var/log/traefik" // for flags of the user's own that name it
)

const (
	resolver    = "hepta"          // name of the ACME resolver
	pingAddress = "127.0.0.1:8080" // the entrypoint traefik, for nobody else
	// readTimeout ends a connection whose client does not send what it began:
	// the TLS handshake, the headers, the body. Traefik 3.6 has one limit for all
	// of them, so it is one that no push of the slowest client comes near to.
	readTimeout = "12h"
)

// Flags are the static flags that the proxy starts with. An image whose tag
// does not tell its version is taken for the newest v3.
func Flags(cfg Config) []string {
	cfg = cfg.withDefaults()
	flags := []string{
		"--global.checknewversion=false",
		"--global.sendanonymoususage=false",
		"--entrypoints.traefik.address=" + pingAddress,
		"--ping=true",
		"--entrypoints.web.address=:80",
	}
	flags = append(flags, cfg.secureFlags()...)
	if cfg.SSHPort != 0 {
		flags = append(flags, "--entrypoints.ssh.address=:22")
	}
	if len(cfg.TrustedProxies) > 0 {
		flags = append(flags, fmt.Sprintf("--entrypoints.%s.forwardedheaders.trustedips=%s", cfg.entrypoint(), strings.Join(cfg.TrustedProxies, ",")))
	}
	flags = append(flags,
		fmt.Sprintf("--entrypoints.%s.transport.respondingtimeouts.readtimeout=%s", cfg.entrypoint(), readTimeout),
		"--providers.docker=true",
		"--providers.docker.endpoint="+cfg.socketProxyAddress(),
		"--providers.docker.exposedbydefault=false",
		"--providers.docker.network="+cfg.Network,
		"--providers.docker.constraints=Label("+quote(converge.LabelProof)+","+quote(converge.ProofPlaceholder)+")",
		"--providers.docker.allowemptyservices=true",
		"--providers.file.directory="+dynamicDir,
		"--providers.file.watch=true",
		"--log.level="+cfg.LogLevel,
		// Both logs are the container's, which the Engine keeps bounded. What
		// Traefik calls the path has the query in it, where tokens are sent.
		"--accesslog=true",
		"--accesslog.fields.names.requestpath=drop",
	)
	if v := parseVersion(cfg.Image); v.major == 3 && !v.before(3, 1, 0) {
		flags = append(flags, "--log.nocolor=true")
	}
	if cfg.Dashboard.Host != "" {
		flags = append(flags, "--api=true", "--api.dashboard=true")
	}
	return append(flags, cfg.Flags...)
}

// secureFlags are those of the entrypoint websecure.
func (cfg Config) secureFlags() []string {
	if cfg.TLS.Mode == TLSOff {
		return nil
	}
	to := "websecure"
	if cfg.PublicPort != 443 {
		to = fmt.Sprintf(":%d", cfg.PublicPort)
	}
	const redirect = "--entrypoints.web.http.redirections.entrypoint."
	flags := []string{
		"--entrypoints.websecure.address=:443",
		redirect + "to=" + to,
		redirect + "scheme=https",
		redirect + "permanent=true",
	}
	if cfg.TLS.Mode != TLSACME {
		return flags
	}
	const acme = "--certificatesresolvers." + resolver + ".acme."
	flags = append(flags, acme+"email="+cfg.TLS.Email, acme+"storage="+path.Join(acmeDir, "acme.json"))
	if cfg.TLS.CAServer != "" {
		flags = append(flags, acme+"caserver="+cfg.TLS.CAServer)
	}
	switch cfg.TLS.Challenge {
	case ChallengeHTTP:
		return append(flags, acme+"httpchallenge=true", acme+"httpchallenge.entrypoint=web")
	case ChallengeDNS:
		flags = append(flags, acme+"dnschallenge=true", acme+"dnschallenge.provider="+cfg.TLS.Provider)
		if len(cfg.TLS.Resolvers) > 0 {
			flags = append(flags, acme+"dnschallenge.resolvers="+strings.Join(cfg.TLS.Resolvers, ","))
		}
		return flags
	}
	return append(flags, acme+"tlschallenge=true")
}
