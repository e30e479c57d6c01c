package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// store keeps what images are made of (a root file system, programs) by
// content, in the user's cache directory.
type store struct{ dir string }

func openStore() (*store, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find cache directory: %w; set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(cache, "hepta", "images")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cache directory: %w", err)
	}
	return &store{dir}, nil
}

// lock waits until no one else, in this process or another, holds name.
func (s *store) lock(ctx context.Context, name string) (unlock func(), err error) {
	l := flock.New(filepath.Join(s.dir, name+".lock"))
	if _, err := l.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for another maker of %s: %w", name, err)
	}
	return func() { l.Unlock() }, nil
}

// artefact returns the file of that name and digest. When it is absent, build
// makes it in an empty directory of its own; it appears under its name whole or
// not at all, and older ones go after a while.
func (s *store) artefact(ctx context.Context, name, sum string, build func(dir string) (file string, err error)) (string, error) {
	dir := filepath.Join(s.dir, name)
	final := filepath.Join(dir, sum)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	if err := s.clear(dir, ".making-"); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, ".making-")
	if err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	defer os.RemoveAll(work)
	file, err := build(work)
	if err != nil {
		return "", err
	}
	made := filepath.Join(work, sum)
	if err := os.Rename(file, made); err != nil {
		return "", fmt.Errorf("keep %s: %w", name, err)
	}
	// The file's time is that of its making, by which it grows old.
	now := time.Now()
	if err := errors.Join(os.Chtimes(made, now, now), os.Rename(made, final)); err != nil {
		return "", fmt.Errorf("keep %s: %w", name, err)
	}
	return final, s.forget(dir, sum)
}

// grace is how long an older make is kept: another process, of another
// checkout, may be about to use it.
const grace = time.Hour

// forget removes the older makes in dir. The caller holds the lock.
func (s *store) forget(dir, sum string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for older makes: %w", err)
	}
	for _, e := range entries {
		i, err := e.Info()
		if err != nil || e.Name() == sum || strings.HasPrefix(e.Name(), ".") || time.Since(i.ModTime()) < grace {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove older make: %w", err)
		}
	}
	return nil
}

// clear removes what a killed maker left half done. The caller holds the lock.
func (s *store) clear(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove leftovers: %w", err)
			}
		}
	}
	return nil
}
