package runner

import (
	"github.com/heptaup/hepta/internal/jobmode"
	"github.com/heptaup/hepta/internal/secret"
)

// Secret is text that prints as ***.
type Secret = secret.Value

// Mode says how jobs build images.
type Mode = jobmode.Mode

// The modes.
const (
	Dind     = jobmode.Dind     // a privileged Docker daemon of the job's own, TLS between them
	Socket   = jobmode.Socket   // the host's Docker socket, bound into every job
	Rootless = jobmode.Rootless // no privileges, no daemon: BuildKit or buildah
	Plain    = jobmode.Plain    // jobs that build no images; what a runner is that names no mode
)

// Config describes one runner container and the runners (sections of its
// config.toml) in it. The zero value of each field is its default.
type Config struct {
	Stack   string // default "hepta"
	Data    string // directory on the Docker host; default /srv/ and Stack
	Network string // default "web"
	Image   string // runner image; default DefaultImage

	// Concurrent is the number of jobs at once over all runners; default the
	// sum of the runners' own, and more than their number.
	Concurrent int
	// CheckInterval in seconds between two polls; default 3.
	CheckInterval int
	// HelperImage is left to the runner when empty.
	HelperImage string
	// Socket is the Engine's socket on its host; default /var/run/docker.sock.
	Socket string
	// DrainSeconds is how long running jobs may take to end when the container
	// is replaced or removed; default 600.
	DrainSeconds int
	// JobNetworks gives each job a network for itself and its services, where the
	// runner program supports it and its runner's keys do not choose otherwise.
	JobNetworks bool

	Forge   Forge
	Runners []Runner

	// SessionServer is there for the web terminal; nil for none.
	SessionServer *SessionServer

	// CAFile is the path below Data of the authority that jobs, helpers and
	// dind must trust; "" when the public authorities are enough.
	CAFile string
	// CA is that authority, PEM, where nobody else puts the file there. Then
	// the Engine of the runners is told to trust it for RegistryHosts, too.
	CA []byte
	// RegistryHosts are host[:port] of the registries behind that authority.
	RegistryHosts []string
	// Registries are the addresses of the registries that jobs use:
	// https://registry.example.org. A runner of Forge is not ready before its
	// jobs reach them.
	Registries []string
	// HostNames must resolve inside jobs to the Docker host: names that no
	// DNS server knows, as in the TLS modes internal and off.
	HostNames []string
	// HostAddress is the address of the Docker host on which those names are
	// served; default the one at which its containers reach it.
	HostAddress string
	// OnNetwork says that those names are aliases on Network as well, with the
	// same ports: jobs that join it need no other way.
	OnNetwork bool

	// ExtraHosts are further names for runners and jobs, as name:address.
	ExtraHosts []string

	// Mirror is the address of a mirror of Docker Hub that the Docker daemons
	// of jobs ask first. host-gateway as its host stands for the Docker host.
	Mirror string

	// Environment are variables of the runner's own process, as NAME=value: a
	// proxy by which it reaches the forge. Not for secrets: docker inspect shows them.
	Environment []string

	Labels map[string]string
	After  []string // resources that must be there first ("container:heptapod", "task:token")
	// Through are resources through which jobs reach forge and registry
	// ("container:traefik"): whoever sees whether they do waits for them.
	Through []string
}

// Forge is where jobs come from.
type Forge struct {
	URL string
	// Token is an API token with the right to create runners: scope api, of an
	// administrator for runners that serve everybody. A registration token is
	// taken as well: the forge is asked which it is.
	Token Secret
	// RegistrationToken serves forges that cannot create runners by API.
	RegistrationToken Secret
}

// Runner is one section of config.toml and one runner of the forge.
type Runner struct {
	Name        string // key: unique, shown in the forge as the description
	Mode        Mode   // default Plain
	Tags        []string
	RunUntagged *bool // default: true without tags, else false
	Locked      bool
	Paused      bool
	AccessLevel string // not_protected (default) or ref_protected
	// MaximumTimeout of a job in seconds, at least 600; 0: the project's.
	MaximumTimeout int
	Concurrent     int    // jobs at once (limit); default 1
	Image          string // default image of jobs; default DefaultJobImage
	// DindImage, when set, runs beside every job as service docker, mode dind;
	// such as DefaultDindImage. Leave it empty for jobs that name the service
	// themselves: with both, two daemons claim one name.
	DindImage string
	// BuildCache, when it is not 0, keeps what jobs have pulled and built in
	// the modes dind and rootless (by buildah or BuildKit), one directory a project and
	// slot, and is the size in bytes beyond which a job begins with less; at
	// least MinBuildCache.
	BuildCache int64
	// TLS, when it is false, leaves out the certificates between a job and
	// its daemon, mode dind: whoever reaches the daemon's port owns it.
	TLS *bool
	// AllowedImages and AllowedServices are patterns, as in "docker:*" or
	// "registry.example.org/ci/**", of the images that a job may name and of
	// those that it may name as services; none: any.
	AllowedImages, AllowedServices []string
	// Group or Project, ids in the forge, make a runner that serves these
	// alone; by default it serves everybody.
	Group, Project int64
	// Token is an authentication token (glrt-…) created by hand; when empty
	// the runner is created through the API.
	Token Secret
	// URL is the forge of this runner when it is another one; needs Token.
	URL string

	Environment []string       // KEY=value
	Settings    map[string]any // further keys of [[runners]]
	// Docker are further keys of [runners.docker]. Its volumes and extra_hosts
	// are added to those of the mode, any other key has the last word.
	Docker map[string]any
}
