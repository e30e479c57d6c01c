package vcs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrPath is what a project path that may not exist is refused with.
var ErrPath = errors.New("invalid project path")

const (
	maxPath    = 1024
	maxSegment = 255
)

var segment = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// CheckPath reports whether path can be a project's: segments of letters, digits,
// "_", "-" and ".", none of which starts with "." or "-", ends with "." or
// carries a suffix that a repository or a feed has.
func CheckPath(path string) error {
	if path == "" || len(path) > maxPath {
		return fmt.Errorf("%w: %d characters", ErrPath, len(path))
	}
	for s := range strings.SplitSeq(path, "/") {
		if len(s) > maxSegment || !segment.MatchString(s) || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
			return fmt.Errorf("%w: segment %q of %q", ErrPath, s, path)
		}
		low := strings.ToLower(s)
		for _, suffix := range []string{".git", ".hg", ".atom"} {
			if strings.HasSuffix(low, suffix) {
				return fmt.Errorf("%w: %q ends with %s", ErrPath, path, suffix)
			}
		}
	}
	return nil
}

// join gives the directory of a repository below the store: base is "" or the
// snapshots' own directory, suffix the kind's. Whatever of it exists is made of
// plain directories; a symbolic link anywhere is refused.
func (s *store) join(base, path, suffix string) (string, error) {
	if err := CheckPath(path); err != nil {
		return "", err
	}
	parts := strings.Split(path+suffix, "/")
	if base != "" {
		parts = append([]string{base}, parts...)
	}
	dir := s.root
	for _, p := range parts {
		dir = filepath.Join(dir, p)
		switch st, err := os.Lstat(dir); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("look at repository %s: %w", path, err)
		case !st.IsDir():
			return "", fmt.Errorf("%w: %q leads over something that is no directory", ErrPath, path)
		}
	}
	return dir, nil
}

// locate finds the directory and kind of an existing repository; fs.ErrNotExist
// when there is none.
func (s *store) locate(path string) (string, Kind, error) {
	for _, k := range []Kind{Hg, Git} {
		dir, err := s.join("", path, "."+string(k))
		if err != nil {
			return "", "", err
		}
		if isDir(dir) {
			return dir, k, nil
		}
	}
	return "", "", fmt.Errorf("find repository %s: %w", path, fs.ErrNotExist)
}

func isDir(name string) bool {
	st, err := os.Lstat(name)
	return err == nil && st.IsDir()
}
