package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func put(dir, text string) (string, error) {
	file := filepath.Join(dir, "made")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

func TestArtefactIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var made atomic.Int32
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			s := &store{dir} // as many processes would
			file, err := s.artefact(t.Context(), "thing", "sum", func(dir string) (string, error) {
				made.Add(1)
				time.Sleep(20 * time.Millisecond)
				return put(dir, "content")
			})
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(file); err != nil || string(b) != "content" {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}
	work.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

func TestOlderArtefactsGoAfterAWhile(t *testing.T) {
	s := &store{t.TempDir()}
	dir := filepath.Join(s.dir, "thing")
	for i := range 3 {
		if _, err := s.artefact(t.Context(), "thing", fmt.Sprint(i), func(dir string) (string, error) { return put(dir, "x") }); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			old := time.Now().Add(-2 * grace)
			if err := os.Chtimes(filepath.Join(dir, "0"), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Name() != "1" || files[1].Name() != "2" {
		t.Errorf("left: %v, want the last two", files)
	}
}

func TestFailedArtefactLeavesNothing(t *testing.T) {
	s := &store{t.TempDir()}
	broken := errors.New("broken")
	// What a killed maker left is cleared by the next one.
	if err := os.MkdirAll(filepath.Join(s.dir, "thing", ".making-killed"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := s.artefact(t.Context(), "thing", "sum", func(dir string) (string, error) {
		if _, err := put(dir, "half"); err != nil {
			return "", err
		}
		return "", broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if files, err := os.ReadDir(filepath.Join(s.dir, "thing")); err != nil || len(files) != 0 {
		t.Errorf("left: %v, %v", files, err)
	}
}

func TestWaitingForALockEnds(t *testing.T) {
	s := &store{t.TempDir()}
	unlock, err := s.lock(t.Context(), "thing")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (&store{s.dir}).lock(ctx, "thing"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "thing") {
		t.Errorf("got %v", err)
	}
}
