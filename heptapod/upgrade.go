package heptapod

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/pattern"
)

// UpgradeError says why data of one release of GitLab must not be started by an
// image of another one.
type UpgradeError struct {
	Data, To Version
	Why      string
	// Path are the releases, in To's numbers, that the data have to run on one
	// after the other, To at the end. It is empty where no way leads there.
	Path []Version
}

// Error is one line, without the path.
func (e *UpgradeError) Error() string {
	return fmt.Sprintf("data of GitLab %s, not to be started by %s: %s", e.Data, e.To, e.Why)
}

// UpgradePath lists the releases that data of a release of GitLab have to run
// on, one after the other, to get to another: the stops in between, and to at
// the end. They are in the numbers of to, Heptapod's or GitLab's; one of two
// parts means its newest patch. It is empty when the data are of that release
// already. No way leads to an older release, which is an *UpgradeError as well.
//
// On each of them the background migrations have to end before the next.
func UpgradePath(data, to Version) ([]Version, error) {
	return upgradePath(data, to, to.carries())
}

func upgradePath(data, to Version, c content) ([]Version, error) {
	from := data.carries().release
	switch {
	case !data.Known() || !c.known:
		return nil, &UpgradeError{Data: data, To: to, Why: "one of the two is not known"}
	case c.release.before(from):
		return nil, &UpgradeError{Data: data, To: to, Why: "no way leads back to an older release"}
	case c.release == from:
		return nil, nil
	}
	if to.Heptapod && from.before(firstStop) && firstStop.before(c.release) {
		return nil, &UpgradeError{Data: data, To: to, Why: fmt.Sprintf("they have to run on GitLab %s first, which no release of Heptapod carries", firstStop)}
	}
	var path []Version
	for _, s := range stopsOf(to) {
		if at := s.carries().release; from.before(at) && at.before(c.release) {
			path = append(path, s)
		}
	}
	return append(path, to), nil
}

// stopsOf lists the stops of the program that to is, oldest first.
func stopsOf(to Version) []Version {
	var stops []Version
	for _, h := range heptapodReleases() {
		if h.stop && to.Heptapod {
			stops = append(stops, numbered(true, h.number, h.patch))
		}
	}
	for _, s := range gitlabStops() {
		switch {
		case !to.Heptapod:
			stops = append(stops, numbered(false, s.gitlab, s.patch))
		case !s.gitlab.before(sameNumbersFrom): // the patches are its own
			stops = append(stops, numbered(true, s.gitlab, noPatch))
		}
	}
	return stops
}

func numbered(heptapod bool, r release, patch int) Version {
	v := Version{Heptapod: heptapod, Major: r.major, Minor: r.minor, Parts: 2}
	if patch != noPatch {
		v.Patch, v.Parts = patch, 3
	}
	return v
}

// CheckUpgrade refuses, with an *UpgradeError, to start data of a release of
// GitLab by an image of another one that is older, that lies behind a stop, or
// that is known to be broken. What cannot be told from the two it lets through.
func CheckUpgrade(data, to Version) error {
	return checkUpgrade(data, to, to.carries())
}

func checkUpgrade(data, to Version, c content) error {
	if !data.Known() || !c.known {
		return nil
	}
	from := data.carries()
	refuse := func(path []Version, format string, args ...any) error {
		return &UpgradeError{Data: data, To: to, Why: fmt.Sprintf(format, args...), Path: path}
	}
	if c.release.before(from.release) || c.release == from.release && c.patch != noPatch && c.patch < from.patch {
		return refuse(nil, "older code must not run on them")
	}
	path, err := upgradePath(data, to, c)
	if err != nil {
		return err
	}
	for _, b := range brokenReleases() {
		if b.leaving != nil && b.has(from) && !c.release.before(*b.leaving) {
			return refuse(append([]Version{numbered(to.Heptapod, b.gitlab, noPatch)}, path...), "on GitLab %s: use %d.%d.%d or newer", b.why, b.gitlab.major, b.gitlab.minor, b.instead)
		}
	}
	if len(path) > 1 {
		return refuse(path, "they must not skip the releases in between")
	}
	if from == c {
		return nil // it runs already
	}
	for _, b := range brokenReleases() {
		if b.has(c) {
			return refuse(nil, "GitLab %s: use %d.%d.%d or newer", b.why, b.gitlab.major, b.gitlab.minor, b.instead)
		}
	}
	return nil
}

// settled reports whether CheckUpgrade can tell all about an image from its
// version, so that there is nothing to ask the image itself.
func settled(data Version, c content) bool {
	if !c.known || c.patch == noPatch && c.release == data.carries().release {
		return false
	}
	for _, b := range brokenReleases() {
		if b.leaving == nil && b.gitlab == c.release && c.patch == noPatch {
			return false
		}
	}
	return true
}

// content is the release of GitLab in an image, or on a disk.
type content struct {
	known   bool
	release release
	patch   int // noPatch when it is not known
}

// carries is what a version says of the GitLab in it. Of Heptapod it does not
// say the patch, and of some releases that had numbers of their own nothing.
func (v Version) carries() content {
	at := release{v.Major, v.Minor}
	switch {
	case v.Parts < 2:
		return content{}
	case !v.Heptapod && v.Parts == 3:
		return content{true, at, v.Patch}
	case !v.Heptapod || v.Major >= 2:
		return content{true, at, noPatch}
	}
	for _, h := range heptapodReleases() {
		if h.number == at {
			return content{true, h.gitlab, noPatch}
		}
	}
	return content{}
}

var dataVersion = pattern.New(`^v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:$|[-+.~ \n])`)

// ParseDataVersion reads the file VERSION of a GitLab: of the data it is the
// release that ran on them last, of an image the one in it.
func ParseDataVersion(content string) (Version, error) {
	m := dataVersion().FindStringSubmatch(strings.TrimSpace(content))
	if m == nil {
		return Version{}, fmt.Errorf("read version %.40q: want three numbers", content)
	}
	return numbersOf(m)
}

// In is the image reference with this version in place of the tag's own; one of
// two parts stays open for its newest patch. A digest is left out.
func (v Version) In(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	rest := ""
	if tagged, ok := named.(reference.Tagged); ok {
		if m := tagVersion().FindStringSubmatchIndex(tagged.Tag()); m != nil && v.Parts == 3 {
			end := max(m[3], m[5], m[7])
			rest = tagged.Tag()[end:]
		}
	}
	return reference.FamiliarName(named) + ":" + v.String() + rest
}
