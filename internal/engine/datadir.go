package engine

import (
	"cmp"
	"context"
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// dataMount says what a lock does about its data directory.
type dataMount int

const (
	dataThere   dataMount = iota // it has to be there
	dataMade                     // it is made where it is missing
	dataIfThere                  // the lock does without one that is missing
)

// mountData gives a lock's container the data directory.
func mountData(host *container.HostConfig, s *converge.Stack, how dataMount) {
	switch {
	case s.Data == "":
	case how == dataMade: // only binds of this form make what is missing
		host.Binds = append(host.Binds, s.Data+":"+dataDir)
	default:
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: s.Data, Target: dataDir})
	}
}

// madeWith reports whether a container of the stack was made with its data
// directory, which therefore has to be there.
func madeWith(s *converge.Stack, o *converge.Observed) bool {
	for _, c := range o.Containers {
		if c.Service != "" && cmp.Or(c.Labels[converge.LabelData], s.Data) == s.Data {
			return true
		}
	}
	return false
}

// noSource reports whether a container could not be created or started because
// something that it mounts is not there.
func noSource(err error) bool {
	return err != nil && strings.Contains(err.Error(), "bind source path does not exist")
}

func missingData(s *converge.Stack) error {
	return &fault.Error{Op: "use data directory", What: s.Data, Why: "it is not there on the Docker host: is its disk mounted?",
		Remedy: "Mount the disk and run the command again. Nothing was changed.", Err: converge.ErrNoIdentity}
}

// makeDirectories makes the directories below the data directory that a
// container mounts. One in which a file is for its owner alone is for its
// owner alone.
func (l *Lock) makeDirectories(ctx context.Context, c *converge.Container) error {
	var args []string
	for _, m := range c.Mounts {
		if m.Kind != converge.Data {
			continue
		}
		at, err := here(m.Source)
		if err != nil {
			return err
		}
		umask := "022"
		if l.besidePrivate(path.Join(m.Source, "x")) {
			umask = "077"
		}
		args = append(args, umask, at)
	}
	return l.shell(ctx, "make directories of "+c.Name, `set -eu
while [ $# -gt 0 ]; do
	mkdir -p "${2%/*}"
	(umask "$1"; mkdir -p "$2")
	shift 2
done`, args...)
}
