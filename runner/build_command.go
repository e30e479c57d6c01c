package runner

import (
	"path"
	"strings"

	"github.com/heptaup/hepta/internal/dockerauth"
	"github.com/heptaup/hepta/internal/fault"
)

// Where a build's things lie inside its container.
const (
	buildDir   = "/hepta"
	contextDir = buildDir + "/context"
	idFile     = buildDir + "/id"
	digestFile = buildDir + "/digest"
)

// buildCommand builds what lies in contextDir and leaves the image's id in
// idFile.
func (b *builder) buildCommand() []string {
	var cmd []string
	if b.Mode == Rootless {
		cmd = []string{"buildah", "bud", "--isolation", "chroot"}
		if b.Registry.Plain {
			cmd = append(cmd, "--tls-verify=false")
		}
	} else {
		cmd = []string{"docker", "build", "--progress=plain"}
	}
	cmd = append(cmd, "--iidfile", idFile, "--file", path.Join(contextDir, b.Dockerfile))
	for _, tag := range b.Tags {
		cmd = append(cmd, "--tag", tag)
	}
	for _, arg := range b.Args {
		cmd = append(cmd, "--build-arg", arg)
	}
	if b.Target != "" {
		cmd = append(cmd, "--target", b.Target)
	}
	if b.NoCache {
		cmd = append(cmd, "--no-cache")
	}
	if b.Pull {
		cmd = append(cmd, "--pull")
	}
	for i, secret := range b.Secrets {
		cmd = append(cmd, "--secret", "id="+secret.ID+",src="+secretFile(i))
	}
	cmd = append(cmd, b.cacheOptions()...)
	return append(cmd, contextDir)
}

func (b *builder) pushCommand(tag string) []string {
	if b.Mode != Rootless {
		return []string{"docker", "push", tag}
	}
	cmd := []string{"buildah", "push", "--digestfile", digestFile}
	if b.Registry.Plain {
		cmd = append(cmd, "--tls-verify=false")
	}
	return append(cmd, tag)
}

// buildFault is about a build whose last lines are given.
func (b *builder) buildFault(tail []string) error {
	f := &fault.Error{Op: "build", What: b.name(), Err: ErrBuildFailed, Why: "the build failed; its last words:\n" + strings.Join(tail, "\n")}
	text := strings.ToLower(strings.Join(tail, "\n"))
	switch {
	case refused(text):
		f.Remedy = "A base image needs credentials, or its name is wrong. Where hepta runs: docker login REGISTRY."
	case strings.Contains(text, "no space left"):
		f.Remedy = "The Docker host's disk is full: docker system df there shows what takes it."
	case strings.Contains(text, "no such host") || strings.Contains(text, "connection refused") || strings.Contains(text, "server misbehaving"):
		f.Remedy = "A registry or a server cannot be reached from the Docker host."
	}
	return f
}

// pushFault is about a push whose last lines are given.
func (b *builder) pushFault(tag string, tail []string) error {
	host := registryHost(tag)
	f := &fault.Error{Op: "push", What: tag, Err: ErrPushRefused, Why: "the push failed; its last words:\n" + strings.Join(tail, "\n")}
	text := strings.ToLower(strings.Join(tail, "\n"))
	switch {
	case refused(text):
		f.Remedy = "Log in with an account that may push there, where hepta runs: docker login " + host + ", or hepta registry login. The project has to be there."
	case strings.Contains(text, "x509") || strings.Contains(text, "certificate"):
		f.Remedy = "The authority of " + host + " is not known to what pushes. In mode socket the Engine has to trust it: " + dockerauth.AuthorityFile(host) + "."
	case strings.Contains(text, "http response to https"):
		f.Remedy = host + " speaks http. In mode socket it has to be in insecure-registries of the Engine's daemon.json."
	case strings.Contains(text, "no such host") || strings.Contains(text, "connection refused"):
		f.Remedy = host + " cannot be reached from the Docker host."
	}
	return f
}

// refused reports whether a registry's words are about rights.
func refused(text string) bool {
	for _, sign := range []string{"denied", "unauthorized", "no basic auth", "authentication required", "authorization failed", "insufficient_scope", "403 forbidden"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
