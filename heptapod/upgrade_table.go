package heptapod

// What is known of GitLab's releases, for the way from one to another. Package
// standin has its own tables of the same facts; a test holds them together.

import "fmt"

// release is a release without its patch number.
type release struct{ major, minor int }

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

func (r release) before(o release) bool {
	return r.major < o.major || r.major == o.major && r.minor < o.minor
}

// noPatch stands for a patch that is not known. The newest one is to be taken
// in any case: patches repair migrations.
const noPatch = -1

// stop is a release that data must not go past without having run on it.
type stop struct {
	gitlab release
	patch  int // the newest one known
}

// firstStop is the oldest one here.
var firstStop = gitlabStops()[0].gitlab

// gitlabStops are the stops of GitLab, oldest first.
//
// Sources: MIN_VERSION in files/gitlab-ctl-commands/lib/gitlab_ctl/upgrade_check.rb
// of omnibus-gitlab at each release from 13.1 to 19.3, which the image enforces;
// 14.3, 14.9 and 15.4 from config/upgrade_path.yml of GitLab, which nothing
// enforces; 19.5, 19.8 and 19.11 from doc/update/versions/gitlab_19_changes.md.
// Stops for some alone (15.1, 16.0 to 16.2, 17.1: several web nodes, very large
// tables) are left out. The patches are those of August 2026.
func gitlabStops() []stop {
	return []stop{
		{release{13, 0}, noPatch}, {release{13, 12}, 15}, {release{14, 0}, 12}, {release{14, 3}, 6}, {release{14, 9}, 5}, {release{14, 10}, 5},
		{release{15, 0}, 5}, {release{15, 4}, 6}, {release{15, 11}, 13}, {release{16, 3}, 9}, {release{16, 7}, 10}, {release{16, 11}, 10},
		{release{17, 3}, 7}, {release{17, 5}, 5}, {release{17, 8}, 7}, {release{17, 11}, 7}, {release{18, 2}, 8}, {release{18, 5}, 7},
		{release{18, 8}, 11}, {release{18, 11}, 11}, {release{19, 2}, 4}, {release{19, 5}, noPatch}, {release{19, 8}, noPatch}, {release{19, 11}, noPatch},
	}
}

// heptapodRelease is a release of Heptapod with a number of its own.
type heptapodRelease struct {
	number release
	patch  int // the newest one known
	gitlab release
	stop   bool // its makers list it among those not to jump over
}

// heptapodReleases are those whose GitLab is known, oldest first. From 17.0 on
// the numbers are GitLab's, but for the patch, and so are the stops.
//
// Source: heptapod.net/pages/upgrade. No release carried GitLab 13.0, 13.8 or
// 14.3; 0.27 stands for the stop at 14.3. The way that is described there begins
// at 0.19; whoever comes from before is asked to write to Heptapod's makers. The
// stop at 0.36.3 is for data of 0.36.0 and 0.36.1 alone and left out.
func heptapodReleases() []heptapodRelease {
	return []heptapodRelease{
		{release{0, 12}, 4, release{12, 2}, false}, {release{0, 14}, 3, release{12, 10}, false}, {release{0, 15}, 3, release{13, 1}, false},
		{release{0, 19}, 3, release{13, 9}, true}, {release{0, 23}, 3, release{13, 12}, true}, {release{0, 24}, 2, release{14, 0}, true},
		{release{0, 26}, noPatch, release{14, 2}, false}, {release{0, 27}, 4, release{14, 4}, true}, {release{0, 31}, 2, release{14, 9}, true},
		{release{0, 32}, 2, release{14, 10}, true}, {release{0, 33}, 1, release{15, 0}, true}, {release{0, 35}, 1, release{15, 4}, true},
		{release{0, 38}, 1, release{15, 11}, true}, {release{0, 40}, noPatch, release{16, 2}, false}, {release{0, 41}, 1, release{16, 3}, true},
		{release{1, 0}, noPatch, release{16, 6}, false}, {release{1, 1}, noPatch, release{16, 7}, true}, {release{1, 5}, noPatch, release{16, 11}, true},
	}
}

var (
	// documentedFrom is the GitLab at which Heptapod's documented way begins.
	documentedFrom = release{13, 9}
	// sameNumbersFrom is where Heptapod's numbers become GitLab's.
	sameNumbersFrom = release{17, 0}
)

// brokenRelease are patches of a release of GitLab to keep off.
type brokenRelease struct {
	gitlab      release
	first, last int // patches
	// leaving is the oldest release that cannot be reached from there; nil where
	// it must not be started at all.
	leaving *release
	why     string
	instead int // patch
}

func (b brokenRelease) has(c content) bool {
	return c.release == b.gitlab && b.first <= c.patch && c.patch <= b.last
}

// brokenReleases follows doc/update/versions/gitlab_18_changes.md and
// gitlab_19_changes.md of GitLab. What does no harm to a forge on one host that
// never was an Enterprise Edition's is left out: 18.1 and 18.2 before 18.2.6
// (upgrades without downtime), 19.2.0 (addresses of Duo).
func brokenReleases() []brokenRelease {
	const mattermost = "18.11.7 refuses to go on to 19.0 because of settings of Mattermost that nobody has made"
	return []brokenRelease{
		{gitlab: release{18, 0}, first: 0, last: 1, instead: 2, why: "18.0.0 and 18.0.1 fail in migrations where an Enterprise Edition ran before"},
		{gitlab: release{18, 11}, first: 7, last: 7, instead: 9, why: mattermost},
		{gitlab: release{18, 11}, first: 7, last: 7, instead: 9, why: mattermost, leaving: &release{19, 0}},
		{gitlab: release{19, 0}, first: 0, last: 1, instead: 2, why: "19.0.0 and 19.0.1 no longer show the images that are in the registry"},
	}
}
