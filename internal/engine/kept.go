package engine

import (
	"context"
	"path"
	"strings"
)

// What files held before a replacement that is not over yet lies beside them,
// on the host: whoever comes next can bring it back, whatever became of the
// program. Its name ends with the id of the container that has read it.
const (
	keptBefore = ".hepta-before-"
	keptAbsent = ".hepta-absent-" // there was no such file
)

// keptAs are the names under which the content of a file, or that there is
// none, is kept for a container; empty for no container.
func keptAs(at, container string) (before, absent string) {
	if container == "" {
		return "", ""
	}
	front := path.Join(path.Dir(at), "."+path.Base(at))
	return front + keptBefore + container, front + keptAbsent + container
}

// putBack brings kept content back. Arguments: destination, content before,
// absence before, mark; and so on. A second name of the file itself is dropped.
const putBack = `set -eu
while [ $# -gt 0 ]; do
	if [ "$2" -ef "$1" ]; then
		rm -f "$2"
	elif [ -e "$2" ]; then
		mv -f "$2" "$1"
		rm -f "$4"
	elif [ -e "$3" ]; then
		rm -f "$1" "$4" "$3"
	fi
	shift 4
done`

// restore brings files back as a container has read them. Where nothing is kept
// they are as they were.
func (l *Lock) restore(ctx context.Context, files []string, container string) error {
	var args []string
	for _, f := range files {
		at, err := here(f)
		if err != nil {
			return err
		}
		before, absent := keptAs(at, container)
		args = append(args, at, before, absent, markOf(at))
	}
	return l.shell(ctx, "restore "+strings.Join(files, ", "), putBack, args...)
}

// forget drops what is kept of files, for any container.
func (l *Lock) forget(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return nil
	}
	var args []string
	for _, f := range files {
		at, err := here(f)
		if err != nil {
			return err
		}
		args = append(args, path.Join(path.Dir(at), "."+path.Base(at)))
	}
	return l.shell(ctx, "drop what was kept of "+strings.Join(files, ", "),
		`for f; do rm -f "$f`+keptBefore+`"* "$f`+keptAbsent+`"*; done`, args...)
}
