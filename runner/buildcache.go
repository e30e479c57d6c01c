package runner

import _ "embed"

// MinBuildCache is the least that Runner.BuildCache may be, in bytes: less
// holds no base image with what is built on it.
const MinBuildCache = 1 << 30

// The programs that keep what jobs have pulled and built from job to job,
// below the data directory. They are bound into the containers of a job in
// firstInPath, where they are found before those of an image, whether the
// runner or the job names that image.
const (
	FileBuildah  = "runner/buildah"
	FileBuildKit = "runner/buildctl-daemonless.sh"
	firstInPath  = "/usr/local/sbin/"
)

// Where the programs keep everything.
const (
	dockerdData  = "/var/lib/docker"
	buildahData  = "/var/lib/containers"
	buildKitData = "/home/user/.local/share/buildkit" // of the image moby/buildkit:rootless
)

var (
	//go:embed buildcache_buildah.sh
	buildah []byte
	//go:embed buildcache_buildkit.sh
	buildKit []byte
)

// keeper is a program that keeps the build cache of a runner's jobs. They find
// it under the last part of its file's name.
type keeper struct {
	file    string
	program []byte
	data    string // where everything is kept
}

// keepers are those for each builder that jobs of the mode may bring.
func keepers(m Mode) []keeper {
	switch m {
	case Dind:
		return []keeper{{FileDockerd, dockerd, dockerdData}}
	case Rootless:
		return []keeper{{FileBuildah, buildah, buildahData}, {FileBuildKit, buildKit, buildKitData}}
	}
	return nil
}

func (p *problems) buildCache(at string, r Runner) {
	if r.BuildCache == 0 {
		return
	}
	key := at + ".build_cache"
	switch r.Mode {
	case Socket:
		p.add(key, "leave it out", "with the host's socket jobs have the cache of the host's Docker")
	case Plain:
		p.add(key, "set mode: dind or rootless, or leave it out", "mode plain builds no images")
	}
	if r.BuildCache < MinBuildCache {
		p.add(key, "give at least 1g, or leave it out", "%d bytes hold no base image with what is built on it", r.BuildCache)
	}
	if off, _ := r.Docker["disable_cache"].(bool); off {
		p.add(key, "leave it out, or disable_cache", "docker.disable_cache leaves jobs without any volume to keep something in")
	}
}
