package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	pathpkg "path"
	"slices"
	"strconv"
	"strings"
)

// settings are what gitlab.rb and its kin came to: sections by name, and the
// few values that stand alone.
type settings map[string]any

func parseSettings(b []byte) (settings, error) {
	var s settings
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("parse settings: %w", err)
	}
	return s, nil
}

// at is the value below a path of keys, nil when there is none.
func (s settings) at(path ...string) any {
	var v any = map[string]any(s)
	for _, key := range path {
		section, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = section[key]
	}
	return v
}

// text is a value as text; symbols and numbers too, as Ruby prints them.
func (s settings) text(path ...string) string {
	switch v := s.at(path...).(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// truth is a value as yes or no, otherwise when it is not set.
func (s settings) truth(otherwise bool, path ...string) bool {
	switch v := s.at(path...).(type) {
	case bool:
		return v
	case string:
		return v != "" && v != "false" && v != "off"
	}
	return otherwise
}

// number is a value as a whole number, otherwise when it is not one.
func (s settings) number(otherwise int, path ...string) int {
	if n, err := strconv.Atoi(s.text(path...)); err == nil {
		return n
	}
	return otherwise
}

func (s settings) list(path ...string) []string {
	var out []string
	switch v := s.at(path...).(type) {
	case []any:
		for _, e := range v {
			if text, ok := e.(string); ok {
				out = append(out, text)
			}
		}
	case string:
		out = append(out, v)
	}
	return out
}

// site is a virtual host as an external URL and the nginx settings of its
// section describe it.
type site struct {
	url       *url.URL
	port      int
	tls       bool
	cert, key string
	redirect  bool // http on port 80 leads to https
}

var errNoHost = errors.New("want http(s)://host[:port]")

// site reads the virtual host of an external URL, nil when it is not set.
func (s settings) site(urlKey, section string) (*site, error) {
	text := s.text(urlKey)
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err == nil && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		err = errNoHost
	}
	if err != nil {
		return nil, fmt.Errorf("GitLab external URL must include a schema and FQDN, e.g. http://gitlab.example.com/: %s %q: %w", urlKey, text, err)
	}
	port := 80
	if u.Scheme == "https" {
		port = 443
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil {
			return nil, fmt.Errorf("parse port of %s: %w", urlKey, err)
		}
	}
	v := &site{url: u, port: s.number(port, section, "listen_port"), tls: s.truth(u.Scheme == "https", section, "listen_https")}
	if v.tls {
		v.cert, v.key = s.text(section, "ssl_certificate"), s.text(section, "ssl_certificate_key")
		if v.cert == "" {
			v.cert = etcDir + "/ssl/" + u.Hostname() + ".crt"
		}
		if v.key == "" {
			v.key = etcDir + "/ssl/" + u.Hostname() + ".key"
		}
		v.redirect = s.truth(false, section, "redirect_http_to_https")
	}
	return v, nil
}

// registryOn reports whether the image runs its registry.
func (s settings) registryOn() bool {
	return s.text("registry_external_url") != "" && s.truth(true, "registry", "enable") && s.truth(true, "gitlab_rails", "registry_enabled")
}

// networks are the address ranges of a setting; what is none is left out.
func networks(list []string) []*net.IPNet {
	var nets []*net.IPNet
	for _, text := range list {
		if !strings.Contains(text, "/") {
			if strings.Contains(text, ":") {
				text += "/128"
			} else {
				text += "/32"
			}
		}
		if _, n, err := net.ParseCIDR(text); err == nil {
			nets = append(nets, n)
		}
	}
	return nets
}

func within(nets []*net.IPNet, ip net.IP) bool {
	for _, n := range nets {
		if ip != nil && n.Contains(ip) {
			return true
		}
	}
	return false
}

// removedSetting is a setting that a release took out; it aborts the
// configuration from then on, until it is forgotten. heptapod-docker 1.7, day-two 1.5.
type removedSetting struct {
	path       []string // the last key may hold a *
	deprecated string
	removed    release
	note       string
}

// forgotten is the release that no longer knows what was removed up to 17.0.
var forgotten = release{18, 2}

func removedSettings() []removedSetting {
	old := func(major, minor int, path ...string) removedSetting {
		return removedSetting{path, fmt.Sprintf("%d.%d", major-1, 10), release{major, minor}, ""}
	}
	return []removedSetting{
		old(14, 0, "unicorn", "*"), old(14, 0, "repmgr", "*"), old(14, 0, "repmgrd", "*"), old(14, 0, "postgresql", "data_dir"), old(14, 0, "nginx", "gzip"),
		old(14, 0, "sidekiq", "cluster"), old(14, 0, "gitlab_pages", "http_proxy"), old(14, 0, "gitlab_pages", "domain_config_source"),
		old(14, 3, "gitlab_pages", "use_legacy_storage"), old(14, 0, "gitlab_rails", "extra_piwik_site_id"),
		old(15, 0, "gitlab_rails", "*_object_store_direct_upload"), old(15, 0, "gitlab_rails", "*_object_store_background_upload"),
		old(15, 0, "gitlab_rails", "pseudonymizer_*"), old(15, 0, "gitlab_shell", "custom_hooks_dir"), old(15, 0, "gitlab_shell", "http_settings", "self_signed_cert"),
		old(15, 0, "actioncable", "enable"), old(15, 0, "gitaly", "internal_socket_dir"), old(15, 1, "gitaly", "ruby_rugged_git_config_search_path"),
		old(15, 0, "gitlab_rails", "object_store", "connection", "openstack_username"), old(15, 0, "gitlab_rails", "object_store", "connection", "rackspace_username"),
		old(15, 5, "gitlab_rails", "enable_jemalloc"),
		old(16, 0, "gitaly", "cgroups_count"), old(16, 0, "gitaly", "cgroups_memory_enabled"), old(16, 0, "gitaly", "cgroups_memory_limit"), old(16, 0, "gitaly", "cgroups_cpu_enabled"),
		old(16, 0, "gitlab_rails", "gitlab_default_can_create_group"),
		old(17, 0, "omnibus_gitconfig", "*"), old(17, 0, "sidekiq", "min_concurrency"), old(17, 0, "sidekiq", "max_concurrency"),
		old(17, 0, "sidekiq", "queue_selector"), old(17, 0, "sidekiq", "negate"), old(17, 0, "postgres_exporter", "per_table_stats"),

		{[]string{"gitlab_shell", "migration"}, "17.4", release{18, 0}, "This setting has no effect."},
		{[]string{"git_data_dirs"}, "17.8", release{18, 0}, "See https://docs.gitlab.com/omnibus/settings/configuration/#migrating-from-git_data_dirs for migration instructions."},
		{[]string{"gitaly", "configuration", "git", "use_bundled_binaries"}, "18.3", release{19, 0}, ""},
		{[]string{"gitaly", "configuration", "git", "bin_path"}, "18.3", release{19, 0}, ""},
		{[]string{"spamcheck", "*"}, "18.0", release{19, 0}, ""},
		{[]string{"mattermost", "*"}, "18.0", release{19, 0}, "Mattermost is no longer part of the package."},
		{[]string{"mattermost_external_url"}, "19.0", release{20, 0}, ""},
		{[]string{"gitlab_exporter", "server_name"}, "19.0", release{20, 0}, ""},
		{[]string{"registry", "default_notifications_threshold"}, "17.1", release{23, 0}, ""},
	}
}

// harmless are the settings of removed sections that are let through.
func harmless(name string, v any) bool {
	section, key, _ := strings.Cut(name, "['")
	switch section {
	case "unicorn", "repmgr", "repmgrd":
		return key == "svlogd_prefix']" || key == "enable']" && v == false
	}
	return false
}

// removed lists the settings that a version no longer takes, one line each.
func (s settings) removed(version release) []string {
	var lines []string
	for _, r := range removedSettings() {
		if version.before(r.removed) || r.removed.before(release{18, 0}) && !version.before(forgotten) {
			continue
		}
		for name, v := range s.all(r.path) {
			if section, isSection := v.(map[string]any); v == nil || isSection && len(section) == 0 || harmless(name, v) {
				continue
			}
			line := fmt.Sprintf("* %s has been deprecated since %s and was removed in %s. %s", name, r.deprecated, r.removed, r.note)
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

// all are the settings that a path means, by their names as Ruby has them.
func (s settings) all(path []string) map[string]any {
	found := map[string]any{}
	last := path[len(path)-1]
	front, name := path[:len(path)-1], path[0]
	for _, key := range front[min(1, len(front)):] {
		name += "['" + key + "']"
	}
	if len(front) == 0 {
		found[name] = s.at(last)
		return found
	}
	section, _ := s.at(front...).(map[string]any)
	for key, v := range section {
		if ok, err := pathpkg.Match(last, key); err == nil && ok {
			found[name+"['"+key+"']"] = v
		}
	}
	return found
}
