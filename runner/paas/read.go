package paas

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/secret"
)

// Read reads a config.toml. Keys of GitLab Runner are left to the host that
// runs the job; warnings name keys of the kind read here (cc_…, paas_…) that
// have no effect. The error is a ConfigError with everything that is wrong.
func Read(data []byte) (cfg Config, warnings []Problem, err error) {
	var r report
	if root, ok := parseTable(data, &r); ok {
		cfg = readGlobal(root)
	}
	inOrder(r.errors)
	inOrder(r.warnings)
	if len(r.errors) > 0 {
		return Config{}, r.warnings, ConfigError(r.errors)
	}
	return cfg, r.warnings, nil
}

func readGlobal(t table) Config {
	const oldProgress, oldFailed = "job_progress_interval", "pass_decommision_launched_failures"
	cfg := Config{
		Concurrent:         t.count(t.spelled("concurrent", "concurrency"), 50),
		CheckInterval:      t.seconds("check_interval", 3),
		ProgressInterval:   t.seconds(t.spelled("job_progress_poll_interval", oldProgress), 30),
		StateFile:          t.required("state_file"),
		MaxProvisioning:    t.count("paas_max_concurrent_provisioning", 10),
		LaunchSpacing:      t.seconds("paas_min_seconds_between_launches", 0),
		KeepFinished:       t.yes("paas_finished_jobs_keep_resources", false),
		RemoveFailedLaunch: t.yes(t.spelled("paas_decommission_launch_failures", oldFailed), true),
		LogStatistics:      t.yes("paas_log_statistics", true),
	}
	t.strangers([]string{
		"paas_max_concurrent_provisioning", "paas_min_seconds_between_launches", "paas_finished_jobs_keep_resources",
		"paas_decommission_launch_failures", oldFailed, "paas_log_statistics",
	}, "paas_", "pass_", "cc_")
	for i, section := range sections(t) {
		section.path, section.at = fmt.Sprint("runners.", i, "."), section.line(fmt.Sprint("runners.", i))
		cfg.Runners = append(cfg.Runners, readRunner(section))
	}
	if len(cfg.Runners) == 0 {
		t.wrong("runners", "there is no [[runners]] section")
	}
	distinct(t, cfg.Runners)
	if t.values["quota_computation"] != nil {
		cfg.Quota = readQuota(t.sub("quota_computation"), cfg.Runners)
	}
	return cfg
}

// sections are the [[runners]], still with the path of the root.
func sections(t table) []table {
	var out []table
	list, ok := t.values["runners"].([]any)
	if !ok && t.values["runners"] != nil {
		t.wrong("runners", "want [[runners]], with two brackets")
	}
	for _, v := range list {
		s := table{report: t.report, lines: t.lines, at: t.line("runners")}
		if s.values, ok = v.(map[string]any); !ok {
			t.wrong("runners", "want [[runners]], with two brackets")
			continue
		}
		out = append(out, s)
	}
	return out
}

// distinct holds that no two runners would give their hosts the same names.
func distinct(t table, runners []Runner) {
	seen := map[string]Runner{}
	for _, r := range runners {
		short := r.Short()
		if short == "" {
			continue
		}
		if other, ok := seen[short]; ok {
			t.errors = append(t.errors, Problem{r.Line, "token", fmt.Sprintf(
				"begins as that of the runner at line %d: their hosts could not be told apart; give each runner a token of its own", other.Line)})
			continue
		}
		seen[short] = r
	}
}

func readQuota(t table, runners []Runner) *Quota {
	q := &Quota{
		Line: t.at, Runner: t.required("reference_runner"), Flavor: t.required("reference_flavor"), Jobs: t.count("reference_jobs_count", 0),
	}
	if t.values["reference_jobs_count"] == nil {
		t.wrong("reference_jobs_count", "is missing")
	}
	for _, r := range runners {
		if q.Runner != "" && (r.Name == q.Runner || r.Short() == q.Runner) {
			if r.Executor == LocalDocker {
				t.wrong("reference_runner", "%s has the executor %s, which has no flavors", q.Runner, r.Executor)
			}
			return q
		}
	}
	if q.Runner != "" {
		t.wrong("reference_runner", "there is no runner %q", q.Runner)
	}
	return q
}

func readRunner(t table) Runner {
	r := Runner{
		Line: t.at, Name: t.text("name", ""), URL: strings.TrimRight(t.required("url"), "/"), Token: secret.New(t.required("token")),
		Executor: Executor(t.required("executor")), HideToken: t.yes("paas_hide_runner_token", false), Image: t.text("heptapod_runner_main_image", defaultImage), section: func() map[string]any { return t.values },
	}
	if r.URL != "" && !IsHTTP(r.URL) {
		t.wrong("url", "want http(s)://host[:port]")
	} else if r.Executor == CleverDocker && !isHTTPS(r.URL) && !isLocalHTTP(r.URL) {
		t.odd("url", "is http: the tokens of the runner and its jobs, and their secrets, are sent in plain text, from the hosts over the internet; use https")
	}
	if !r.Token.Empty() && r.Short() == "" {
		t.wrong("token", "is too short to name hosts after")
	}
	if key := t.spelled("paas_job_trace_watch", "job_trace_watch"); t.values[key] != nil {
		r.Watch = readWatch(t.sub(key))
	}
	switch r.Executor {
	case CleverDocker:
		r.Clever = readClever(t)
	case LocalDocker:
		r.Socket = t.text("host", "")
		if r.Socket != "" && !strings.HasPrefix(r.Socket, "unix://") {
			t.wrong("host", "want unix:///path of a Docker socket")
		}
	case "service-docker", "clever-service-docker":
		t.wrong("executor", "%s keeps a helper service on the host, which is not supported: use %s", r.Executor, CleverDocker)
	case "":
	default:
		t.wrong("executor", "want %s or %s", CleverDocker, LocalDocker)
	}
	t.strangers(runnerKeys, ownPrefixes...)
	return r
}

// runnerKeys are the keys of a section that have a meaning here.
var runnerKeys = []string{
	"cc_orga_id", "cc_token", "cc_multi_tenant", "cc_gitlab_namespace_attributes_token", "cc_orga_id_attribute", "cc_orga_token_attribute",
	"cc_api_url", "cc_zone", "cc_default_flavor", "cc_max_flavor", "cc_extra_env", "cc_deployment_repo_timeout", "cc_deployment_repo_wait_step",
	"cc_auth_user", "cc_auth_scheme", "cc_flavor_context", "cc_flavor_name_prefix", "cc_instance_variant_uuid", "cc_cellar_attributes",
	"heptapod_runner_main_image", "paas_job_trace_watch", "paas_hide_runner_token",
}

func readWatch(t table) *Watch {
	return &Watch{
		Token: secret.New(t.required("token")), Timeout: t.seconds(t.spelled("timeout_seconds", "timout_seconds"), 300), Step: t.seconds("poll_step", 10),
	}
}

// enableVariable makes an application at Clever Cloud one that may run jobs.
const enableVariable = "CC_ENABLE_HEPTAPOD_RUNNER"

// warnOfSharedCache warns of one cache for several tenants. The runner on the
// host reads keys in any case.
func warnOfSharedCache(t table) {
	for key, value := range t.values {
		cache, ok := value.(map[string]any)
		if !ok || !strings.EqualFold(key, "cache") {
			continue
		}
		for _, place := range slices.Sorted(maps.Keys(cache)) {
			switch strings.ToLower(place) {
			case "s3", "gcs", "azure":
				t.odd(key+"."+place, "is one cache for all tenants: a job of each of them can read and replace what the others keep there, "+
					"and its keys lie on hosts in all their organisations; give each tenant a bucket with cc_cellar_attributes = true, or leave it out")
			}
		}
	}
}

func readClever(t table) *Clever {
	c := &Clever{
		API: strings.TrimRight(t.text("cc_api_url", defaultAPI), "/"), AuthScheme: t.text("cc_auth_scheme", "token"),
		AuthUser: t.text("cc_auth_user", "Jenkins"), Zone: t.text("cc_zone", "par"),
		Flavor: t.text("cc_default_flavor", "M"), MaxFlavor: t.text("cc_max_flavor", ""),
		FlavorContext: t.text("cc_flavor_context", defaultContext), Variant: t.text("cc_instance_variant_uuid", defaultVariant),
		Env:         t.sub("cc_extra_env").texts(),
		RepoTimeout: t.seconds("cc_deployment_repo_timeout", 20), RepoStep: t.seconds("cc_deployment_repo_wait_step", 2),
		Tenants: t.yes("cc_multi_tenant", false),
	}
	c.FlavorPrefix = t.text("cc_flavor_name_prefix", c.FlavorContext+"-")
	if !isHTTPS(c.API) && !isLocalHTTP(c.API) {
		t.wrong("cc_api_url", "want https://host[:port][/path]; http is taken to this machine only, since it shows the organisation's token to the network")
	}
	if c.AuthScheme != "token" && c.AuthScheme != "bearer" {
		t.wrong("cc_auth_scheme", "want token or bearer")
	}
	if !strings.EqualFold(c.Env[enableVariable], "true") {
		t.odd("cc_extra_env", "lacks %s = \"true\", which the documentation of heptapod-paas-runner sets: Clever Cloud may not make hosts for jobs without it", enableVariable)
	}
	c.Cellar = t.yes("cc_cellar_attributes", false)
	if c.Cellar && !c.Tenants {
		t.wrong("cc_cellar_attributes", "is for cc_multi_tenant = true: the bucket of a single organisation stands in [runners.cache.s3]")
	}
	if c.Tenants {
		if c.Cellar {
			readCellar(t)
		} else {
			warnOfSharedCache(t)
		}
		if !t.yes("paas_hide_runner_token", false) {
			t.odd("cc_multi_tenant", "gives the runner's token to hosts in the organisations of all tenants: who reads it there can take the jobs of the others; "+
				"set paas_hide_runner_token = true, with an image that runs 'hepta paas exec-fetched-job'")
		}
		c.AttributeToken = secret.New(t.required("cc_gitlab_namespace_attributes_token"))
		c.OrgaAttribute, c.TokenAttribute = t.text("cc_orga_id_attribute", "cc_orga_id"), t.text("cc_orga_token_attribute", "cc_orga_token")
		for _, key := range []string{"cc_orga_id", "cc_token"} {
			if t.values[key] != nil {
				t.odd(key, "has no effect with cc_multi_tenant: each top-level group has its own")
			}
		}
		return c
	}
	c.Organisation, c.Token = t.required("cc_orga_id"), secret.New(t.required("cc_token"))
	return c
}
