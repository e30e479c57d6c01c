package runner

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

// Counted repetitions take time to compile, which no other command is to wait for.
var (
	volumeName = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$`)
	stageName  = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
)

// withDefaults fills in what o leaves open and says what cannot be, without
// asking anybody.
func (o BuildOptions) withDefaults() (BuildOptions, error) {
	o.Mode = cmp.Or(o.Mode, Socket)
	o.Socket = cmp.Or(o.Socket, "/var/run/docker.sock")
	o.Dockerfile = path.Clean(cmp.Or(o.Dockerfile, "Dockerfile"))
	switch o.Mode {
	case Socket:
		o.Image = cmp.Or(o.Image, DefaultJobImage)
	case Dind:
		o.Image = cmp.Or(o.Image, DefaultDindImage)
	case Rootless:
		o.Image = cmp.Or(o.Image, DefaultRootlessImage)
	default:
		return o, badOption("in mode "+string(o.Mode), "images are built in the modes socket, dind and rootless", "Choose one of them.")
	}
	size := o.CacheSize
	o.CacheSize = cmp.Or(o.CacheSize, DefaultBuildCacheSize)
	for _, check := range []func() error{o.checkImage, o.checkSteps, func() error { return o.checkCache(size) }, o.checkRegistryCaches, o.checkSecrets, o.checkRegistry} {
		if err := check(); err != nil {
			return o, err
		}
	}
	return o, nil
}

func badOption(what, why, remedy string) error {
	return &fault.Error{Op: "build", What: shortened(what), Why: why, Remedy: remedy}
}

// shortened is a text that may be of any length, as an error shows it.
func shortened(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	end := most
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// oneLine reports whether text can be an argument in a container that people can
// read back.
func oneLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// checkImage is about what builds and what the image is called.
func (o BuildOptions) checkImage() error {
	if _, err := reference.ParseAnyReference(o.Image); err != nil {
		return badOption("with image "+o.Image, "that is no name for an image", "Name one that has the tools of mode "+string(o.Mode)+", or leave it to hepta.")
	}
	if !path.IsAbs(o.Socket) || !oneLine(o.Socket) || strings.Contains(o.Socket, ":") {
		return badOption("with socket "+o.Socket, "that is no path of a socket on the Docker host", "Name it as in /var/run/docker.sock.")
	}
	for _, tag := range o.Tags {
		named, err := reference.ParseNormalizedNamed(tag)
		if err != nil {
			return badOption("with tag "+tag, "that is no name for an image", "Write it as in registry.example.org/group/project:1.0.")
		}
		if _, pinned := named.(reference.Digested); pinned {
			return badOption("with tag "+tag, "a digest is what comes of a build, it cannot be chosen", "Leave out @sha256:….")
		}
	}
	if o.Push && len(o.Tags) == 0 {
		return badOption("image", "without a name it cannot be pushed", "Give it a tag.")
	}
	return nil
}

// checkSteps is about which steps are run and what they get.
func (o BuildOptions) checkSteps() error {
	if !oneLine(o.Dockerfile) {
		return badOption(o.Dockerfile, "that is no name of a file", "Name the Dockerfile below the context.")
	}
	if path.IsAbs(o.Dockerfile) || o.Dockerfile == ".." || strings.HasPrefix(o.Dockerfile, "../") {
		return badOption(o.Dockerfile, "the Dockerfile lies outside the context", "Name a file below the context.")
	}
	if o.Target != "" && !stageName().MatchString(o.Target) {
		return badOption("target "+o.Target, "that is no name of a stage", "Name it as the Dockerfile does behind AS.")
	}
	for _, arg := range o.Args {
		if !envPair().MatchString(arg) {
			return badOption("arguments", "one of them is no variable with a value", "Write NAME=value.")
		}
		if !utf8.ValidString(arg) || strings.Contains(arg, "\x00") {
			name, _, _ := strings.Cut(arg, "=")
			return badOption("argument "+name, "its value is no text", "Give it in UTF-8 and without null bytes.")
		}
	}
	if o.Tracked && o.Revision != "" {
		return badOption("from "+o.where(), "either what is tracked or what was committed can be built, not both", "Leave out one of the two.")
	}
	if !oneLine(o.Revision) {
		return badOption("at "+o.Revision, "that is no name of a revision", "Name a commit, a branch or a tag.")
	}
	return nil
}

// checkCache is about the volume; size is what the caller gave for it.
func (o BuildOptions) checkCache(size int64) error {
	switch {
	case o.Cache == "" && size != 0:
		return badOption("image", "there is a size for a cache, and no cache", "Name the cache, or leave its size out.")
	case o.Cache == "":
		return nil
	case o.Mode == Socket:
		return badOption("with cache "+o.Cache, "in mode socket the Engine keeps a cache of its own", "Leave the cache out, or build in mode dind or rootless.")
	case !volumeName().MatchString(o.Cache):
		return badOption("with cache "+o.Cache, "that is no name for a volume", "Use letters, digits, - and _, two at least.")
	case o.CacheSize < MinBuildCache:
		return badOption("with cache "+o.Cache, fmt.Sprintf("%d bytes hold no base image with what is built on it", o.CacheSize), "Give at least 1g.")
	}
	return nil
}

// checkRegistry is about the way to the registry.
func (o BuildOptions) checkRegistry() error {
	r := o.Registry
	if r.Host != "" {
		if named, err := reference.ParseNormalizedNamed(r.Host + "/x"); err != nil || reference.Domain(named) != r.Host {
			return badOption("for registry "+r.Host, "that is no host, as images name it", "Write registry.example.org or registry.example.org:5050.")
		}
	}
	if r.CA != nil && !x509.NewCertPool().AppendCertsFromPEM(r.CA) {
		return badOption("for registry "+r.Host, "its authority holds no certificate", "Give it in PEM.")
	}
	if r.Host == "" && (r.CA != nil || r.Plain) {
		return badOption("for a registry", "its host is missing", "Name it as images do.")
	}
	for _, name := range r.Names {
		if !oneLine(name) || name == "" || strings.ContainsAny(name, ": /") {
			return badOption("with host name "+name, "that is no host name", "Write it as in registry.example.org.")
		}
	}
	return nil
}
