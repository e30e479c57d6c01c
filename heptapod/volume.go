package heptapod

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// dataMount is where the image keeps what the forge holds.
const dataMount = "/var/opt/gitlab"

// ownMounts are the directories of the image that lie in the data directory.
func ownMounts() []converge.Mount {
	return []converge.Mount{
		{Source: "heptapod/config", Target: configDir, Kind: converge.Data, Marked: true},
		{Source: "heptapod/logs", Target: "/var/log/gitlab", Kind: converge.Data},
		{Source: "heptapod/data", Target: dataMount, Kind: converge.Data, Marked: true},
	}
}

// parseVolume reads /host/directory:/container/directory, with :ro at its end
// for read-only.
func parseVolume(text string) (converge.Mount, error) {
	source, rest, _ := strings.Cut(text, ":")
	target, mode, _ := strings.Cut(rest, ":")
	for _, p := range []string{source, target} {
		if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
			return converge.Mount{}, fmt.Errorf("%q is not /host/directory:/container/directory, or that with :ro at its end", text)
		}
	}
	if mode != "" && mode != "ro" && mode != "rw" {
		return converge.Mount{}, fmt.Errorf("%q ends in an option that is neither ro nor rw", text)
	}
	for _, own := range ownMounts() {
		if converge.IsBelow(own.Target, target) {
			return converge.Mount{}, fmt.Errorf("%s is the forge's own: it lies in the data directory", target)
		}
	}
	return converge.Mount{Kind: converge.HostPath, Source: source, Target: target, ReadOnly: mode == "ro"}, nil
}

// mounts are all of the container. The volumes are valid.
func (cfg Config) mounts() []converge.Mount {
	list := ownMounts()
	for _, text := range cfg.Volumes {
		if m, err := parseVolume(text); err == nil {
			list = append(list, m)
		}
	}
	return list
}

// keeps reports whether what is written to a directory of the container
// outlives the container, in the forge's data or in a volume.
func (cfg Config) keeps(dir string) bool {
	dir = path.Clean(dir)
	mounts := slices.DeleteFunc(cfg.mounts(), func(m converge.Mount) bool { return !converge.IsBelow(dir, m.Target) })
	if len(mounts) == 0 {
		return false
	}
	nearest := slices.MaxFunc(mounts, func(a, b converge.Mount) int { return len(a.Target) - len(b.Target) })
	switch {
	case nearest.ReadOnly:
		return false
	case nearest.Kind == converge.Data:
		return nearest.Target == dataMount && dir != dataMount
	}
	return true
}

func (p *problems) volumes(cfg Config) {
	taken := map[string]string{}
	for i, text := range cfg.Volumes {
		key := fmt.Sprintf("heptapod.volumes[%d]", i)
		m, err := parseVolume(text)
		if err != nil {
			p.add(key, "%v", "write it as in /mnt/images:/srv/images", err)
			continue
		}
		if other := taken[m.Target]; other != "" {
			p.add(key, "%s is mounted by %s already", "take another directory of the container", m.Target, other)
		}
		taken[m.Target] = key
	}
}
