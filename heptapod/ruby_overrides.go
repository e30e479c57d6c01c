package heptapod

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pattern"
)

// addressSetting is a setting of gitlab.rb about where the forge answers, which the
// proxy, the published ports and the runners go by as well.
type addressSetting struct {
	name  string // as people write it
	found func() *regexp.Regexp
	// ours is what hepta writes, "" where the setting has no place; nil: never.
	ours   func(Config) string
	remedy string
}

// assigned matches a line that gives a setting a value. A value that is not
// plainly written is matched as it stands.
func assigned(left string) func() *regexp.Regexp {
	return pattern.New(`^\s*` + left + `\s*\(?\s*(?:'([^'\\]*)'|"([^"\\#]*)"|([^\s#;]+))`)
}

// element matches section['key'] = value, also where the section is a part of
// another one, as releases from 19.2 on have it.
func element(section, key string) func() *regexp.Regexp {
	return assigned(section + `\[\s*[:'"]+` + key + `['"]*\s*\]\s*=`)
}

const (
	nginxSection         = `(?:nginx|gitlab_rails\[\s*[:'"]+nginx['"]*\s*\])`
	registryNginxSection = `(?:registry_nginx|registry\[\s*[:'"]+nginx['"]*\s*\])`
)

func is(text string) func(Config) string { return func(Config) string { return text } }

var addressSettings = []addressSetting{
	{"external_url", assigned(`external_url\b`), func(cfg Config) string { return cfg.ExternalURL },
		"leave it out, or say the same under heptapod.external_url"},
	{"registry_external_url", assigned(`registry_external_url\b`), func(cfg Config) string {
		if cfg.Registry == nil {
			return ""
		}
		return cfg.Registry.ExternalURL
	}, "leave it out: the section registry says where the registry is"},
	{"nginx['enable']", element(nginxSection, "enable"), is("true"), "leave it out: the proxy leads to the forge's nginx"},
	{"nginx['listen_port']", element(nginxSection, "listen_port"), is("80"), "leave it out: the proxy asks that port"},
	{"nginx['listen_https']", element(nginxSection, "listen_https"), is("false"), "leave it out: the proxy in front ends TLS"},
	{"nginx['redirect_http_to_https']", element(nginxSection, "redirect_http_to_https"), is("false"), "leave it out: the proxy redirects, and the forge would do it without end"},
	{"nginx['ssl_certificate']", element(nginxSection, "ssl_certificate(?:_key)?"), nil, "leave it out: the proxy ends TLS, with certificates as in tls: {mode: files, certificate: FILE, key: FILE}"},
	{"registry_nginx['listen_port']", element(registryNginxSection, "listen_port"), func(cfg Config) string {
		if cfg.Registry == nil {
			return ""
		}
		return strconv.Itoa(cfg.Registry.listenPort())
	}, "leave it out, and set registry.port or registry.nginx_port"},
	{"registry_nginx['listen_https']", element(registryNginxSection, "listen_https"), func(cfg Config) string {
		return strconv.FormatBool(cfg.Registry != nil && cfg.Registry.ownTLS())
	}, "leave it out: with registry.host the proxy ends TLS, with registry.port and registry.certificate the forge's nginx does"},
	{"registry_nginx['ssl_certificate']", element(registryNginxSection, "ssl_certificate(?:_key)?"), nil, "leave it out, and set registry.certificate and registry.key"},
	{"letsencrypt['enable']", element("letsencrypt", "enable"), is("false"), "leave it out: the proxy gets certificates, as in acme: {email: admin@example.org}"},
	{"gitlab_rails['gitlab_shell_ssh_port']", element("gitlab_rails", "gitlab_shell_ssh_port"), func(cfg Config) string { return strconv.Itoa(cfg.SSH.Port) },
		"leave it out, and set heptapod.ssh.port, which is published as well"},
}

// warnRuby tells of own lines that take the forge away from where the proxy,
// the published ports and the runners look for it. No value of theirs is shown.
func (f *Forge) warnRuby(*converge.Observed) []string { return f.cfg.overrides() }

func (cfg Config) overrides() []string {
	var notes []string
	number := 0
	for line := range strings.Lines(cfg.Ruby) {
		number++
		for _, s := range addressSettings {
			m := s.found().FindStringSubmatch(line)
			if m == nil {
				continue
			}
			ours := ""
			if s.ours != nil {
				ours = s.ours(cfg)
			}
			if ours != "" && strings.TrimRight(cmp.Or(m[1], m[2], m[3]), ")/") == strings.TrimRight(ours, "/") {
				continue
			}
			text := fmt.Sprintf("heptapod.gitlab_rb, line %d: %s has the last word", number, s.name)
			if ours != "" {
				text += " over the " + ours + " that hepta writes"
			}
			notes = append(notes, text+": "+s.remedy)
		}
	}
	return notes
}
