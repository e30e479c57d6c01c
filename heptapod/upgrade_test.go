package heptapod

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// gitlabReleases are all of GitLab's from 12.0 to 19.11.
func gitlabReleases() []release {
	var list []release
	for major, last := range map[int]int{12: 10, 13: 12, 14: 10, 15: 11, 16: 11, 17: 11, 18: 11, 19: 11} {
		for minor := range last + 1 {
			list = append(list, release{major, minor})
		}
	}
	slices.SortFunc(list, func(a, b release) int { return a.major*100 + a.minor - b.major*100 - b.minor })
	return list
}

// facts is what the image's own check asks for, by release of the image.
func facts(t *testing.T) map[release]release {
	t.Helper()
	f, err := os.Open("testdata/upgrade-stops.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	needs := map[release]release{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var from, to, need release
		if _, err := fmt.Sscanf(lines.Text(), "%d.%d %d.%d %d.%d", &from.major, &from.minor, &to.major, &to.minor, &need.major, &need.minor); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		for _, r := range gitlabReleases() {
			if !r.before(from) && !to.before(r) {
				needs[r] = need
			}
		}
	}
	return needs
}

// unenforced are the stops of GitLab's own list that its image does not ask for.
var unenforced = []release{{14, 3}, {14, 9}, {15, 4}}

// Every way that the image refuses is refused beforehand, with the stop that it
// asks for, and no other way but back and past the stops that GitLab asks for.
func TestStopsAreThoseOfTheImage(t *testing.T) {
	needs := facts(t)
	for _, from := range gitlabReleases() {
		for _, to := range gitlabReleases() {
			err := CheckUpgrade(Version{Major: from.major, Minor: from.minor, Patch: 90, Parts: 3}, Version{Major: to.major, Minor: to.minor, Patch: 91, Parts: 3})
			var refused *UpgradeError
			if err != nil && !errors.As(err, &refused) {
				t.Fatalf("%s to %s: %v", from, to, err)
			}
			need, asks := needs[to]
			switch {
			case to.before(from):
				if refused == nil || refused.Path != nil {
					t.Errorf("%s back to %s: %v", from, to, err)
				}
			case asks && from.before(need):
				if refused == nil || !slices.ContainsFunc(refused.Path, func(v Version) bool { return v.carries().release == need }) {
					t.Errorf("%s to %s: %v, want it to lead over %s", from, to, err, need)
				}
			case refused != nil:
				for _, v := range refused.Path[:len(refused.Path)-1] {
					if !slices.Contains(unenforced, v.carries().release) {
						t.Errorf("%s to %s: refused for %s, which the image does not ask for", from, to, v)
					}
				}
			}
		}
	}
}

func numbers(path []Version) string {
	var list []string
	for _, v := range path {
		list = append(list, v.String())
	}
	return strings.Join(list, " ")
}

func parse(t *testing.T, image string) Version {
	t.Helper()
	v, err := ParseVersion(image)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func dataOf(t *testing.T, text string) Version {
	t.Helper()
	v, err := ParseDataVersion(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestUpgradePath(t *testing.T) {
	for _, c := range []struct{ data, image, path string }{
		// From the forge of the first article about it to the newest.
		{"13.1.11", "octobus/heptapod:19.4", "0.19.3 0.23.3 0.24.2 0.27.4 0.31.2 0.32.2 0.33.1 0.35.1 0.38.1 0.41.1 1.1 1.5 17.3 17.5 17.8 17.11 18.2 18.5 18.8 18.11 19.2 19.4"},
		{"13.12.15", "gitlab/gitlab-ce:19.3.0-ce.0", "14.0.12 14.3.6 14.9.5 14.10.5 15.0.5 15.4.6 15.11.13 16.3.9 16.7.10 16.11.10 17.3.7 17.5.5 17.8.7 17.11.7 18.2.8 18.5.7 18.8.11 18.11.11 19.2.4 19.3.0"},
		{"16.0.5", "octobus/heptapod:17.8", "0.41.1 1.1 1.5 17.3 17.5 17.8"},
		{"17.8.1", "octobus/heptapod:17.9.0", "17.9.0"},
		{"17.8.1", "octobus/heptapod:17.8.4", ""},
		{"17.11.7-ee", "gitlab/gitlab-ee:18.5.1-ee.0", "18.2.8 18.5.1"},
	} {
		path, err := UpgradePath(dataOf(t, c.data), parse(t, c.image))
		if err != nil || numbers(path) != c.path {
			t.Errorf("%s to %s: %s (%v), want %s", c.data, c.image, numbers(path), err, c.path)
		}
		// Each step of a way is allowed, and leads where the next begins.
		data := dataOf(t, c.data)
		for _, v := range path {
			if err := CheckUpgrade(data, v); err != nil {
				t.Errorf("step to %s: %v", v, err)
			}
			at := v.carries()
			data = Version{Major: at.release.major, Minor: at.release.minor, Patch: max(at.patch, 90), Parts: 3}
		}
	}
	for _, c := range []struct{ data, image string }{
		{"17.9.0", "octobus/heptapod:17.8"}, {"12.10.14", "octobus/heptapod:0.19.3"}, {"17.9.0", "octobus/heptapod:latest"}, {"13.9.1", "octobus/heptapod:0.20.0"},
	} {
		if path, err := UpgradePath(dataOf(t, c.data), parse(t, c.image)); err == nil {
			t.Errorf("%s to %s: %s", c.data, c.image, numbers(path))
		}
	}
}

func TestCheckUpgrade(t *testing.T) {
	for _, c := range []struct {
		data, image, refused string
		settled              bool
	}{
		{"17.8.1", "octobus/heptapod:17.8.1", "", false}, // another patch than the tag's may be in it
		{"17.8.1", "gitlab/gitlab-ce:17.8.1-ce.0", "", true},
		{"17.8.7", "gitlab/gitlab-ce:17.8.1-ce.0", "older code", true},
		{"17.8.7", "gitlab/gitlab-ce:17.8", "", false},
		{"17.9.0", "octobus/heptapod:17.8", "older code", true},
		{"17.8.1", "octobus/heptapod:16.0", "older code", true},
		{"16.0.5", "octobus/heptapod:17.8", "skip", true},
		{"16.2.3", "octobus/heptapod:0.40.0", "", false},
		{"16.2.3", "octobus/heptapod:0.39.0", "", false}, // nobody knows its GitLab
		{"17.8.1", "octobus/heptapod:latest", "", false},
		{"17.8.1", "octobus/heptapod:18", "", false},
		{"12.10.14", "octobus/heptapod:0.15.3", "no release of Heptapod carries", true},
		{"17.11.7", "gitlab/gitlab-ce:18.0.1-ce.0", "use 18.0.2", true},
		{"17.11.7", "gitlab/gitlab-ce:18.0.2-ce.0", "", true},
		{"17.11.7", "octobus/heptapod:18.0.0", "", false},
		{"17.11.7", "octobus/heptapod:18.1.0", "", true},
		{"18.11.6", "gitlab/gitlab-ce:18.11.7-ce.0", "use 18.11.9", true},
		{"18.11.7", "gitlab/gitlab-ce:18.11.7-ce.0", "", true}, // it runs
		{"18.11.7", "gitlab/gitlab-ce:18.11.9-ce.0", "", true},
		{"18.11.7", "gitlab/gitlab-ce:19.0.2-ce.0", "use 18.11.9", true},
		{"18.11.7", "octobus/heptapod:19.1.0", "use 18.11.9", true},
		{"18.11.11", "gitlab/gitlab-ce:19.0.1-ce.0", "use 19.0.2", true},
		{"18.11.11", "octobus/heptapod:19.2.0", "", true},
	} {
		data, to := dataOf(t, c.data), parse(t, c.image)
		err := CheckUpgrade(data, to)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s to %s: %v, want %q", c.data, c.image, err, c.refused)
		}
		if err == nil && settled(data, to.carries()) != c.settled {
			t.Errorf("%s to %s: settled is %v", c.data, c.image, !c.settled)
		}
	}
}

func TestParseDataVersion(t *testing.T) {
	for text, want := range map[string]string{"17.8.1\n": "17.8.1", "17.8.1-ee": "17.8.1", " 18.0.0-rc42-ee\n": "18.0.0", "v13.1.11": "13.1.11"} {
		if v, err := ParseDataVersion(text); err != nil || v.String() != want || v.Heptapod {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
	for _, text := range []string{"", "17", "17.8", "nonsense", "17.8.1x", "<html>"} {
		if v, err := ParseDataVersion(text); err == nil {
			t.Errorf("%q: %v", text, v)
		}
	}
}

func TestVersionIn(t *testing.T) {
	for _, c := range []struct {
		image string
		v     Version
		want  string
	}{
		{"octobus/heptapod:17.8", numbered(true, release{17, 5}, noPatch), "octobus/heptapod:17.5"},
		{"octobus/heptapod", numbered(true, release{0, 41}, 1), "octobus/heptapod:0.41.1"},
		{"gitlab/gitlab-ce:16.11.10-ce.0", numbered(false, release{16, 3}, 9), "gitlab/gitlab-ce:16.3.9-ce.0"},
		{"registry.example.org:5000/a/heptapod:v17@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			numbered(true, release{17, 5}, noPatch), "registry.example.org:5000/a/heptapod:17.5"},
	} {
		if got := c.v.In(c.image); got != c.want {
			t.Errorf("%s: %s, want %s", c.image, got, c.want)
		}
	}
}
