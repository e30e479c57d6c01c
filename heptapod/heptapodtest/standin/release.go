package main

import (
	"fmt"
	"strconv"
	"strings"
)

// release is a version without its patch number.
type release struct{ major, minor int }

func parseRelease(version string) (release, error) {
	var r release
	major, rest, _ := strings.Cut(strings.TrimSpace(version), ".")
	minor, _, _ := strings.Cut(rest, ".")
	var err error
	if r.major, err = strconv.Atoi(major); err == nil {
		r.minor, err = strconv.Atoi(minor)
	}
	if err != nil {
		return release{}, fmt.Errorf("parse version %q: want X.Y.Z", version)
	}
	return r, nil
}

func (r release) before(o release) bool {
	return r.major < o.major || r.major == o.major && r.minor < o.minor
}

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

// stops are the releases from which on data must have been at least at another
// one before; heptapod-docker 7.3, day-two 1.1.
func stops() []struct{ from, needs release } {
	return []struct{ from, needs release }{
		{release{20, 0}, release{19, 11}},
		{release{19, 9}, release{19, 8}},
		{release{19, 6}, release{19, 5}},
		{release{19, 3}, release{19, 2}},
		{release{19, 0}, release{18, 11}},
		{release{18, 9}, release{18, 8}},
		{release{18, 6}, release{18, 5}},
		{release{18, 3}, release{18, 2}},
		{release{18, 0}, release{17, 11}},
		{release{17, 9}, release{17, 8}},
		{release{17, 6}, release{17, 5}},
		{release{17, 4}, release{17, 3}},
		{release{17, 0}, release{16, 11}},
		{release{16, 8}, release{16, 7}},
		{release{16, 4}, release{16, 3}},
		{release{16, 0}, release{15, 11}},
		{release{15, 1}, release{15, 0}},
		{release{15, 0}, release{14, 10}},
		{release{14, 1}, release{14, 0}},
		{release{14, 0}, release{13, 12}},
		{release{13, 1}, release{13, 0}},
	}
}

// upgradeRefusal is what the image says when data of one version may not be
// taken to another, "" when it may. minVersion overrides the needed release.
func upgradeRefusal(from, to, minVersion string) (string, error) {
	have, err := parseRelease(from)
	if err != nil {
		return "", err
	}
	want, err := parseRelease(to)
	if err != nil {
		return "", err
	}
	var needs release
	for _, s := range stops() {
		if !want.before(s.from) {
			needs = s.needs
			break
		}
	}
	if minVersion != "" {
		if needs, err = parseRelease(minVersion); err != nil {
			return "", err
		}
	}
	if !have.before(needs) {
		return "", nil
	}
	// heptapod-docker 6, no. 11: the image's words.
	return fmt.Sprintf("It seems you are upgrading from %s to %s.\nIt is required to upgrade to the latest %s.x version first before proceeding.\n"+
		"Please follow the upgrade documentation at https://docs.gitlab.com/ee/update/index.html#upgrade-paths", have, want, needs), nil
}

// postgres is the major version of the database that a release brings.
func (r release) postgres() string {
	switch {
	case !r.before(release{18, 11}):
		return "17"
	case !r.before(release{17, 11}):
		return "16"
	case !r.before(release{17, 0}):
		return "14"
	}
	return "13"
}
