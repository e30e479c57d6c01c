package store

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

func (d *DB) trace(job int64) string {
	return filepath.Join(d.dir, "traces", strconv.FormatInt(job, 10)+".log")
}

// TraceSize is the length of what was appended to a job's trace.
func (d *DB) TraceSize(job int64) (int64, error) {
	st, err := os.Stat(d.trace(job))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read trace of job %d: %w", job, err)
	}
	return st.Size(), nil
}

// Append adds to a job's trace and returns its new length. Callers keep two
// appends to one trace apart.
func (d *DB) Append(job int64, data []byte) (int64, error) {
	f, err := os.OpenFile(d.trace(job), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("append to trace of job %d: %w", job, err)
	}
	defer f.Close()
	size, err := d.append(f, data)
	if err != nil {
		return 0, fmt.Errorf("append to trace of job %d: %w", job, err)
	}
	return size, nil
}

// append writes all of data or, where the disk lets it, nothing.
func (d *DB) append(f *os.File, data []byte) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if _, err := f.Write(data); err != nil {
		return 0, errors.Join(err, f.Truncate(st.Size()))
	}
	if d.sync {
		if err := f.Sync(); err != nil {
			return 0, err
		}
		if st.Size() == 0 {
			// The file's name is new as well.
			if err := syncDir(filepath.Dir(f.Name())); err != nil {
				return 0, err
			}
		}
	}
	return st.Size() + int64(len(data)), nil
}

// Trace opens a job's trace; an empty one when there is none.
func (d *DB) Trace(job int64) (io.ReadCloser, error) {
	f, err := os.Open(d.trace(job))
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(eof{}), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read trace of job %d: %w", job, err)
	}
	return f, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// DropTrace empties a job's trace.
func (d *DB) DropTrace(job int64) error {
	if err := os.Remove(d.trace(job)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop trace of job %d: %w", job, err)
	}
	return nil
}

// TraceSum returns the length and the IEEE CRC-32 of a job's trace.
func (d *DB) TraceSum(job int64) (int64, uint32, error) {
	f, err := d.Trace(job)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	h := crc32.NewIEEE()
	n, err := io.Copy(h, f)
	if err != nil {
		return 0, 0, fmt.Errorf("read trace of job %d: %w", job, err)
	}
	return n, h.Sum32(), nil
}

// ErrTooLarge is returned by Receive when there is more than the limit.
var ErrTooLarge = errors.New("artifact too large")

// Receive stores a file of at most limit bytes and returns its name for Artifact.File.
func (d *DB) Receive(r io.Reader, limit int64) (name string, size int64, err error) {
	f, err := os.CreateTemp(filepath.Join(d.dir, "incoming"), "upload-")
	if err != nil {
		return "", 0, fmt.Errorf("receive artifact: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	size, err = io.Copy(f, io.LimitReader(r, limit+1))
	if err != nil {
		return "", 0, fmt.Errorf("receive artifact: %w", err)
	}
	if size > limit {
		return "", 0, ErrTooLarge
	}
	if d.sync {
		if err := f.Sync(); err != nil {
			return "", 0, fmt.Errorf("receive artifact: %w", err)
		}
	}
	name = filepath.Base(f.Name())
	if err := os.Rename(f.Name(), filepath.Join(d.dir, "artifacts", name)); err != nil {
		return "", 0, fmt.Errorf("receive artifact: %w", err)
	}
	if d.sync {
		if err := syncDir(filepath.Join(d.dir, "artifacts")); err != nil {
			return "", 0, fmt.Errorf("receive artifact: %w", err)
		}
	}
	return name, size, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Artifact opens a received file.
func (d *DB) Artifact(name string) (*os.File, error) {
	f, err := os.Open(filepath.Join(d.dir, "artifacts", filepath.Base(name)))
	if err != nil {
		return nil, fmt.Errorf("read artifact: %w", err)
	}
	return f, nil
}

// DropOrphans removes the artifacts that no job has: of uploads that were cut
// off before they were acknowledged, or of jobs that went. No upload is under
// way meanwhile.
func (d *DB) DropOrphans() error {
	dir := filepath.Join(d.dir, "artifacts")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return err
	}
	owned := map[string]bool{}
	err = d.View(func(tx *Tx) error {
		for _, j := range tx.Jobs.All() {
			for _, a := range j.Artifacts {
				owned[a.File] = true
			}
		}
		return nil
	})
	for _, e := range entries {
		if err == nil && !owned[e.Name()] {
			err = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return err
}

// DropArtifact removes a received file.
func (d *DB) DropArtifact(name string) error {
	err := os.Remove(filepath.Join(d.dir, "artifacts", filepath.Base(name)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop artifact: %w", err)
	}
	return nil
}
