package heptapod

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/pattern"
)

// DefaultImage is the image that runs when none is named. A forge that is to
// stay names its own: newer final images may ask for a login on the registry
// that holds them.
const DefaultImage = "octobus/heptapod:17.8"

// Version is what an image's reference tells about the program in it. The
// zero value is unknown: a tag such as latest, or a bare digest.
type Version struct {
	Heptapod            bool // false: GitLab itself
	Major, Minor, Patch int
	Parts               int // how many of the three the tag names; 0 when unknown
}

var tagVersion = pattern.New(`^v?(\d{1,4})(?:\.(\d{1,4})(?:\.(\d{1,4}))?)?(?:$|[-_+.a-z])`)

// ParseVersion reads the version from an image reference. An image counts as
// GitLab's when the last part of its name starts with gitlab, and as
// Heptapod's otherwise, so that copies in private registries are understood.
// A reference without a numeric tag gives a Version that is not Known and no
// error; one that is no reference at all gives an error.
func ParseVersion(image string) (Version, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return Version{}, fmt.Errorf("read image %q: %w", image, err)
	}
	path := reference.Path(named)
	v := Version{Heptapod: !strings.HasPrefix(path[strings.LastIndexByte(path, '/')+1:], "gitlab")}
	tagged, ok := named.(reference.Tagged)
	if !ok {
		return v, nil
	}
	m := tagVersion().FindStringSubmatch(tagged.Tag())
	if m == nil {
		return v, nil
	}
	w, err := numbersOf(m)
	if err != nil {
		return Version{}, fmt.Errorf("read image %q: %w", image, err)
	}
	w.Heptapod = v.Heptapod
	return w, nil
}

// numbersOf reads what a pattern has found of up to three numbers.
func numbersOf(m []string) (Version, error) {
	var v Version
	for i, field := range []*int{&v.Major, &v.Minor, &v.Patch} {
		if m[i+1] == "" {
			break
		}
		n, err := strconv.Atoi(m[i+1])
		if err != nil {
			return Version{}, err
		}
		*field = n
		v.Parts++
	}
	return v, nil
}

// Known reports whether the image's tag names a version.
func (v Version) Known() bool { return v.Parts > 0 }

// String is the version as the tag spells it, or "unknown".
func (v Version) String() string {
	if !v.Known() {
		return "unknown"
	}
	numbers := []string{strconv.Itoa(v.Major), strconv.Itoa(v.Minor), strconv.Itoa(v.Patch)}
	return strings.Join(numbers[:v.Parts], ".")
}

// Compare orders versions of one program; what the tags leave out counts as 0.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// GitLab is the release of GitLab that the image carries. For Heptapod before
// 17 it is the newest known release that is not newer than the real one, to
// the minor number.
func (v Version) GitLab() Version {
	if !v.Known() || !v.Heptapod || v.Major >= 2 {
		return Version{Major: v.Major, Minor: v.Minor, Patch: v.Patch, Parts: v.Parts}
	}
	g := Version{Major: 12, Parts: 2}
	for _, row := range heptapodReleases() {
		if (release{v.Major, v.Minor}).before(row.number) {
			break
		}
		g.Major, g.Minor = row.gitlab.major, row.gitlab.minor
	}
	return g
}

// before reports whether the image is known to carry a GitLab older than
// major.minor. An unknown version counts as new.
func (v Version) before(major, minor int) bool {
	return v.Known() && v.GitLab().Compare(Version{Major: major, Minor: minor}) < 0
}
