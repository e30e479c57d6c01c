// Package store keeps what the forge knows: one bbolt file for the records,
// plain files for traces and artifacts.
//
// A write is acknowledged by Update's return; with Sync nothing acknowledged is
// lost by a kill at any moment.
package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// DB is an open store. It is safe for concurrent use.
type DB struct {
	bolt *bbolt.DB
	dir  string
	sync bool
}

// Open opens or makes the store in dir. Without sync, acknowledged writes
// survive the end of the process but not that of the machine.
func Open(dir string, sync bool) (*DB, error) {
	for _, d := range []string{dir, filepath.Join(dir, "traces"), filepath.Join(dir, "artifacts"), filepath.Join(dir, "incoming")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	// Uploads that were under way when the process ended were never acknowledged.
	// One that cannot be removed takes room and is in nobody's way.
	left, _ := filepath.Glob(filepath.Join(dir, "incoming", "*"))
	for _, f := range left {
		_ = os.Remove(f)
	}
	b, err := bbolt.Open(filepath.Join(dir, "forge.db"), 0o600, &bbolt.Options{
		Timeout: time.Second, NoSync: !sync, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("open store %s: another process has it open; end that one first: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	db := &DB{bolt: b, dir: dir, sync: sync}
	err = b.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return db, nil
}

// Close waits for transactions under way and closes the store.
func (d *DB) Close() error { return d.bolt.Close() }

// View runs fn on a consistent state that does not change under it.
func (d *DB) View(fn func(*Tx) error) error {
	return d.bolt.View(func(b *bbolt.Tx) error { return run(b, fn) })
}

// Update runs fn alone; what it wrote is kept only when it returns nil.
func (d *DB) Update(fn func(*Tx) error) error {
	return d.bolt.Update(func(b *bbolt.Tx) error { return run(b, fn) })
}

func run(b *bbolt.Tx, fn func(*Tx) error) error {
	tx := newTx(b)
	if err := fn(tx); err != nil {
		return err
	}
	return tx.failure
}

// Tx is one transaction. Reading what cannot be decoded and writing what cannot
// be stored are remembered: the transaction then fails as a whole.
type Tx struct {
	bolt    *bbolt.Tx
	failure error
	queued  bool

	Users        Table[User]
	Tokens       Table[Token]
	Keys         Table[SSHKey]
	DeployTokens Table[DeployToken]
	Groups       Table[Group]
	Projects     Table[Project]
	Runners      Table[Runner]
	Managers     Table[Manager]
	Pipelines    Table[Pipeline]
	Jobs         Table[Job]
}

func buckets() []string {
	return []string{
		"users", "tokens", "deploy_tokens", "keys", "groups", "projects", "runners", "managers", "pipelines", "jobs",
		"specs", "heads", "index", "children", "settings",
	}
}

func newTx(b *bbolt.Tx) *Tx {
	tx := &Tx{bolt: b}
	tx.Users = table(tx, "users", func(u *User) *int64 { return &u.ID }, indexUser)
	tx.Tokens = table(tx, "tokens", func(t *Token) *int64 { return &t.ID }, indexToken)
	tx.DeployTokens = table(tx, "deploy_tokens", func(t *DeployToken) *int64 { return &t.ID }, indexDeployToken)
	tx.Keys = table(tx, "keys", func(k *SSHKey) *int64 { return &k.ID }, indexKey)
	tx.Groups = table(tx, "groups", func(g *Group) *int64 { return &g.ID }, indexGroup)
	tx.Projects = table(tx, "projects", func(p *Project) *int64 { return &p.ID }, indexProject)
	tx.Runners = table(tx, "runners", func(r *Runner) *int64 { return &r.ID }, indexRunner)
	tx.Managers = table(tx, "managers", func(m *Manager) *int64 { return &m.ID }, indexManager)
	tx.Pipelines = table(tx, "pipelines", func(p *Pipeline) *int64 { return &p.ID }, indexPipeline)
	tx.Jobs = table(tx, "jobs", func(j *Job) *int64 { return &j.ID }, indexJob)
	return tx
}

// Queued reports whether the transaction stored a job that waits for a runner.
func (tx *Tx) Queued() bool { return tx.queued }

func (tx *Tx) fail(err error) {
	if tx.failure == nil && err != nil {
		tx.failure = err
	}
}

// Table is the records of one kind, ordered by id.
type Table[T any] struct {
	tx     *Tx
	name   string
	bucket *bbolt.Bucket
	id     func(*T) *int64
	index  func(*T) []entry
}

func table[T any](tx *Tx, name string, id func(*T) *int64, index func(*T) []entry) Table[T] {
	return Table[T]{tx, name, tx.bolt.Bucket([]byte(name)), id, index}
}

// Get returns the record, nil when there is none.
func (t Table[T]) Get(id int64) *T { return t.decode(t.bucket.Get(key(id))) }

// All returns every record in the order of ids.
func (t Table[T]) All() []*T {
	var all []*T
	c := t.bucket.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if r := t.decode(v); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// Empty reports whether there is no record.
func (t Table[T]) Empty() bool {
	k, _ := t.bucket.Cursor().First()
	return k == nil
}

// Put stores the record; one without id gets the next one, which no record
// ever had.
func (t Table[T]) Put(r *T) {
	id := t.id(r)
	var before []entry
	if *id == 0 {
		n, err := t.bucket.NextSequence()
		t.tx.fail(err)
		*id = int64(n)
	} else if old := t.Get(*id); old != nil {
		before = t.index(old)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.tx.fail(fmt.Errorf("encode %s %d: %w", t.name, *id, err))
		return
	}
	if err := t.bucket.Put(key(*id), data); err != nil {
		t.tx.fail(fmt.Errorf("store %s %d: %w", t.name, *id, err))
	}
	t.tx.reindex(before, t.index(r))
}

// Delete forgets the record and its index entries.
func (t Table[T]) Delete(id int64) {
	if old := t.Get(id); old != nil {
		t.tx.reindex(t.index(old), nil)
		t.tx.fail(t.bucket.Delete(key(id)))
	}
}

func (t Table[T]) decode(data []byte) *T {
	if data == nil {
		return nil
	}
	r := new(T)
	if err := json.Unmarshal(data, r); err != nil {
		t.tx.fail(fmt.Errorf("decode %s: %w", t.name, err))
		return nil
	}
	return r
}

func key(id int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

func unkey(k []byte) int64 { return int64(binary.BigEndian.Uint64(k)) }
