package heptapod

import (
	"fmt"
	"strings"
	"testing"
)

// refusedAt lists the releases that refuse a line, as ranges.
func refusedAt(line string) string {
	var ranges []string
	on := false
	for _, r := range append(gitlabReleases(), release{20, 0}, release{22, 11}, release{23, 0}) {
		cfg := Config{Host: "hg.example.org", Image: fmt.Sprintf("gitlab/gitlab-ce:%s.0-ce.0", r), Ruby: line + "\n"}
		switch refused := cfg.Validate() != nil; {
		case refused && !on:
			ranges = append(ranges, r.String()+"-")
		case !refused && on:
			ranges[len(ranges)-1] += r.String()
		default:
			continue
		}
		on = !on
	}
	return strings.Join(ranges, " ")
}

// Each line is refused from the release that removed the setting until the one
// that no longer knows it.
func TestRemovedSettings(t *testing.T) {
	for line, want := range map[string]string{
		"unicorn['worker_processes'] = 2":                                    "14.0-18.2",
		"unicorn['enable'] = true":                                           "14.0-18.2",
		"unicorn['enable'] = false":                                          "",
		"unicorn['svlogd_prefix'] = 'x'":                                     "",
		"repmgr['user'] = 'x'":                                               "14.0-18.2",
		"repmgrd['monitor_interval_secs'] = 2":                               "14.0-18.2",
		"postgresql['data_dir'] = '/data'":                                   "14.0-18.2",
		"postgresql['dir'] = '/data'":                                        "",
		"nginx['gzip'] = 'on'":                                               "14.0-18.2",
		"nginx['gzip_enabled'] = true":                                       "",
		"sidekiq[:cluster] = true":                                           "14.0-18.2",
		"gitlab_pages['use_legacy_storage'] = true":                          "14.3-18.2",
		"gitlab_rails['lfs_object_store_direct_upload'] = true":              "15.0-18.2",
		"gitlab_rails['artifacts_object_store_background_upload'] = false":   "15.0-18.2",
		"gitlab_rails['artifacts_object_store_background_upload'] = nil":     "",
		"gitlab_rails['artifacts_object_store_enabled'] = true":              "",
		"gitlab_shell['http_settings'] = { self_signed_cert: true }":         "15.0-18.2",
		"gitaly['ruby_rugged_git_config_search_path'] = '/x'":                "15.1-18.2",
		"gitlab_rails['enable_jemalloc'] = false":                            "15.5-18.2",
		"gitaly['cgroups_count'] = 2":                                        "16.0-18.2",
		"gitaly['cgroups_mountpoint'] = '/sys/fs/cgroup'":                    "",
		"gitlab_rails['gitlab_default_can_create_group'] = false":            "16.0-18.2",
		"omnibus_gitconfig['system'] = { 'receive' => [] }":                  "17.0-18.2",
		"sidekiq['max_concurrency'] = 10":                                    "17.0-18.2",
		"sidekiq['concurrency'] = 10":                                        "",
		"gitlab_shell['migration'] = { enabled: true, features: ['hg'] }":    "18.0-",
		"git_data_dirs({ 'default' => { 'path' => '/x' } })":                 "18.0-",
		"# git_data_dirs({})":                                                "",
		"gitaly['configuration'] = { git: { bin_path: '/usr/bin/git' } }":    "19.0-",
		"    use_bundled_binaries: true,":                                    "19.0-",
		"gitlab_rails['git_bin_path'] = '/x' # not bin_path":                 "",
		"mattermost['enable'] = false":                                       "19.0-",
		"mattermost['service_use_ssl'] = true":                               "19.0-",
		"mattermost_external_url 'https://chat.example.org'":                 "20.0-",
		"gitlab_exporter['server_name'] = 'puma'":                            "20.0-",
		"registry['default_notifications_threshold'] = 5":                    "23.0-",
		"gitlab_rails['pseudonymizer_upload_remote_directory'] = 'gitlab'":   "15.0-18.2",
		"gitlab_rails['object_store']['connection']['openstack_username']=1": "15.0-18.2",
	} {
		if got := refusedAt(line); got != want {
			t.Errorf("%s: refused at %q, want %q", line, got, want)
		}
	}
}
