package vcs

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"
)

const (
	privateDir  = ".store"     // configuration, scripts, trash
	snapshotDir = ".snapshots" // synthetic Git repositories of Mercurial projects
)

// store keeps every repository as <root>/<path>.hg or <root>/<path>.git. Names
// that start with a dot are its own: no project path can reach them.
type store struct {
	root    string
	private string
	env     []string
	locks   keyed
	refs    refCache
	worker  *hgWorker
	alive   *os.File // open in every program of the store, see Recover
	hg      func() (mercurial, error)
	git     func() (string, error)
}

// Open opens, or makes, the store that lives in the directory root. The hg and
// git programs are looked up when a repository first needs them.
func Open(root string) (Store, error) {
	s, err := open(root)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	return s, nil
}

func open(root string) (*store, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, err
	}
	s := &store{root: root, private: filepath.Join(root, privateDir)}
	if err := os.MkdirAll(filepath.Join(s.private, "trash"), 0o700); err != nil {
		return nil, err
	}
	if s.alive, err = os.OpenFile(filepath.Join(s.private, "alive"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	s.env = environment(s.private)
	s.worker = s.newHgWorker()
	s.git = sync.OnceValues(findGit)
	s.hg = sync.OnceValues(func() (mercurial, error) { return findHg(s) })
	for name, content := range map[string][]byte{
		"hgworker.py": hgWorkerScript,
		"gitconfig":   []byte(gitConfig),
		"read.hgrc":   []byte(hgReadConfig),
		"write.hgrc":  []byte(hgWriteConfig),
	} {
		if err := s.keep(name, content); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close ends what the store keeps running. Requests under way come to their end.
func (s *store) Close() {
	s.worker.close()
	s.alive.Close()
}

// keep writes a file of the store's own in one step, and not where it already
// says so: other processes may serve from the same directory.
func (s *store) keep(name string, content []byte) error {
	name = filepath.Join(s.private, name)
	if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, content) {
		return nil
	}
	return renameio.WriteFile(name, content, 0o600)
}

// Create makes an empty repository; fs.ErrExist when the path is taken.
func (s *store) Create(ctx context.Context, path string, kind Kind) error {
	if err := s.create(ctx, path, kind); err != nil {
		return fmt.Errorf("create repository %s: %w", path, err)
	}
	return nil
}

func (s *store) create(ctx context.Context, path string, kind Kind) error {
	if kind != Hg && kind != Git {
		return fmt.Errorf("unknown kind %q: want hg or git", kind)
	}
	defer s.locks.lock(path)()
	if k, taken := s.Exists(path); taken {
		return fmt.Errorf("a %s repository is there: %w", k, fs.ErrExist)
	}
	dir, err := s.join("", path, "."+string(kind))
	if err != nil {
		return err
	}
	return s.place(ctx, dir, kind)
}

// place makes an empty repository elsewhere and moves it to dir: it is there
// as a whole or not at all.
func (s *store) place(ctx context.Context, dir string, kind Kind) error {
	made, err := os.MkdirTemp(filepath.Join(s.private, "trash"), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	repo := filepath.Join(made, "repo")
	if kind == Git {
		err = s.gitInit(ctx, repo)
	} else {
		err = s.hgInit(ctx, repo)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	return os.Rename(repo, dir)
}

// Remove takes a repository away, with its snapshots.
func (s *store) Remove(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.locks.lock(path)()
	dir, _, err := s.locate(path)
	if err != nil {
		return fmt.Errorf("remove repository: %w", err)
	}
	snap, err := s.join(snapshotDir, path, ".git")
	if err != nil {
		return fmt.Errorf("remove repository %s: %w", path, err)
	}
	s.refs.drop(dir)
	trash, err := os.MkdirTemp(filepath.Join(s.private, "trash"), "old-")
	if err != nil {
		return fmt.Errorf("remove repository %s: %w", path, err)
	}
	if err := os.Rename(dir, filepath.Join(trash, "repo")); err != nil {
		return fmt.Errorf("remove repository %s: %w", path, err)
	}
	if isDir(snap) {
		if err := os.Rename(snap, filepath.Join(trash, "snapshots")); err != nil {
			return fmt.Errorf("remove snapshots of %s: %w", path, err)
		}
	}
	if err := os.RemoveAll(trash); err != nil {
		return fmt.Errorf("remove repository %s: %w", path, err)
	}
	return nil
}

// Exists tells what a path's repository is kept with, if there is one.
func (s *store) Exists(path string) (Kind, bool) {
	_, k, err := s.locate(path)
	return k, err == nil
}

// keyed is one mutex a name.
type keyed struct {
	mu sync.Mutex
	m  map[string]*keyedLock
}

type keyedLock struct {
	mu    sync.Mutex
	users int
}

// lock takes the name's mutex and returns what releases it.
func (k *keyed) lock(name string) (unlock func()) {
	k.mu.Lock()
	if k.m == nil {
		k.m = map[string]*keyedLock{}
	}
	l := k.m[name]
	if l == nil {
		l = &keyedLock{}
		k.m[name] = l
	}
	l.users++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.m, name)
		}
	}
}
