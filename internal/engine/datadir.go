package engine

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
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

// guards are the mounts without whose sources no Engine starts a container of
// the stack: the identity of the data directory, and the marks of the
// directories in it that may be disks of their own.
func guards(s *converge.Stack, c *converge.Container) []mount.Mount {
	list := []mount.Mount{{Type: mount.TypeBind, Source: s.FilePath(converge.FileIdentity), Target: converge.IdentityTarget, ReadOnly: true}}
	for _, m := range c.Mounts {
		if mark := m.Mark(); mark != "" {
			list = append(list, mount.Mount{Type: mount.TypeBind, Source: s.FilePath(mark), Target: path.Join(path.Dir(converge.IdentityTarget), mark), ReadOnly: true})
		}
	}
	return list
}

// wasMarked reports whether a container of the service was made with the marks
// of its directories, which therefore have to be there.
func wasMarked(s *converge.Stack, o *converge.Observed, c *converge.Container) bool {
	return slices.ContainsFunc(o.Containers, func(seen converge.ObservedContainer) bool {
		return seen.Service == c.Service && slices.ContainsFunc(seen.Mounts, func(m converge.ObservedMount) bool {
			return slices.ContainsFunc(c.Mounts, func(w converge.Mount) bool { return w.Mark() != "" && m.Source == s.FilePath(w.Mark()) })
		})
	})
}

// makeDirectories makes the directories below the data directory that a
// container mounts, with their marks. One in which a file is for its owner
// alone is for its owner alone. Where marks have to be there, or some are, one
// that is missing is a disk that is not mounted.
func (l *Lock) makeDirectories(ctx context.Context, c *converge.Container, wasMarked bool) error {
	args := []string{map[bool]string{true: "yes", false: "no"}[wasMarked]}
	for _, m := range c.Mounts {
		if m.Kind != converge.Data {
			continue
		}
		at, err := here(m.Source)
		if err != nil {
			return err
		}
		umask, mark := "022", ""
		if l.besidePrivate(path.Join(m.Source, "x")) {
			umask = "077"
		}
		if m.Marked {
			mark = path.Join(at, converge.FileMark)
		}
		args = append(args, umask, at, mark)
	}
	if err := l.startContainer(ctx); err != nil {
		return fmt.Errorf("make directories of %s: %w", c.Name, err)
	}
	result, err := l.e.Exec(ctx, l.id, ExecOptions{Cmd: append([]string{"sh", "-c", makeMarked, "hepta"}, args...)})
	if err != nil {
		return fmt.Errorf("make directories of %s: %w", c.Name, err)
	}
	if missing, is := strings.CutPrefix(strings.TrimSpace(string(result.Stdout)), "unmarked "); is {
		file := l.s.FilePath(strings.TrimPrefix(missing, dataDir+"/"))
		return &fault.Error{Op: "start container on", What: path.Dir(file), Why: "its mark " + converge.FileMark + " is not there: is the disk mounted?",
			Remedy: "Mount the disk and run the command again. If this is the right directory all the same, mark it first (sudo touch " + file + ").", Err: converge.ErrNoIdentity}
	}
	if result.ExitCode != 0 {
		return fmt.Errorf("make directories of %s: %s", c.Name, lastLine(result.Stderr, result.Stdout, result.ExitCode))
	}
	return nil
}

// makeMarked takes whether all marks have to be there, and for each directory
// its umask, its path and the path of its mark, which may be empty.
const makeMarked = `set -eu
all=$1
shift
any=no missing=
check() {
	while [ $# -gt 0 ]; do
		if [ -n "$3" ]; then
			if [ -e "$3" ]; then any=yes; else missing=$3; fi
		fi
		shift 3
	done
}
check "$@"
if [ -n "$missing" ] && { [ $all = yes ] || [ $any = yes ]; }; then echo "unmarked $missing"; exit 1; fi
while [ $# -gt 0 ]; do
	mkdir -p "${2%/*}"
	(umask "$1"; mkdir -p "$2")
	if [ -n "$3" ]; then : >>"$3"; fi
	shift 3
done`
