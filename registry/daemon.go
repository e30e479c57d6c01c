package registry

import (
	"strings"

	"github.com/heptaup/hepta/internal/dockerauth"
)

// DaemonFinding reads what a Docker daemon said when it was asked for an image
// that the registry at host does not have, without credentials. A registry that
// refuses has been reached.
func DaemonFinding(host, said string) Finding {
	f := Finding{Check: "the Docker host's Engine reaches it", Saw: lastLine(said)}
	text := strings.ToLower(said)
	has := func(signs ...string) bool {
		for _, sign := range signs {
			if strings.Contains(text, sign) {
				return true
			}
		}
		return false
	}
	const means = "docker pull, docker login and the builds of mode socket fail on the Docker host, and so do jobs whose image is there."
	switch {
	case has("unknown authority", "signed by"):
		f.Means = means
		f.Remedy = "The Engine does not know the certificate's authority. Give its file as runner: {ca: FILE} and run `hepta up`, or put it on the Docker host as " + dockerauth.AuthorityFile(host) + "; the Engine reads it at once."
	case has("x509:", "tls:"):
		f.Means = means
		f.Remedy = "Look at the certificate that is served there: it has to be good for " + hostOnly(host) + " at this time."
	case has("http response to https"):
		f.Means = means
		f.Remedy = "The registry speaks plain http: list " + host + " under insecure-registries in the Engine's daemon.json, or put TLS in front of it."
	case has("no such host", "name resolution", "server misbehaving"):
		f.Means = means
		f.Remedy = "Add " + hostOnly(host) + " to the DNS, or to /etc/hosts of the Docker host."
	case has("connection refused", "timeout", "no route", "unreachable", "deadline exceeded", "client.timeout"):
		f.Means = means
		f.Remedy = "See that a firewall lets the Docker host reach " + host + "."
	default:
		f.OK = true
		if has("denied", "unauthorized", "authentication required") {
			f.Saw = "it asks for a login"
		} else if has("manifest unknown", "not found") {
			f.Saw = "it answers"
		}
	}
	return f
}

// lastLine is the line of an Engine's error that says most; the ones before it
// are headings.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
