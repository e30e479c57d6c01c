package hepta

// RunnerContainer is the container that holds all runners.
type RunnerContainer struct {
	// Image of the runner: GitLab's, or Heptapod's for Mercurial projects.
	Image string `yaml:"image" check:"image"`
	// Image of the runner's helper. Default: the runner's own choice.
	HelperImage string `yaml:"helper_image" check:"image"`
	// Jobs at once over all runners. Default: the sum of the runners' own.
	Concurrent int `yaml:"concurrent" min:"1" max:"1000"`
	// Seconds between two questions for jobs.
	CheckInterval int `yaml:"check_interval" default:"3" min:"1" max:"3600"`
	// Seconds that running jobs get to end when the container is replaced or removed.
	DrainSeconds int `yaml:"drain_seconds" default:"600" min:"1" max:"86400"`
	// Each job of the modes plain, dind and rootless gets a network for itself and its services, where the runner program supports it (docs/runners.md).
	JobNetworks bool `yaml:"job_networks"`
	// File with a registration token, for forges that cannot create runners by API.
	RegistrationTokenFile string `yaml:"registration_token_file" into:"RegistrationToken" private:"true"`
	// PEM file with the authorities of the forge's and the registry's certificates, where they are no public ones. Runners, jobs, their Docker daemons and the Engine trust them, and with tls internal the stack's own beside them.
	CAFile string `yaml:"ca" into:"CA"`
	// Names that no DNS server tells runners and jobs, as name:address.
	ExtraHosts []string `yaml:"extra_hosts" check:"hostentry"`
	// Variables of the runner's own process, as NAME=value, such as HTTPS_PROXY and NO_PROXY. Not for secrets: docker inspect shows them. Those of jobs stand at each runner.
	Environment []string `yaml:"environment" check:"env" private:"inside"`
	// Keep what runners and jobs have pulled and built on the Docker host to a size, by the timer of hepta systemd. Default: nothing is removed by itself.
	Prune *Prune `yaml:"prune"`
	// Further labels of the container.
	Labels map[string]string `yaml:"labels"`
	// Terminals of running jobs in the forge's web pages. true alone is short for one with every default.
	SessionServer *SessionServer `yaml:"session_server" short:"enabled"`

	// CA is the content of the file ca.
	CA []byte `yaml:"-" json:"-"`
	// RegistrationToken is the content of registration_token_file.
	RegistrationToken Secret `yaml:"-"`
}

// SessionServer is where the forge opens terminals of running jobs.
type SessionServer struct {
	// Whether there is one. Default: yes, where the section is written.
	Enabled *bool `yaml:"enabled"`
	// Name of the Docker host by which the forge reaches it; its certificate is for that. Needed with port, and for an external forge. Default: the container's name, which the forge of this file knows.
	Host string `yaml:"host" check:"host"`
	// Port of the Docker host that it is published on, or address:port. Default: none for the forge of this file, which needs none; 8093 for an external one.
	Port Port `yaml:"port" check:"published"`
	// Seconds for which an open terminal keeps its job from ending.
	Timeout int `yaml:"timeout" default:"1800" min:"1" max:"86400"`
}

// Prune bounds what runners and jobs keep on the Docker host.
type Prune struct {
	// What images and build cache of the Engine may take together, 1g at least. Beyond it what is in no use goes, what was pulled longest ago first. Required.
	Keep int64 `yaml:"keep" min:"1073741824"`
	// How often the timer looks.
	Every string `yaml:"every" default:"day" oneof:"hour day week"`
	// Nobody but the runners and their jobs pulls or builds on this Engine: then the build cache goes too, and every image that came from a registry or has no name any more. Without it only images that jobs have labelled as theirs, and those that the runners' own sections name.
	Dedicated bool `yaml:"dedicated"`
}

// Runner is one runner.
type Runner struct {
	// Shown in the forge, spaces and capitals included. Required, and each runner has its own.
	Name string `yaml:"name" check:"runner" max:"255"`
	// How jobs build images. dind: in a Docker daemon of their own; socket: with the host's Docker, which jobs can then do everything with; rootless: without daemon and privileges; plain: not at all. Default: plain.
	Mode string `yaml:"mode" oneof:"dind socket rootless plain"`
	// Jobs with these tags come here.
	Tags []string `yaml:"tags" max:"255"`
	// Take jobs without tags as well. Default: yes for a runner without tags.
	RunUntagged *bool `yaml:"run_untagged"`
	// Bound to the projects that it is assigned to.
	Locked bool `yaml:"locked"`
	// Known to the forge, but takes no jobs.
	Paused bool `yaml:"paused"`
	// ref_protected takes jobs of protected branches and tags alone.
	AccessLevel string `yaml:"access_level" default:"not_protected" oneof:"not_protected ref_protected"`
	// Seconds after which a job is stopped, 600 at least. Default: as the project says.
	MaximumTimeout int `yaml:"maximum_timeout" min:"600"`
	// Jobs at once.
	Concurrent int `yaml:"concurrent" default:"1" min:"1" max:"1000"`
	// Image of jobs that name none.
	Image string `yaml:"image" check:"image"`
	// Image of a Docker daemon that runs beside every job as service docker, mode dind. Default: none, jobs name the service themselves.
	DindImage string `yaml:"dind_image" check:"image"`
	// Keep what jobs have pulled and built for the next ones, modes dind and rootless: for each project and each of its jobs at once a cache of this size, 1g at least. Default: nothing is kept.
	BuildCache int64 `yaml:"build_cache" min:"1073741824"`
	// TLS between a job and its Docker daemon, mode dind. With false whoever reaches the daemon's port owns it.
	TLS *bool `yaml:"tls"`
	// Patterns of the images that jobs may name, such as docker:*. Default: any.
	AllowedImages []string `yaml:"allowed_images"`
	// Patterns of the images that jobs may name as services. Default: any.
	AllowedServices []string `yaml:"allowed_services"`
	// Number of the group that it serves. Default: everybody.
	Group int `yaml:"group" min:"1"`
	// Number of the project that it serves. Default: everybody.
	Project int `yaml:"project" min:"1"`
	// Another forge to take jobs from.
	Forge *RunnerForge `yaml:"forge"`
	// Variables for every job, as NAME=value.
	Environment []string `yaml:"environment" check:"env" private:"inside"`
	// Further keys of the runner's section in config.toml.
	Settings map[string]any `yaml:"settings" private:"inside"`
	// Further keys of its docker section, such as shm_size or volumes.
	Docker map[string]any `yaml:"docker" private:"inside"`
}

// RunnerForge is another forge that a runner takes jobs from.
type RunnerForge struct {
	// Address of the forge. Default: the forge of this file.
	URL string `yaml:"url" check:"url"`
	// File with the runner's authentication token (glrt-…), made in that forge. Required.
	TokenFile string `yaml:"token_file" into:"Token" private:"true"`

	// Token is the content of token_file.
	Token Secret `yaml:"-"`
}
