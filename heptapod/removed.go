package heptapod

import (
	"regexp"
	"strings"

	"github.com/heptaup/hepta/internal/pattern"
)

// removedSettings are lines that make gitlab-ctl reconfigure abort, and with
// it the whole container, from a release on.
var removedSettings = []struct {
	pattern      func() *regexp.Regexp
	name         string
	major, minor int
	remedy       string
}{
	{pattern.New(`^\s*gitlab_shell\[\s*:?['"]?migration`), "gitlab_shell['migration']", 18, 0, "remove the line: it is the default"},
	{pattern.New(`^\s*git_data_dirs\b`), "git_data_dirs", 18, 0, "use gitaly['configuration'] with storage instead"},
	{pattern.New(`^\s*mattermost\[\s*:?['"]?enable['"]?\s*\]\s*=\s*true`), "mattermost['enable']", 19, 0, "run Mattermost apart from the forge"},
	{pattern.New(`^\s*mattermost_external_url\b`), "mattermost_external_url", 19, 0, "run Mattermost apart from the forge"},
}

// removed refuses own lines that the image's release no longer accepts. An
// image of unknown version is let through: its own check speaks then.
func (p *problems) removed(cfg Config) {
	version, err := ParseVersion(cfg.withDefaults().Image)
	if err != nil || !version.Known() {
		return
	}
	for _, setting := range removedSettings {
		if version.before(setting.major, setting.minor) {
			continue
		}
		for line := range strings.Lines(cfg.Ruby) {
			if setting.pattern().MatchString(line) {
				p.add("heptapod.gitlab_rb", "%s was removed in GitLab %d.%d: %s would not boot with it",
					setting.remedy, setting.name, setting.major, setting.minor, cfg.withDefaults().Image)
				break
			}
		}
	}
	if cfg.Services["mattermost"] && !version.before(19, 0) {
		p.add("heptapod.services.mattermost", "Mattermost was removed from the image in 19.0", "leave it out")
	}
}
