package heptapod

import (
	"regexp"
	"strings"

	"github.com/heptaup/hepta/internal/pattern"
)

// removedSetting is a setting whose presence makes gitlab-ctl reconfigure
// abort, and with it the whole container, from one release of GitLab on.
type removedSetting struct {
	name  string // as people write it
	found func() *regexp.Regexp
	from  release
	// until is the release from which on it is ignored without a word; the zero
	// one while it is refused still.
	until  release
	remedy string
}

// setting matches a line that sets section['key'], also with a symbol for key;
// both are regular expressions.
func setting(section, key string) func() *regexp.Regexp {
	return pattern.New(`^\s*` + section + `\[\s*[:'"]+` + key + `['"]*\s*\]`)
}

// section matches a line that sets anything of a section.
func section(name string) func() *regexp.Regexp { return pattern.New(`^\s*` + name + `\s*\[`) }

// call matches a line that calls a setting of its own.
func call(name string) func() *regexp.Regexp { return pattern.New(`^\s*` + name + `\b`) }

// word matches a word that stands anywhere but in a comment, for settings that
// lie deep in others.
func word(name string) func() *regexp.Regexp { return pattern.New(`^[^#]*\b` + name + `\b`) }

// forgotten is where the settings that were removed up to 17.0 left the list of
// those that are refused.
var forgotten = release{18, 2}

// removedSettings follows files/gitlab-cookbooks/package/libraries/deprecations.rb
// of omnibus-gitlab, at the releases from 13.12 to 19.3. Left out is what is for
// several nodes alone: praefect, geo, redis replicas.
var removedSettings = []removedSetting{
	{"unicorn", section("unicorn"), release{14, 0}, forgotten, "Puma takes its place: use puma['worker_processes'] and its kin"},
	{"repmgr", section("repmgrd?"), release{14, 0}, forgotten, "remove the line: Patroni takes its place"},
	{"postgresql['data_dir']", setting("postgresql", "data_dir"), release{14, 0}, forgotten, "use postgresql['dir']"},
	{"nginx['gzip']", setting("nginx", "gzip"), release{14, 0}, forgotten, "use nginx['gzip_enabled']"},
	{"sidekiq['cluster']", setting("sidekiq", "cluster"), release{14, 0}, forgotten, "remove the line: it is the default"},
	{"experimental_queue_selector", setting("sidekiq(?:_cluster)?", "experimental_queue_selector"), release{14, 0}, forgotten, "use sidekiq['queue_selector']"},
	{"gitlab_pages['http_proxy']", setting("gitlab_pages", "http_proxy"), release{14, 0}, forgotten, "use gitlab_pages['env']"},
	{"gitlab_pages['domain_config_source']", setting("gitlab_pages", "domain_config_source"), release{14, 0}, forgotten, "remove the line: it is the default"},
	{"gitlab_rails['extra_piwik_…']", setting("gitlab_rails", "extra_piwik_(?:site_id|url)"), release{14, 0}, forgotten, "use gitlab_rails['extra_matomo_…']"},
	{"gitlab_rails['analytics_instance_statistics_count_job_trigger_worker_cron']", setting("gitlab_rails", "analytics_instance_statistics_count_job_trigger_worker_cron"),
		release{14, 0}, forgotten, "use gitlab_rails['analytics_usage_trends_count_job_trigger_worker_cron']"},
	{"gitlab_pages['use_legacy_storage']", setting("gitlab_pages", "use_legacy_storage"), release{14, 3}, forgotten, "remove the line"},
	{"…_object_store_direct_upload and …_background_upload", setting("gitlab_rails", `\w+_object_store_(?:direct|background)_upload`), release{15, 0}, forgotten, "remove the line: uploads are direct"},
	{"gitlab_shell['custom_hooks_dir']", setting("gitlab_shell", "custom_hooks_dir"), release{15, 0}, forgotten, "use gitaly['configuration'] with hooks"},
	{"gitlab_shell['http_settings']['self_signed_cert']", word("self_signed_cert"), release{15, 0}, forgotten, "put the certificate into trusted-certs"},
	{"actioncable['enable']", setting("actioncable", "enable"), release{15, 0}, forgotten, "remove the line: it is always on"},
	{"gitaly['internal_socket_dir']", setting("gitaly", "internal_socket_dir"), release{15, 0}, forgotten, "use gitaly['configuration'] with runtime_dir"},
	{"gitlab_pages['daemon-inplace-chroot']", setting("gitlab_pages", "daemon[-_]inplace[-_]chroot"), release{15, 0}, forgotten, "remove the line"},
	{"gitlab_rails['pseudonymizer_…']", setting("gitlab_rails", `pseudonymizer_\w+`), release{15, 0}, forgotten, "remove the line"},
	{"an object store of OpenStack or Rackspace", word("(?:openstack|rackspace)_username"), release{15, 0}, forgotten, "reach the store by its S3 API"},
	{"gitaly['ruby_rugged_git_config_search_path']", setting("gitaly", "ruby_rugged_git_config_search_path"), release{15, 1}, forgotten, "remove the line"},
	{"gitlab_rails['enable_jemalloc']", setting("gitlab_rails", "enable_jemalloc"), release{15, 5}, forgotten, "remove the line"},
	{"gitaly['cgroups_…']", setting("gitaly", "cgroups_(?:count|memory_enabled|memory_limit|cpu_enabled)"), release{16, 0}, forgotten, "use gitaly['configuration'] with cgroups"},
	{"gitlab_rails['gitlab_default_can_create_group']", setting("gitlab_rails", "gitlab_default_can_create_group"), release{16, 0}, forgotten, "set it in the forge, under Admin, Settings, General"},
	{"omnibus_gitconfig", section("omnibus_gitconfig"), release{17, 0}, forgotten, "use gitaly['configuration'] with git"},
	{"sidekiq['min_concurrency'] and ['max_concurrency']", setting("sidekiq", "(?:min|max)_concurrency"), release{17, 0}, forgotten, "use sidekiq['concurrency']"},
	{"sidekiq['queue_selector'] and ['negate']", setting("sidekiq", "(?:queue_selector|negate)"), release{17, 0}, forgotten, "use sidekiq['routing_rules']"},
	{"postgres_exporter['per_table_stats']", setting("postgres_exporter", "per_table_stats"), release{17, 0}, forgotten, "remove the line"},

	{"gitlab_shell['migration']", setting("gitlab_shell", "migration"), release{18, 0}, release{}, "remove the line: it is the default"},
	{"git_data_dirs", call("git_data_dirs"), release{18, 0}, release{}, "use gitaly['configuration'] with storage"},
	{"gitaly's use_bundled_binaries", word("use_bundled_binaries"), release{19, 0}, release{}, "remove it: Gitaly has its own Git"},
	{"gitaly's bin_path", word("bin_path"), release{19, 0}, release{}, "remove it: Gitaly has its own Git"},
	{"spamcheck", section("spamcheck"), release{19, 0}, release{}, "remove the line"},
	{"mattermost", section("mattermost"), release{19, 0}, release{}, "run Mattermost apart from the forge"},
	{"mattermost_external_url", call("mattermost_external_url"), release{20, 0}, release{}, "run Mattermost apart from the forge"},
	{"gitlab_exporter['server_name']", setting("gitlab_exporter", "server_name"), release{20, 0}, release{}, "remove the line"},
	{"registry['default_notifications_threshold']", setting("registry", "default_notifications_threshold"), release{23, 0}, release{}, "use registry['default_notifications_maxretries']"},
}

// refuses reports whether a release aborts on the setting.
func (s removedSetting) refuses(at release) bool {
	return !at.before(s.from) && (s.until == release{} || at.before(s.until))
}

// stays matches what may be there of a removed section, and what sets nothing.
var stays = pattern.New(`^\s*(?:unicorn|repmgrd?)\[\s*[:'"]+(?:enable['"]*\s*\]\s*=\s*false|svlogd_prefix)|=\s*nil\s*(?:#.*)?$`)

// removed refuses own lines that the image's release no longer accepts. An
// image of unknown version is let through: its own check speaks then. Without
// an image it is said when the image is known that is there.
func (p *problems) removed(cfg Config) {
	version, err := ParseVersion(cfg.Image)
	if err != nil || !version.Known() {
		return
	}
	g := version.GitLab()
	at := release{g.Major, g.Minor}
	for _, s := range removedSettings {
		if !s.refuses(at) {
			continue
		}
		for line := range strings.Lines(cfg.Ruby) {
			if s.found().MatchString(line) && !stays().MatchString(strings.TrimRight(line, "\r\n")) {
				p.add("heptapod.gitlab_rb", "%s was removed in GitLab %s: %s would not boot with it", s.remedy, s.name, s.from, cfg.Image)
				break
			}
		}
	}
	if _, set := cfg.Services["mattermost"]; set && !at.before(release{19, 0}) {
		p.add("heptapod.services.mattermost", "Mattermost was removed from the image in 19.0", "leave it out")
	}
}
