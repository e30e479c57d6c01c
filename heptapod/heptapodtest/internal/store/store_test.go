package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func open(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func update(t *testing.T, db *DB, fn func(*Tx)) {
	t.Helper()
	if err := db.Update(func(tx *Tx) error { fn(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestIndexesFollowTheirRecords(t *testing.T) {
	db := open(t, t.TempDir())
	update(t, db, func(tx *Tx) {
		tx.Projects.Put(&Project{Path: "G/P"})
		tx.Jobs.Put(&Job{PipelineID: 7, ProjectID: 1, Status: Pending})
		tx.Jobs.Put(&Job{PipelineID: 8, ProjectID: 1, Status: Running, TokenHash: "h"})
	})
	update(t, db, func(tx *Tx) {
		p := tx.Project("g/p")
		if p == nil || p.ID != 1 || len(slices.Collect(tx.PendingJobs())) != 1 || len(tx.LiveJobs()) != 1 || tx.JobByToken("h").ID != 2 || len(tx.JobsOf(7)) != 1 {
			t.Fatalf("project %+v, pending %v, live %v", p, slices.Collect(tx.PendingJobs()), tx.LiveJobs())
		}
		p.Path = "g/renamed"
		tx.Projects.Put(p)
		j := tx.Jobs.Get(2)
		j.Status = Success
		tx.Jobs.Put(j)
		tx.RemoveJob(1)
	})
	update(t, db, func(tx *Tx) {
		if tx.Project("g/p") != nil || tx.Project("g/renamed") == nil {
			t.Error("the old path still leads to the project")
		}
		if tx.JobByToken("h") != nil || len(tx.LiveJobs()) != 0 || len(slices.Collect(tx.PendingJobs())) != 0 || len(tx.JobsOfProject(1)) != 1 {
			t.Error("a job that is over, or gone, is still found")
		}
		j := &Job{}
		tx.Jobs.Put(j)
		if j.ID != 3 {
			t.Errorf("id %d: ids are never used again", j.ID)
		}
	})
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	db := open(t, t.TempDir())
	broken := errors.New("broken")
	err := db.Update(func(tx *Tx) error {
		tx.Users.Put(&User{Username: "a"})
		return broken
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	err = db.Update(func(tx *Tx) error {
		tx.Users.Put(&User{Username: "a"})
		var spec struct{}
		tx.Spec(99, &spec) // there is none: the transaction fails as a whole
		return nil
	})
	if err == nil {
		t.Error("reading what is not there went unnoticed")
	}
	update(t, db, func(tx *Tx) {
		if tx.User("a") != nil || !tx.Users.Empty() {
			t.Error("a failed update left a user")
		}
	})
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if db, err := Open(dir, false); err == nil {
		db.Close()
		t.Error("one directory was opened twice")
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	for i, want := range []int64{3, 6} {
		if n, err := db.Append(1, []byte("abc")); err != nil || n != want {
			t.Errorf("append %d: %d, %v", i, n, err)
		}
	}
	if n, sum, err := db.TraceSum(1); n != 6 || sum != 0x726e994c || err != nil {
		t.Errorf("sum %d %08x %v", n, sum, err)
	}
	if n, err := db.TraceSize(2); n != 0 || err != nil {
		t.Errorf("no trace: %d, %v", n, err)
	}
	if _, _, err := db.Receive(strings.NewReader("12345"), 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("beyond the limit: %v", err)
	}
	if _, _, err := db.Receive(io.MultiReader(strings.NewReader("x"), broken{}), 4); err == nil {
		t.Error("half an upload was taken")
	}
	name, size, err := db.Receive(strings.NewReader("1234"), 4)
	if err != nil || size != 4 {
		t.Fatal(size, err)
	}
	f, err := db.Artifact("../artifacts/" + name) // only the last part counts
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	f.Close()
	if err != nil || !bytes.Equal(data, []byte("1234")) {
		t.Errorf("artifact %q, %v", data, err)
	}
	kept, _, err := db.Receive(strings.NewReader("kept"), 4)
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *Tx) { tx.Jobs.Put(&Job{Artifacts: []Artifact{{File: kept}}}) })
	if err := db.DropOrphans(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Artifact(name); err == nil {
		t.Error("an artifact of nobody is left")
	}
	if f, err := db.Artifact(kept); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	left, err := os.ReadDir(filepath.Join(dir, "incoming"))
	if err != nil || len(left) != 0 {
		t.Errorf("uploads left: %v, %v", left, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
