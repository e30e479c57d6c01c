package rootfs

import "strings"

// GitLab is the release of GitLab in a release of Heptapod: the same numbers
// from 17.0 on (but for the patch, which differs among the real ones), those
// below before. heptapod-docker 1.1.
func GitLab(heptapod string) string {
	for _, r := range [...]struct{ heptapod, gitlab string }{
		{"0.12.", "12.2.12"}, {"0.14.", "12.10.14"}, {"0.15.", "13.1.11"}, {"0.19.", "13.9.1"}, {"0.23.", "13.12.15"},
		{"0.24.", "14.0.12"}, {"0.27.", "14.4.5"}, {"0.31.", "14.9.5"}, {"0.32.", "14.10.5"}, {"0.33.", "15.0.5"},
		{"0.35.", "15.4.6"}, {"0.38.", "15.11.13"}, {"0.40.", "16.2.0"}, {"0.41.", "16.3.7"}, {"1.0.", "16.6.0"},
		{"1.1.", "16.7.0"}, {"1.5.", "16.11.0"},
	} {
		if strings.HasPrefix(heptapod+".", r.heptapod) {
			return r.gitlab
		}
	}
	return heptapod
}

// VersionFile is where the image has its release of GitLab. heptapod-docker 6,
// no. 11; the image compares it with the data's before it does anything.
const VersionFile = "opt/gitlab/embedded/service/gitlab-rails/VERSION"
