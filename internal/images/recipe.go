package images

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	standin "github.com/heptaup/hepta/heptapod/heptapodtest/standin/rootfs"
)

// files holds one directory an image, laid out as in the image.
//
//go:embed files
var files embed.FS

// recipe says how one image is made. Base, Buildah, buildKitBase and Postgres are made from
// Debian packages, Small from two files of Base; every other image is its parent, files,
// programs and settings on top.
type recipe struct {
	name     Name
	parent   Name
	packages []string // of Debian, where there is no parent
	setup    string   // shell script that ends their installation
	tags     []string
	files    fs.FS             // laid out as in the image; scripts are made executable
	texts    map[string]string // path in the image → what is in the file
	programs map[string]string // path in the image → name of the program
	links    map[string]string // path in the image → what it points to
	dirs     map[string]fs.FileMode
	volumes  []string
	config   container.Config // the image's settings that differ from its parent's
}

// postgresStart keeps the contract of the public image: without a password it
// does not start, and with one the superuser postgres has it from everywhere.
const postgresStart = `set -e
: "${POSTGRES_PASSWORD:?is empty: set it to the password of the superuser}"
data=/var/lib/postgresql/data
install -d -o postgres -g postgres /var/run/postgresql
if [ ! -s $data/PG_VERSION ]; then
	install -d -o postgres -g postgres -m 700 $data
	printf '%s\n' "$POSTGRES_PASSWORD" >/run/password
	chown postgres /run/password
	setpriv --reuid=postgres --regid=postgres --clear-groups initdb --no-sync --username=postgres --auth=scram-sha-256 --pwfile=/run/password $data
	rm /run/password
	echo 'host all all all scram-sha-256' >>$data/pg_hba.conf
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D $data -c listen_addresses='*'
`

// buildKitUser is the user that the public image has its daemon run as, with
// the ranges of users for its namespace, which useradd adds. Debian's newuidmap,
// set to run as root, needs a capability more than that image's: as a file that
// has one it does without.
const buildKitUser = `set -e
useradd --uid 1000 --create-home user
mkdir -p /home/user/.local/tmp /home/user/.local/share/buildkit
chown -R user: /home/user
grep -q ^user: /etc/subuid
chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap
setcap cap_setuid=ep /usr/bin/newuidmap
setcap cap_setgid=ep /usr/bin/newgidmap
`

// forgeBase is what the stand-ins for the forge have in common below their own
// daemon, which changes more often.
const forgeBase Name = "forge-base"

// forgeProgram is the stand-in for the forge, without a release: every layer
// that releases share.
const forgeProgram Name = "forge-program"

// buildKitBase is BuildKit without its programs, which only an image with a
// parent gets.
const buildKitBase Name = "buildkit-base"

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// recipeFor returns the recipe of an image.
func recipeFor(name Name) (recipe, error) {
	r := recipe{name: name, parent: Small}
	switch name {
	case Base:
		r.parent, r.packages = "", basePackages()
		r.config = container.Config{Cmd: []string{"bash"}, Env: []string{searchPath}}
	case Small:
		r.parent = Base
		r.tags = []string{"hepta/small:1"}
		r.config = container.Config{Cmd: []string{"sh"}, Env: []string{searchPath}}
	case Traefik:
		r.tags = []string{"traefik:v" + traefikVersion, "traefik:v3.6"}
		r.programs = map[string]string{"usr/local/bin/traefik": "traefik"}
		r.config = container.Config{
			Entrypoint:   []string{"/entrypoint.sh"},
			Cmd:          []string{"traefik"},
			ExposedPorts: ports("80/tcp"),
		}
	case HAProxy: // Debian's, with the user, start command and signal of the public image
		r.parent = Base
		r.tags = []string{"haproxy:3.0.11-alpine"}
		r.config = container.Config{
			User:       "haproxy",
			Entrypoint: []string{},
			Cmd:        []string{"haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"},
			StopSignal: "SIGUSR1",
		}
	case Registry:
		r.tags = []string{"registry:" + registryVersion, "registry:3"}
		r.programs = map[string]string{"bin/registry": "registry"}
		r.volumes = []string{"/var/lib/registry"}
		r.config = container.Config{
			Entrypoint:   []string{"/entrypoint.sh"},
			Cmd:          []string{"/etc/distribution/config.yml"},
			ExposedPorts: ports("5000/tcp"),
		}
	case Runner, RunnerNetworks:
		r.tags = []string{"gitlab/gitlab-runner:v" + runnerVersion, "gitlab/gitlab-runner:latest"}
		r.programs = map[string]string{"usr/bin/gitlab-runner": "gitlab-runner"}
		if name == RunnerNetworks {
			r.tags = []string{"gitlab/gitlab-runner:networks"}
			r.programs["usr/bin/gitlab-runner"] = "gitlab-runner-networks"
		}
		r.dirs = map[string]fs.FileMode{"etc/gitlab-runner": 0o700, "etc/gitlab-runner/certs": 0o700, "home/gitlab-runner": 0o755}
		r.volumes = []string{"/etc/gitlab-runner", "/home/gitlab-runner"}
		r.config = container.Config{
			Entrypoint: []string{"/entrypoint"},
			Cmd:        []string{"run", "--working-directory=/home/gitlab-runner"},
			StopSignal: "SIGQUIT",
		}
	case Helper:
		r.parent = Base
		r.tags = []string{"gitlab/gitlab-runner-helper:x86_64-" + runnerRevision}
		r.programs = map[string]string{"usr/bin/gitlab-runner-helper": "gitlab-runner-helper"}
		r.config = container.Config{Cmd: []string{"sh"}}
	case Host:
		r.tags = []string{HostTag}
		r.programs = map[string]string{"usr/local/bin/gitlab-runner": "gitlab-runner", "usr/local/bin/hepta": "hepta"}
		r.config = container.Config{Entrypoint: []string{"gitlab-runner"}, Cmd: []string{"--version"}}
	case Pebble:
		r.tags = []string{"ghcr.io/letsencrypt/pebble:" + pebbleVersion}
		r.programs = map[string]string{
			"usr/bin/pebble":              "pebble",
			"usr/bin/pebble-challtestsrv": "pebble-challtestsrv",
		}
		r.config = container.Config{Cmd: []string{"pebble"}, ExposedPorts: ports("14000/tcp", "15000/tcp")}
	case DockerCLI:
		r.parent = Base
		r.tags = []string{"docker:26", "docker:26-cli"}
		r.config = container.Config{Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"sh"}, Env: []string{"DOCKER_TLS_CERTDIR=/certs"}}
	case Dind:
		r.parent = DockerCLI
		r.tags = []string{"docker:26-dind"}
		r.volumes = []string{"/var/lib/docker"}
		r.config = container.Config{
			Entrypoint:   []string{"dockerd-entrypoint.sh"},
			Cmd:          []string{},
			ExposedPorts: ports("2375/tcp", "2376/tcp"),
		}
	case Buildah:
		r.parent, r.packages = "", []string{"buildah", "busybox-static", "ca-certificates", "netavark"}
		r.tags = []string{"quay.io/buildah/stable:v1.43.0", "quay.io/buildah/stable:latest"}
		r.config = container.Config{Cmd: []string{"bash"}, Env: []string{searchPath}}
	case buildKitBase:
		r.parent, r.packages, r.setup = "", []string{"busybox-static", "ca-certificates", "libcap2-bin", "runc", "uidmap"}, buildKitUser
		r.config = container.Config{Cmd: []string{"sh"}, Env: []string{searchPath}}
	case BuildKit:
		r.parent = buildKitBase
		r.tags = []string{"moby/buildkit:v" + buildKitVersion + "-rootless", "moby/buildkit:rootless"}
		r.programs = map[string]string{"usr/bin/buildkitd": "buildkitd", "usr/bin/buildctl": "buildctl",
			"usr/bin/buildctl-daemonless.sh": "buildctl-daemonless.sh", "usr/bin/rootlesskit": "rootlesskit"}
		r.dirs = map[string]fs.FileMode{"run/user/1000": 0o777}
		r.volumes = []string{"/home/user/.local/share/buildkit"}
		r.config = container.Config{
			User:       "1000:1000",
			Entrypoint: []string{"rootlesskit", "buildkitd"},
			Env: []string{"HOME=/home/user", "USER=user", "XDG_RUNTIME_DIR=/run/user/1000", "TMPDIR=/home/user/.local/tmp",
				"BUILDKIT_HOST=unix:///run/user/1000/buildkit/buildkitd.sock"},
		}
	case Frontend:
		r.tags = []string{"docker/dockerfile:1"}
		r.programs = map[string]string{"bin/dockerfile-frontend": "dockerfile-frontend"}
		r.config = container.Config{Entrypoint: []string{"/bin/dockerfile-frontend"}, Labels: map[string]string{
			"moby.buildkit.frontend.network.none": "true",
			"moby.buildkit.frontend.caps":         "moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts",
		}}
	case Postgres:
		r.parent, r.packages = "", []string{"postgresql-17"}
		r.tags = []string{"postgres:17-alpine"}
		r.config = container.Config{
			Cmd:          []string{"sh", "-c", postgresStart},
			Env:          []string{searchPath + ":/usr/lib/postgresql/17/bin"},
			ExposedPorts: ports("5432/tcp"),
		}
	case forgeBase:
		r.parent = Base
		r.programs = map[string]string{"opt/gitlab/embedded/bin/registry": "registry"}
		r.links = map[string]string{
			"opt/gitlab/embedded/bin/curl": "/usr/bin/curl",
			"opt/gitlab/embedded/bin/ruby": "/usr/bin/ruby",
			"opt/gitlab/embedded/bin/git":  "/usr/bin/git",
		}
	case forgeProgram:
		r.parent, r.files = forgeBase, standin.Files()
		r.programs = map[string]string{"opt/gitlab/embedded/bin/heptapod": "heptapod"}
	default:
		version, ok := strings.CutPrefix(string(name), heptapodPrefix)
		if !ok || version == "" {
			return recipe{}, fmt.Errorf("find recipe of image %q: unknown image", name)
		}
		return heptapodRecipe(version), nil
	}
	dirName := name
	if name == RunnerNetworks {
		dirName = Runner
	}
	if dir, err := fs.Sub(files, "files/"+string(dirName)); err == nil {
		if _, err := fs.Stat(dir, "."); err == nil {
			r.files = dir
		}
	}
	return r, nil
}

// heptapodRecipe keeps the contract of the forge's public image: its volumes,
// ports, healthcheck, search path and start command.
func heptapodRecipe(version string) recipe {
	return recipe{
		name:    HeptapodAt(version),
		parent:  forgeProgram,
		tags:    heptapodTags(version),
		texts:   map[string]string{standin.VersionFile: standin.GitLab(version) + "\n"},
		volumes: []string{"/etc/gitlab", "/var/opt/gitlab", "/var/log/gitlab"},
		config: container.Config{
			Cmd: []string{"/assets/init-container"},
			Env: []string{
				"PATH=/opt/gitlab/embedded/bin:/opt/gitlab/bin:/assets:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"LANG=C.UTF-8",
				"TERM=xterm",
				"HEPTAPOD_VERSION=" + version,
			},
			ExposedPorts: ports("22/tcp", "80/tcp", "443/tcp"),
			Healthcheck: &container.HealthConfig{
				Test:     []string{"CMD-SHELL", "/opt/gitlab/bin/gitlab-healthcheck --fail --max-time 10"},
				Interval: 60 * time.Second,
				Timeout:  30 * time.Second,
				Retries:  5,
			},
		},
	}
}

func ports(list ...string) nat.PortSet {
	set := nat.PortSet{}
	for _, p := range list {
		set[nat.Port(p)] = struct{}{}
	}
	return set
}

// sum hashes the recipe together with the hashes of its parent and programs.
func (r recipe) sum(parent string, programs map[string]string) (string, error) {
	config, err := json.Marshal(r.config)
	if err != nil {
		return "", fmt.Errorf("hash recipe of %s: %w", r.name, err)
	}
	parts := []string{"image 1", string(r.name), parent, string(config), fmt.Sprint(r.volumes), fmt.Sprint(r.links), fmt.Sprint(r.dirs)}
	for path, text := range sorted(r.texts) {
		parts = append(parts, path, text)
	}
	for path, name := range sorted(r.programs) {
		parts = append(parts, path, programs[name])
	}
	if r.files != nil {
		err := fs.WalkDir(r.files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(r.files, path)
			parts = append(parts, path, string(b))
			return err
		})
		if err != nil {
			return "", fmt.Errorf("hash files of %s: %w", r.name, err)
		}
	}
	if r.name == Small {
		parts = append(parts, applets)
	}
	return digest(parts...), nil
}
