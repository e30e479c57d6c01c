package runner

import (
	"errors"
	"strings"

	"github.com/distribution/reference"
)

// stepCache is a cache of steps that a registry has: in an image, or in a
// repository for nothing else.
type stepCache struct {
	ref    string // "" when it is in the image that is pushed
	inline bool
}

// parseStepCache reads what docker build takes: NAME, type=registry,ref=NAME or
// type=inline.
func parseStepCache(text string) (c stepCache, err error) {
	if !strings.ContainsAny(text, "=,") {
		text = "type=registry,ref=" + text
	}
	kind := ""
	for field := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "type":
			kind = value
		case "ref":
			c.ref = value
		default:
			return c, errors.New("the keys of a cache are type and ref")
		}
	}
	switch {
	case kind == "inline" && c.ref != "":
		return c, errors.New("type inline is the image that is pushed, and has no ref")
	case kind == "inline":
		c.inline = true
		return c, nil
	case kind != "registry":
		return c, errors.New("the types of a cache are registry and inline")
	}
	if _, err := reference.ParseNormalizedNamed(c.ref); err != nil {
		return c, errors.New("its ref is no name of an image")
	}
	return c, nil
}

// bare reports whether the cache is named without a tag and a digest.
func (c stepCache) bare() bool {
	named, err := reference.ParseNormalizedNamed(c.ref)
	return err == nil && reference.IsNameOnly(named)
}

// checkRegistryCaches is about CacheFrom and CacheTo, of which each mode's
// builder can do its part.
func (o BuildOptions) checkRegistryCaches() error {
	const form = "Write registry.example.org/group/project/cache, type=registry,ref=… or type=inline."
	if o.NoCache && len(o.CacheFrom) > 0 {
		return badOption("with cache from "+o.CacheFrom[0], "every step is run when there is to be no cache", "Leave one of the two out.")
	}
	for _, text := range o.CacheFrom {
		c, err := parseStepCache(text)
		bad := func(why, remedy string) error { return badOption("with cache from "+text, why, remedy) }
		switch {
		case err != nil:
			return bad(err.Error(), form)
		case c.inline:
			return bad("a cache in an image is found by the image's name", "Name that image.")
		case o.Mode == Rootless && !c.bare():
			return bad("buildah keeps its cache in a repository, under tags of its own", "Leave out the tag.")
		}
	}
	for _, text := range o.CacheTo {
		c, err := parseStepCache(text)
		bad := func(why, remedy string) error { return badOption("with cache to "+text, why, remedy) }
		switch {
		case err != nil:
			return bad(err.Error(), form)
		case o.Mode == Rootless && c.inline:
			return bad("buildah keeps no cache in an image", "Name a repository for it: registry.example.org/group/project/cache.")
		case o.Mode == Rootless && !c.bare():
			return bad("buildah keeps its cache in a repository, under tags of its own", "Leave out the tag.")
		case o.Mode != Rootless && !c.inline:
			return bad("a Docker daemon keeps a cache in the image that it pushes, and in no repository of its own", "Keep it to type=inline and push; the next build takes it from the image. Or build in mode rootless.")
		case o.Mode != Rootless && !o.Push:
			return bad("without a push nobody finds a cache that is in the image", "Push the image.")
		}
	}
	return nil
}

// cached are the names in registries that the caches of o have.
func cached(o BuildOptions) []string {
	var names []string
	for _, list := range [][]string{o.CacheFrom, o.CacheTo} {
		for _, text := range list {
			if c, err := parseStepCache(text); err == nil && c.ref != "" {
				names = append(names, c.ref)
			}
		}
	}
	return names
}

// cacheOptions are those of the mode's builder.
func (b *builder) cacheOptions() []string {
	var options []string
	if b.Mode == Rootless && len(b.CacheFrom)+len(b.CacheTo) > 0 {
		options = append(options, "--layers")
	}
	for _, list := range []struct {
		option string
		caches []string
	}{{"--cache-from", b.CacheFrom}, {"--cache-to", b.CacheTo}} {
		for _, text := range list.caches {
			c, err := parseStepCache(text)
			if err != nil { // it was checked
				continue
			}
			value := "type=registry,ref=" + c.ref
			switch {
			case c.inline:
				value = "type=inline"
			case b.Mode == Rootless:
				value = c.ref
			}
			options = append(options, list.option, value)
		}
	}
	return options
}
