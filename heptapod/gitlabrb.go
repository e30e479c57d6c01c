package heptapod

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Where the files that gitlab.rb reads lie inside the container.
const (
	configDir        = "/etc/gitlab"
	rootPasswordPath = configDir + "/hepta/root_password"
	smtpPasswordPath = configDir + "/hepta/smtp_password"
	smtpCAPath       = configDir + "/hepta/smtp_ca.crt"
	registryCertPath = configDir + "/ssl/hepta-registry.crt"
	registryKeyPath  = configDir + "/ssl/hepta-registry.key"
)

// gitlabRBMark begins every gitlab.rb that hepta has written.
const gitlabRBMark = "# Written by hepta,"

const gitlabRBHeader = gitlabRBMark + ` and written again whenever its configuration changes: what
# is edited here gets lost. Lines of your own belong into hepta.yaml, under
# heptapod.gitlab_rb. They come last in this file and have the last word.
#
# No password stands here: those are read from files below /etc/gitlab/hepta.
`

// GitlabRB renders gitlab.rb, for the GitLab release that cfg.Image carries;
// without an image for that of the default one, whose removed settings are then
// not looked for.
// It is a pure function: the same configuration gives the same bytes. No
// secret of cfg is in the result, save what cfg.Ruby spells out.
func GitlabRB(cfg Config) (string, error) {
	if err := cfg.Validate(); err != nil {
		return "", err
	}
	cfg = cfg.withDefaults()
	if len(cfg.TrustedProxies) == 0 {
		cfg.TrustedProxies = dockerRanges
	}
	version, err := ParseVersion(cfg.Image)
	if err != nil {
		return "", err
	}
	var s rubyScript
	s.WriteString(gitlabRBHeader)

	s.line("\nexternal_url " + rubyString(cfg.ExternalURL))
	s.section("Plain http inside the container; a proxy in front ends TLS.")
	proxied(&s, cfg)
	s.section("ssh")
	s.number("gitlab_rails", "gitlab_shell_ssh_port", cfg.SSH.Port)
	s.section("The password of root, used when the database is made.")
	s.line("if File.exist?(" + rubyString(rootPasswordPath) + ")")
	s.WriteString("  ")
	s.set("gitlab_rails", "initial_root_password", rubyFile(rootPasswordPath))
	s.line("end")
	s.truth("gitlab_rails", "store_initial_root_password", false)

	if cfg.Registry != nil {
		s.section("Container registry")
		registry(&s, cfg)
	}
	if cfg.SMTP != nil {
		s.section("Outgoing mail")
		mail(&s, *cfg.SMTP)
	}
	rackAttack(&s, cfg)
	if len(cfg.Services) > 0 {
		s.section("Services")
		for _, name := range slices.Sorted(maps.Keys(cfg.Services)) {
			s.truth(name, "enable", cfg.Services[name])
		}
	}
	if version.Heptapod && version.Known() && version.before(17, 0) {
		s.section("Mercurial over ssh, a switch that later releases no longer know")
		s.line("gitlab_shell['migration'] = { enabled: true, features: ['hg'] }")
	}
	if strings.TrimSpace(cfg.Ruby) != "" {
		s.section("heptapod.gitlab_rb")
		s.line(strings.TrimRight(cfg.Ruby, "\n"))
	}
	return s.String(), nil
}

// proxied writes what the forge's own nginx needs behind a proxy. The nginx
// settings keep the names that every release knows; the later ones translate them.
func proxied(s *rubyScript, cfg Config) {
	s.number("nginx", "listen_port", 80)
	s.truth("nginx", "listen_https", false)
	s.truth("nginx", "redirect_http_to_https", false)
	s.set("nginx", "real_ip_trusted_addresses", rubyStrings(cfg.TrustedProxies))
	s.text("nginx", "real_ip_header", "X-Forwarded-For")
	s.text("nginx", "real_ip_recursive", "on")
	s.set("gitlab_rails", "trusted_proxies", rubyStrings(cfg.TrustedProxies))
	s.truth("letsencrypt", "enable", false)
}

func registry(s *rubyScript, cfg Config) {
	r := cfg.Registry
	s.line("registry_external_url " + rubyString(r.ExternalURL))
	s.truth("registry", "enable", true)
	s.truth("gitlab_rails", "registry_enabled", true)
	s.text("gitlab_rails", "registry_path", r.Path)
	s.number("registry_nginx", "listen_port", r.listenPort())
	s.truth("registry_nginx", "listen_https", r.ownTLS())
	if r.ownTLS() {
		s.text("registry_nginx", "ssl_certificate", registryCertPath)
		s.text("registry_nginx", "ssl_certificate_key", registryKeyPath)
	}
}

func mail(s *rubyScript, m SMTP) {
	s.truth("gitlab_rails", "smtp_enable", true)
	s.text("gitlab_rails", "smtp_address", m.Address)
	s.number("gitlab_rails", "smtp_port", m.Port)
	s.text("gitlab_rails", "smtp_user_name", m.User)
	if !m.Password.Empty() {
		s.set("gitlab_rails", "smtp_password", rubyFile(smtpPasswordPath))
	}
	s.text("gitlab_rails", "smtp_domain", m.Domain)
	s.text("gitlab_rails", "smtp_authentication", m.Authentication)
	s.truth("gitlab_rails", "smtp_enable_starttls_auto", *m.StartTLS)
	s.truth("gitlab_rails", "smtp_tls", *m.TLS)
	if len(m.CA) > 0 {
		// Trusted certificates of the image's are not looked at for mail:
		// https://docs.gitlab.com/omnibus/settings/smtp
		s.text("gitlab_rails", "smtp_ca_file", smtpCAPath)
	}
	s.text("gitlab_rails", "gitlab_email_from", m.From)
	s.text("gitlab_rails", "gitlab_email_reply_to", m.ReplyTo)
	s.text("gitlab_rails", "gitlab_email_display_name", m.DisplayName)
}

// rackAttack limits failed logins, once something is said about the limit. What
// is left out keeps the value that the image has for it.
func rackAttack(s *rubyScript, cfg Config) {
	limits := []struct {
		key   string
		value int
	}{{"maxretry", cfg.RackAttackMaxRetry}, {"findtime", cfg.RackAttackFindTime}, {"bantime", cfg.RackAttackBanTime}}
	limited := len(cfg.RackAttackAllow) > 0
	for _, l := range limits {
		limited = limited || l.value > 0
	}
	if !limited {
		return
	}
	s.section("Limit on failed logins, and addresses that it does not lock out")
	s.set("gitlab_rails", "rack_attack_git_basic_auth", "{")
	s.line("  'enabled' => true,")
	s.line("  'ip_whitelist' => " + rubyStrings(allowed(cfg.RackAttackAllow)) + ",")
	for _, l := range limits {
		if l.value > 0 {
			s.line(fmt.Sprintf("  '%s' => %d,", l.key, l.value))
		}
	}
	s.line("}")
}

// allowed is the list with the container's own address, which a list of one's
// own would otherwise replace.
func allowed(addresses []string) []string {
	if slices.Contains(addresses, "127.0.0.1") {
		return addresses
	}
	return append([]string{"127.0.0.1"}, addresses...)
}
