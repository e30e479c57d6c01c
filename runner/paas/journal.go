package paas

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"github.com/heptaup/hepta/internal/fault"
)

// Journal is the state file. What a method has written is on disk when it
// returns; when it fails, nothing that depends on it may be done. A Journal is
// safe for concurrent use: calls at the same time share one write.
type Journal struct {
	path  string
	lock  *flock.Flock
	write func(data []byte) error
	// exposed is how the file lay open before it was opened; empty for a private one.
	exposed string

	mu      sync.Mutex
	state   *state
	next    *batch // what is to be written next
	writing bool
	closed  bool
	flushes sync.WaitGroup
}

// batch is one write that several callers wait for.
type batch struct {
	done chan struct{}
	err  error
}

// OpenJournal reads the state file, or begins a new one when there is none. The
// file is never removed and never left half-written. One process at a time has
// it: a second one gets an error that names the first.
func OpenJournal(path string) (*Journal, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock state file: %w", err)
	}
	if !held {
		return nil, taken(path)
	}
	j := &Journal{path: path, lock: lock}
	j.write = j.replace
	if err := j.load(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	host, _ := os.Hostname()
	// Only for people: the lock itself is what counts.
	_ = os.WriteFile(lock.Path(), fmt.Appendf(nil, "process %d on %s\n", os.Getpid(), host), 0o600)
	return j, nil
}

func taken(path string) error {
	owner := "another process"
	if text, err := os.ReadFile(path + ".lock"); err == nil {
		if line := strings.TrimSpace(string(text)); line != "" {
			owner = line
		}
	}
	return &fault.Error{
		Op: "open state file", What: path, Why: "it is in use by " + owner,
		Remedy: "Two runner managers on one state file would fight over the same hosts: stop the other one, or give this one a state_file of its own.",
	}
}

func (j *Journal) load() error {
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		j.state = newState()
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state file: %w", err)
	}
	if info, err := os.Stat(j.path); err == nil && info.Mode().Perm()&0o004 != 0 {
		j.exposed = fmt.Sprintf("%04o", info.Mode().Perm())
	}
	if j.state, err = decodeState(data); err != nil {
		return &fault.Error{
			Op: "read state file", What: j.path, Why: err.Error(),
			Remedy: "It is left as it is. Restore it from a copy, or move it away: hosts of jobs that it tracked are then found at the provider by their names and removed when their jobs are over.",
		}
	}
	return nil
}

// replace writes beside the file and renames: after a crash there is the old
// content or the new one, of mode 0600 whatever it was before.
func (j *Journal) replace(data []byte) error {
	f, err := renameio.NewPendingFile(j.path, renameio.WithTempDir(filepath.Dir(j.path)), renameio.WithStaticPermissions(0o600))
	if err == nil {
		if _, err = f.Write(data); err == nil {
			err = f.CloseAtomicallyReplace()
		}
		_ = f.Cleanup()
	}
	if err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(j.path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	return nil
}

// Scratch is an empty directory of this process for what must not outlive it: a
// killed one leaves job secrets there, and the next removes them.
func (j *Journal) Scratch() (dir string, err error) {
	dir = j.path + ".scratch"
	if err = os.RemoveAll(dir); err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("empty scratch directory: %w", err)
	}
	return dir, nil
}

// Records are all records, in a stable order.
func (j *Journal) Records() []Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Record, 0, len(j.state.records))
	for _, r := range j.state.records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Record) int { return byKey(a.Key, b.Key) })
	return out
}

// Put writes a record. One in the phase Gone goes.
func (j *Journal) Put(ctx context.Context, r Record) error {
	return j.commit(ctx, func(s *state) {
		if r.Phase == Gone {
			delete(s.records, r.Key)
			return
		}
		s.records[r.Key] = r
		if known := s.tenants[r.Runner]; r.Tenant != "" && !slices.Contains(known, r.Tenant) {
			s.tenants[r.Runner] = append(slices.Clone(known), r.Tenant)
			slices.Sort(s.tenants[r.Runner])
		}
	})
}

// Introduce writes which runner is behind a short name.
func (j *Journal) Introduce(ctx context.Context, runners ...Runner) error {
	return j.commit(ctx, func(s *state) {
		for _, r := range runners {
			s.runners[r.Short()] = r.URL
		}
	})
}

// SystemID is what coordinators call this installation, the same for the life
// of the state file: a job that waits to be accepted is kept for it alone.
func (j *Journal) SystemID(ctx context.Context) (string, error) {
	var id string
	err := j.commit(ctx, func(s *state) {
		if s.system == "" {
			s.system = "s_" + strings.ToLower(rand.Text()[:12])
		}
		id = s.system
	})
	return id, err
}

// Tenants are the top-level groups whose organisations may still hold hosts of
// the runner, also after their records are gone.
func (j *Journal) Tenants(short string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.state.tenants[short])
}

// Coordinator is where the runner with the short name was registered; empty for
// one that was never introduced.
func (j *Journal) Coordinator(short string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.runners[short]
}

func (j *Journal) commit(ctx context.Context, change func(*state)) error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return errors.New("write state file: it is closed")
	}
	change(j.state)
	if j.next == nil {
		j.next = &batch{done: make(chan struct{})}
	}
	mine := j.next
	if !j.writing {
		j.writing = true
		j.flushes.Go(j.flush)
	}
	j.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return fmt.Errorf("write state file: %w", context.Cause(ctx))
	}
}

// flush writes batch after batch until there is none.
func (j *Journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.next != nil {
		b := j.next
		j.next = nil
		data, err := j.state.encode()
		j.mu.Unlock()
		if err == nil {
			err = j.write(data)
		}
		b.err = err
		close(b.done)
		j.mu.Lock()
	}
	j.writing = false
}

// Close lets go of the file once all writes have ended.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.flushes.Wait()
	if err := j.lock.Unlock(); err != nil {
		return fmt.Errorf("unlock state file: %w", err)
	}
	return nil
}
