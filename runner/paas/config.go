package paas

import (
	"time"

	"github.com/heptaup/hepta/internal/secret"
)

// Secret is text that prints as ***.
type Secret = secret.Value

// Executor is where the hosts come from.
type Executor string

// The executors.
const (
	CleverDocker Executor = "clever-docker" // a Clever Cloud application a job
	LocalDocker  Executor = "local-docker"  // a container on a Docker Engine
)

// Config is what a config.toml says, with its defaults filled in.
type Config struct {
	Concurrent         int           // concurrent: jobs at once, 50
	CheckInterval      time.Duration // check_interval: between two polls for a job, 3 s
	ProgressInterval   time.Duration // job_progress_poll_interval: between two looks at a running job, 30 s
	StateFile          string        // state_file: required
	Quota              *Quota        // quota_computation; nil counts jobs only
	MaxProvisioning    int           // paas_max_concurrent_provisioning: hosts in the making at once, 10
	LaunchSpacing      time.Duration // paas_min_seconds_between_launches: 0
	KeepFinished       bool          // paas_finished_jobs_keep_resources: hosts of finished jobs stay
	RemoveFailedLaunch bool          // paas_decommission_launch_failures: hosts of failed launches go, true
	LogStatistics      bool          // paas_log_statistics: true
	Runners            []Runner
}

// Runner is one [[runners]] section.
type Runner struct {
	Line     int    // where the section begins
	Name     string // as people know it
	URL      string // of the coordinator, without a slash at the end
	Token    Secret // authenticates the runner
	Executor Executor
	Image    string // heptapod_runner_main_image: what runs the job on the host
	// HideToken keeps the runner's token from hosts (paas_hide_runner_token): they
	// get only its beginning, after which things are named.
	HideToken bool
	Watch     *Watch  // nil: a job that was handed over counts as started
	Clever    *Clever // with CleverDocker
	Socket    string  // with LocalDocker: unix:// address of the Engine

	// section is the section as written: a function, so that no way of printing
	// a Runner shows the secrets in it.
	section func() map[string]any
}

// Clever is what a runner says about Clever Cloud.
type Clever struct {
	API            string // cc_api_url
	AuthScheme     string // cc_auth_scheme: token or bearer
	AuthUser       string // cc_auth_user: for the Git push
	Zone           string // cc_zone
	Flavor         string // cc_default_flavor: of jobs that do not choose
	MaxFlavor      string // cc_max_flavor: the biggest that a job may choose; empty for any
	FlavorContext  string // cc_flavor_context
	FlavorPrefix   string // cc_flavor_name_prefix
	Variant        string // cc_instance_variant_uuid
	Env            map[string]string
	RepoTimeout    time.Duration // cc_deployment_repo_timeout
	RepoStep       time.Duration // cc_deployment_repo_wait_step
	Organisation   string        // cc_orga_id, of a single organisation
	Token          Secret        // cc_token, of a single organisation
	Tenants        bool          // cc_multi_tenant: organisation and token come from the job's top-level group
	AttributeToken Secret        // cc_gitlab_namespace_attributes_token: reads those
	OrgaAttribute  string        // cc_orga_id_attribute
	TokenAttribute string        // cc_orga_token_attribute
	Cellar         bool          // cc_cellar_attributes: the bucket for caches comes from that group too
}

// Watch says how to see that a job has started: its trace grows.
type Watch struct {
	Token   Secret        // reads traces
	Timeout time.Duration // after which the launch has failed, 300 s
	Step    time.Duration // between two looks, 10 s
}

// Quota bounds the sum of the weights of all hosts to that of Jobs hosts of
// one flavor.
type Quota struct {
	Line   int
	Runner string // reference_runner: whose provider knows the flavor
	Flavor string // reference_flavor
	Jobs   int    // reference_jobs_count
}

// reference is the runner whose flavors the quota is computed with.
func (c Config) reference() (r Runner) {
	for _, r = range c.Runners {
		if c.Quota.Runner == r.Name || c.Quota.Runner == r.Short() {
			return r
		}
	}
	return r // there is one: the configuration was read
}

const (
	defaultImage   = "registry.heptapod.net:443/heptapod/heptapod-runner/runner:0.7.0"
	defaultVariant = "70d676a0-a775-4dc9-a43d-3121036e8515"
	defaultAPI     = "https://api.clever-cloud.com/v2"
	defaultContext = "heptapod-runner"
	defaultSocket  = "unix:///var/run/docker.sock"
)
