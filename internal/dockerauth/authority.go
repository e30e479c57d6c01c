package dockerauth

import "path"

// AuthorityDir is where Docker daemons look for the authorities of registries.
const AuthorityDir = "/etc/docker/certs.d"

// AuthorityFile is the file in which a Docker daemon looks for the authority of
// a registry, host or host:port.
func AuthorityFile(registry string) string { return path.Join(AuthorityDir, registry, "ca.crt") }
