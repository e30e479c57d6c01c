package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/internal/converge"
)

// place moves a file that was put under a temporary name to where it belongs.
// Arguments: temporary file, destination, umask for its directory, mark, whether
// the mark has to be set, name under which the old content is kept ("": it is
// not), and a further one that says that there was none. Both steps of the move
// are within one directory at the end, so the old content is there until the new
// one is. What fails leaves no temporary file.
const place = `set -eu
dir=${2%/*}
trap 'rm -f "$1" "$dir/${1##*/}"' EXIT
if [ -d "$2" ]; then echo "$2 is a directory" >&2; exit 1; fi
mkdir -p "${dir%/*}/"
(umask "$3"; mkdir -p "$dir")
next=$dir/${1##*/}
[ "$1" = "$next" ] || mv -f "$1" "$next"
for f in "$dir/.${2##*/}` + keptBefore + `"* "$dir/.${2##*/}` + keptAbsent + `"*; do
	case $f in "$6"|"$7") ;; *) rm -f "$f" ;; esac
done
if [ -n "$6" ] && [ ! -e "$6" ] && [ ! -e "$7" ]; then
	if [ -e "$2" ]; then ln "$2" "$6" 2>/dev/null || cp -p "$2" "$6"; else : >"$7"; fi
fi
if [ "$5" = yes ]; then : >"$4"; fi
mv -f "$next" "$2"
if [ "$5" != yes ]; then rm -f "$4"; fi`

// stamp is the first time, not before earliest, whose nanoseconds are a
// fingerprint of what was written, which is no secret. One look at the metadata then reports whether
// a file is as hepta left it; every other writer leaves other nanoseconds.
func stamp(earliest time.Time, content []byte, uid, gid int) time.Time {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d:%d:", uid, gid)
	sum.Write(content)
	nanos := binary.BigEndian.Uint64(sum.Sum(nil)) % uint64(time.Second)
	at := earliest.Truncate(time.Second).Add(time.Duration(nanos))
	if at.Before(earliest) {
		at = at.Add(time.Second)
	}
	return at
}

// later is now, or just after the file that is to be replaced where its time
// lies ahead: a reader who goes by the time, as gitlab-runner does, takes only
// a newer file for a change.
func later(now, old time.Time) time.Time {
	if now.After(old) {
		return now
	}
	return old.Add(time.Nanosecond)
}

// here is where a file of the stack lies inside the lock's container.
func here(file string) (string, error) {
	clean := path.Clean(file)
	if rest, ok := strings.CutPrefix(clean, hostDir+"/"); ok {
		return path.Join(hostDirHere, rest), nil
	}
	if path.IsAbs(clean) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("path %q: only what lies below the data directory or %s is reached", file, hostDir)
	}
	return path.Join(dataDir, clean), nil
}

// ReadFile reads a file below the data directory; fs.ErrNotExist when absent.
func (l *Lock) ReadFile(ctx context.Context, file string) ([]byte, error) {
	seen, err := l.look(ctx, file)
	if err != nil {
		return nil, err
	}
	if !seen.Exists {
		return nil, fmt.Errorf("read file %s: %w", file, fs.ErrNotExist)
	}
	return seen.Content, nil
}

func (l *Lock) look(ctx context.Context, file string) (converge.ObservedFile, error) {
	at, err := here(file)
	if err != nil {
		return converge.ObservedFile{}, err
	}
	seen, err := l.e.readFile(ctx, l.id, at)
	if err != nil {
		return seen, fmt.Errorf("read file %s: %w", file, err)
	}
	return seen, nil
}

// WriteFile replaces a file below the data directory: whoever looks sees the
// old content or the new, with its owner and mode. Missing parents are made.
func (l *Lock) WriteFile(ctx context.Context, file string, content []byte, mode fs.FileMode, uid, gid int) error {
	seen, err := l.look(ctx, file)
	if err != nil {
		return err
	}
	return l.write(ctx, file, content, mode, uid, gid, writing{old: seen.ModTime})
}

// writing is what else there is to say of a write.
type writing struct {
	old     time.Time // of the file that is replaced
	pending bool      // leaves the mark that an Apply has to follow
	keep    string    // container for which the old content is kept; "": for none
}

// write is WriteFile of what is newer than the file that it replaces. Without
// keep, what was kept of the file goes.
func (l *Lock) write(ctx context.Context, file string, content []byte, mode fs.FileMode, uid, gid int, w writing) error {
	at, err := here(file)
	if err != nil {
		return err
	}
	if err := l.startContainer(ctx); err != nil {
		return fmt.Errorf("write file %s: %w", file, err)
	}
	// The name depends on the path alone: what a killed run left is replaced
	// by the next write of the same file.
	sum := sha256.Sum256([]byte(at))
	temp := ".hepta-" + hex.EncodeToString(sum[:6])
	root := dataDir
	if strings.HasPrefix(at, hostDirHere+"/") {
		root = hostDirHere
	}
	var archive bytes.Buffer
	pack := tar.NewWriter(&archive)
	head := &tar.Header{Name: temp, Typeflag: tar.TypeReg, Mode: int64(mode.Perm()), Uid: uid, Gid: gid, Size: int64(len(content)),
		ModTime: later(time.Now(), w.old), Format: tar.FormatPAX}
	if !l.isSecret(file, mode) {
		head.ModTime = stamp(head.ModTime, content, uid, gid)
	}
	if err := pack.WriteHeader(head); err != nil {
		return fmt.Errorf("write file %s: %w", file, err)
	}
	if _, err := pack.Write(content); err != nil {
		return fmt.Errorf("write file %s: %w", file, err)
	}
	if err := pack.Close(); err != nil {
		return fmt.Errorf("write file %s: %w", file, err)
	}
	if err := l.e.api.CopyToContainer(ctx, l.id, root, &archive, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("write file %s: %w", file, err)
	}
	umask, mark := "022", "no"
	if private(mode) || l.besidePrivate(file) {
		umask = "077"
	}
	if w.pending {
		mark = "yes"
	}
	before, absent := keptAs(at, w.keep)
	return l.shell(ctx, "write file "+file, place, path.Join(root, temp), at, umask, markOf(at), mark, before, absent)
}

// isSecret reports whether nothing about the content of a file may show in its
// metadata, which others can see: a fingerprint is enough to try passwords.
func (l *Lock) isSecret(file string, mode fs.FileMode) bool {
	if file == converge.FileIdentity { // too long to be tried
		return false
	}
	if f := l.s.File(file); f != nil {
		return f.Secret
	}
	return private(mode)
}

func private(mode fs.FileMode) bool { return mode.Perm()&0o077 == 0 }

// besidePrivate reports whether a file that only its owner may read belongs into
// the directory of file.
func (l *Lock) besidePrivate(file string) bool {
	return slices.ContainsFunc(l.s.Files, func(f converge.File) bool {
		return f.Mode != 0 && private(f.Mode) && path.Dir(f.Path) == path.Dir(file)
	})
}

// unmark says that a file was taken over.
func (l *Lock) unmark(ctx context.Context, files []string) error {
	args := make([]string, 0, len(files))
	for _, f := range files {
		at, err := here(f)
		if err != nil {
			return err
		}
		args = append(args, markOf(at))
	}
	return l.shell(ctx, "note that files were taken over", `rm -f "$@"`, args...)
}

// markRefused says that a command has not taken files over, and what it said.
func (l *Lock) markRefused(ctx context.Context, files []string, said string) error {
	args := []string{said}
	for _, f := range files {
		at, err := here(f)
		if err != nil {
			return err
		}
		args = append(args, markOf(at))
	}
	return l.shell(ctx, "note that files were refused", `umask 077; said=$1; shift; for f; do [ ! -e "$f" ] || printf '%s' "$said" >"$f"; done`, args...)
}

// shell runs a script in the lock's container.
func (l *Lock) shell(ctx context.Context, op, script string, args ...string) error {
	if err := l.startContainer(ctx); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	result, err := l.e.Exec(ctx, l.id, ExecOptions{Cmd: append([]string{"sh", "-c", script, "hepta"}, args...)})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if result.ExitCode != 0 {
		return fmt.Errorf("%s: %s", op, lastLine(result.Stderr, result.Stdout, result.ExitCode))
	}
	return nil
}

// lastLine is what a failed command said last.
func lastLine(stderr, stdout []byte, code int) string {
	for _, out := range [][]byte{stderr, stdout} {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return fmt.Sprintf("%s (exit code %d)", last, code)
		}
	}
	return fmt.Sprintf("exit code %d", code)
}
