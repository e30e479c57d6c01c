package images

import "strings"

// Name names an image of this package.
type Name string

// The images. Those that stand in for a public image carry its names as tags,
// so that what is written for the public one finds them.
const (
	// Base is Debian 13 with Docker Engine, the docker CLI, buildx, git,
	// Mercurial, OpenSSH, Ruby, curl and HAProxy. It is the nested engine's image.
	Base Name = "base"
	// Small is a static busybox and the public certificate authorities.
	Small Name = "small"
	// Traefik is the proxy.
	Traefik Name = "traefik"
	// HAProxy stands between the proxy and the Engine's socket.
	HAProxy Name = "haproxy"
	// Registry is the container registry, for use as a mirror.
	Registry Name = "registry"
	// Runner is GitLab Runner, Helper the image of its own containers.
	Runner Name = "runner"
	Helper Name = "helper"
	// RunnerNetworks is the same runner with what its successors brought for the
	// networks of jobs: FF_NETWORK_PER_BUILD (12.9), feature_flags in
	// config.toml (13.11), network_mtu (16.5). None of them can be built from
	// modules alone. It is not among Names: what needs it asks for it.
	RunnerNetworks Name = "runner-networks"
	// Host is what the hosts of single jobs run: the same runner, and hepta,
	// by which it runs a job that was taken beforehand.
	Host Name = "host"
	// Pebble is an ACME server, with challtestsrv, a DNS server for it.
	Pebble Name = "pebble"
	// DockerCLI is the docker client as a job image, Dind the daemon as a
	// job's service.
	DockerCLI Name = "docker"
	Dind      Name = "dind"
	// Buildah is Debian's buildah as a job image: it builds images without
	// daemon and privileges.
	Buildah Name = "buildah"
	// BuildKit is BuildKit for users without privileges, as a job image.
	BuildKit Name = "buildkit"
	// Frontend reads Dockerfiles for BuildKit, where they begin with a line
	// "# syntax=docker/dockerfile:1". It is not among Names either.
	Frontend Name = "frontend"
	// Postgres is Debian's database server. It is not among Names: what needs
	// it asks for it.
	Postgres Name = "postgres"
	// Heptapod stands in for the forge, at DefaultHeptapodVersion.
	Heptapod Name = heptapodPrefix + DefaultHeptapodVersion
)

// DefaultHeptapodVersion is the version that the stand-in says it is.
const DefaultHeptapodVersion = "17.8.1"

const heptapodPrefix = "heptapod-"

// HeptapodAt is the stand-in that says it is the given version ("17.11.2").
// Stand-ins of different versions share every layer but one small file.
func HeptapodAt(version string) Name { return Name(heptapodPrefix + version) }

// Names lists every image that Ensure knows, the default stand-in for the
// forge among them, but for Host, which changes with every line of hepta.
func Names() []Name {
	return []Name{Base, Small, Traefik, HAProxy, Registry, Runner, Helper, Pebble, DockerCLI, Dind, Buildah, BuildKit, Heptapod}
}

// HostTag is the name of Host, for heptapod_runner_main_image.
const HostTag = "hepta/host:1"

// Ref is an image that an Engine holds.
type Ref struct {
	Name   Name
	ID     string // the Engine's id of it
	Inputs string // hash of everything that went into it
	Local  string // the reference under which it was made
	// Tags are the references of the public image that this one stands for.
	// Copy sets them on the engine that it copies to; nothing sets them on
	// the engine where the image is made.
	Tags []string
}

// As is r standing for other references than by default.
func (r Ref) As(tags ...string) Ref {
	r.Tags = tags
	return r
}

// local is the reference under which an image with these inputs is kept. Its
// host does not exist, so that no engine ever asks a registry for it.
func local(name Name, inputs string) string {
	return "hepta.invalid/" + string(name) + ":" + inputs[:12]
}

func heptapodTags(version string) []string {
	tags := []string{"octobus/heptapod:" + version}
	if i := strings.LastIndexByte(version, '.'); i > strings.IndexByte(version, '.') {
		tags = append(tags, "octobus/heptapod:"+version[:i])
	}
	return tags
}
