package vcs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stragglers bounds the wait for the programs of a process that was killed.
// Their pipes are closed, so they end at once; only one that waits for hg's
// lock takes up to the minute that hgCommonConfig gives it.
const stragglers = 90 * time.Second

// Recover waits until the programs of the store's earlier process are over.
// Every program has the file alive open, locked for as long as one of them
// lives. After that no lock in a repository has an owner and no transaction
// goes on: the ones are removed, the others rolled back. What damaged tells of
// is left as it is and does not keep the other repositories from being served.
func (s *store) Recover(ctx context.Context) (damaged, err error) {
	ctx, cancel := context.WithTimeout(ctx, stragglers)
	defer cancel()
	if err := s.waitAlone(ctx); err != nil {
		return nil, fmt.Errorf("recover store %s: %w", s.root, err)
	}
	err = filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return err
		case path == s.private:
			return fs.SkipDir
		case strings.HasSuffix(path, ".hg"):
			err = s.mendHg(ctx, path)
		case strings.HasSuffix(path, ".git"):
			err = s.mendGit(ctx, path)
		default:
			return nil
		}
		if err != nil {
			damaged = errors.Join(damaged, fmt.Errorf("repair %s: %w", path, err))
		}
		return fs.SkipDir
	})
	if err == nil {
		err = sweep(filepath.Join(s.private, "trash"), func(string) bool { return true })
	}
	if err != nil {
		err = fmt.Errorf("recover store: %w", err)
	}
	return damaged, err
}

// waitAlone takes the lock of the file alive, which nobody else can have while
// a program of an earlier process runs, and keeps it for the programs to come.
func (s *store) waitAlone(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(s.alive.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("programs of an earlier run still work on it; end them and start again: %w", ctx.Err())
		}
	}
}

func (s *store) mendHg(ctx context.Context, dir string) error {
	hg := filepath.Join(dir, ".hg")
	for _, lock := range []string{filepath.Join(hg, "wlock"), filepath.Join(hg, "store", "lock")} {
		if err := os.RemoveAll(lock); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(filepath.Join(hg, "store", "journal")); err != nil {
		return nil
	}
	_, err := hgRepo{s, dir}.run(ctx, "recover")
	return err
}

func (s *store) mendGit(ctx context.Context, dir string) error {
	if err := errors.Join(
		sweep(dir, isLock),
		sweep(filepath.Join(dir, "objects"), isTemporary),
		sweep(filepath.Join(dir, "objects", "pack"), isTemporary),
	); err != nil {
		return err
	}
	err := filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && isLock(path) {
			err = os.Remove(path) // no ref may have such a name
		}
		return err
	})
	if err != nil {
		return err
	}
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		return err
	}
	branch := strings.TrimPrefix(strings.TrimSpace(string(head)), "ref: ")
	if _, err := os.Lstat(filepath.Join(dir, branch)); err == nil {
		return nil
	}
	return gitRepo{s, dir}.adoptHead(ctx)
}

// sweep removes what has such a name from a directory, which may be missing.
func sweep(dir string, is func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if is(e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func isLock(name string) bool { return strings.HasSuffix(name, ".lock") }

func isTemporary(name string) bool { return strings.HasPrefix(name, "tmp_") }
