// Package jobmode says in which ways the jobs of a runner build images, and
// with which images they do.
package jobmode

// Mode says how jobs build images.
type Mode string

// The modes.
const (
	Dind     Mode = "dind"     // a privileged Docker daemon of the job's own, TLS between them
	Socket   Mode = "socket"   // the host's Docker socket, bound into every job
	Rootless Mode = "rootless" // no privileges, no daemon: BuildKit or buildah
	Plain    Mode = "plain"    // jobs that build no images; what a runner is that names no mode
)

// The default images of jobs, each by its exact version.
const (
	Image         = "docker:28.5.2" // holds the docker command
	DindImage     = Image + "-dind" // the daemon beside it
	RootlessImage = "quay.io/buildah/stable:v1.43.0"
	BuildKitImage = "moby/buildkit:v0.26.3-rootless"
)
