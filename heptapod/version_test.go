package heptapod

import "testing"

func TestParseVersion(t *testing.T) {
	for _, c := range []struct {
		image, text, gitlab string
		heptapod            bool
	}{
		{"octobus/heptapod:17.8.1", "17.8.1", "17.8.1", true},
		{"octobus/heptapod:17.8", "17.8", "17.8", true},
		{"octobus/heptapod:0.15.1", "0.15.1", "13.1", true},
		{"octobus/heptapod:0.20.0", "0.20.0", "13.9", true},
		{"octobus/heptapod:0.1.0", "0.1.0", "12.0", true},
		{"octobus/heptapod:1.3.2", "1.3.2", "16.7", true},
		{"octobus/heptapod:1.5.0rc1", "1.5.0", "16.11", true},
		{"octobus/heptapod:latest", "unknown", "unknown", true},
		{"octobus/heptapod", "unknown", "unknown", true},
		{"octobus/heptapod:testing-hg-6.6", "unknown", "unknown", true},
		{"gitlab/gitlab-ce:18.5.1-ce.0", "18.5.1", "18.5.1", false},
		{"registry.example.org:5000/mirror/gitlab-ee:15.4.6-ee.0", "15.4.6", "15.4.6", false},
		{"registry.example.org:5000/forge", "unknown", "unknown", true},
		{"registry.example.org/forge:v18@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "18", "18", true},
		{"octobus/heptapod@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "unknown", "unknown", true},
	} {
		v, err := ParseVersion(c.image)
		if err != nil {
			t.Errorf("%s: %v", c.image, err)
		}
		if v.String() != c.text || v.Heptapod != c.heptapod || v.GitLab().String() != c.gitlab {
			t.Errorf("%s: %s (heptapod %v), GitLab %s", c.image, v, v.Heptapod, v.GitLab())
		}
	}
	for _, image := range []string{"", "Octobus/Heptapod", "a b", "octobus/heptapod:", "octobus/heptapod:17.8\n"} {
		if v, err := ParseVersion(image); err == nil {
			t.Errorf("%q was taken for %s", image, v)
		}
	}
	if v, err := ParseVersion(DefaultImage); err != nil || !v.Known() || !v.Heptapod {
		t.Errorf("the default image is %s (%v)", v, err)
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, image := range []string{DefaultImage, "gitlab/gitlab-ce:18.5.1-ce.0", "x:1.2.3.4", "a/b:99999.1", "x@sha256:0"} {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image string) {
		v, err := ParseVersion(image)
		if err != nil {
			return
		}
		if v.Parts < 0 || v.Parts > 3 || v.Major < 0 || v.Minor < 0 || v.Patch < 0 {
			t.Errorf("%q: %+v", image, v)
		}
		if v.Known() != v.GitLab().Known() {
			t.Errorf("%q: known %v, GitLab known %v", image, v.Known(), v.GitLab().Known())
		}
	})
}

func TestTablesAreInOrder(t *testing.T) {
	rows := heptapodReleases()
	for i := 1; i < len(rows); i++ {
		if a, b := rows[i-1], rows[i]; !a.number.before(b.number) || !a.gitlab.before(b.gitlab) {
			t.Errorf("Heptapod %s", b.number)
		}
	}
	stops := gitlabStops()
	for i := 1; i < len(stops); i++ {
		if !stops[i-1].gitlab.before(stops[i].gitlab) {
			t.Errorf("GitLab %s", stops[i].gitlab)
		}
	}
}
