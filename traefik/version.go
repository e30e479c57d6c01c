package traefik

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

// version is what an image's tag says about the program in it. A part that the
// tag leaves open ("v3.6") is newest: such tags follow the releases.
type version struct{ major, minor, patch int }

const newest = math.MaxInt

// unknown is the version of an image whose tag says nothing.
var unknown = version{3, newest, newest}

var versionTag = pattern.New(`^v?(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?(?:-.*)?$`)

// parseVersion reads the version from an image reference; an image without a
// telling tag is taken for the newest v3.
func parseVersion(image string) version {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	parts := versionTag().FindStringSubmatch(tag)
	if parts == nil {
		return unknown
	}
	number := func(text string) int {
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
		return newest
	}
	return version{number(parts[1]), number(parts[2]), number(parts[3])}
}

// before reports whether v is older than another version.
func (v version) before(major, minor, patch int) bool {
	switch {
	case v.major != major:
		return v.major < major
	case v.minor != minor:
		return v.minor < minor
	}
	return v.patch < patch
}

// within reports whether v is one of the releases major.minor.first to last.
func (v version) within(major, minor, first, last int) bool {
	return v.major == major && v.minor == minor && v.patch >= first && v.patch <= last
}

// fixedAPI is the Engine API version that old releases insist on.
const fixedAPI = "1.24"

// CheckVersion says why an image cannot serve as the proxy of an Engine whose
// oldest supported API version is engineMinAPI; "" when that is not known. It
// refuses what is known not to work and lets everything else pass.
func CheckVersion(image, engineMinAPI string) error {
	why, instead := unfit(image, engineMinAPI)
	if why == "" {
		return nil
	}
	return &fault.Error{Op: "use image", What: image, Why: why, Remedy: "Set traefik.image to " + instead + "."}
}

// unfit says why an image is of no use, and what to take in its place.
func unfit(image, engineMinAPI string) (why, instead string) {
	v := parseVersion(image)
	const newer = DefaultImage + " or newer"
	switch {
	case v.major < 2:
		return "version 1 of Traefik has another configuration", newer
	case v.before(2, 11, 0):
		return "versions of Traefik before 2.11 are not supported", newer
	case v.major > 3:
		return fmt.Sprintf("version %d of Traefik is not known", v.major), "a 3.x release such as " + DefaultImage
	case v.within(3, 6, 4, 6), v.within(2, 11, 32, 34):
		return "Traefik 3.6.4 to 3.6.6 and 2.11.32 to 2.11.34 answer 400 to paths with %2F, which the forge's API and branches need", newer
	}
	fixed := v.major == 2 && v.before(2, 11, 31) || v.major == 3 && v.before(3, 6, 1)
	if fixed && olderAPI(fixedAPI, engineMinAPI) {
		return fmt.Sprintf("Traefik before 3.6.1 and 2.11.31 speaks only API %s, and this Docker Engine wants %s or newer", fixedAPI, engineMinAPI), newer
	}
	return "", ""
}

// olderAPI compares two versions of the Engine's API; what is no version is
// older than nothing.
func olderAPI(a, b string) bool {
	var amajor, aminor, bmajor, bminor int
	if _, err := fmt.Sscanf(a+" "+b, "%d.%d %d.%d", &amajor, &aminor, &bmajor, &bminor); err != nil {
		return false
	}
	return amajor < bmajor || amajor == bmajor && aminor < bminor
}
