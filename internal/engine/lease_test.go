package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

// leased takes the lock of s on a fake.
func leased(t *testing.T, f *fake, s *converge.Stack) *Lock {
	t.Helper()
	l, err := New(f, nil, nil).take(t.Context(), s, LockOptions{Command: "up"}, "a:1")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What is done within the lease, and writes no file, starts no container for
// the lock.
func TestLeaseIsEnough(t *testing.T) {
	f := newFake()
	s, o := replacing("a")
	l := leased(t, f, s)
	if err := l.execute(t.Context(), o, planned(t, s, o)); err != nil {
		t.Fatal(err)
	}
	l.Release()
	l.Release()
	if diff := cmp.Diff([]string{"create s-lock", "remove id-s-lock"}, f.order("create s-lock", "attach", "start id-s-lock", "remove id-s-lock")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// Whoever works longer holds the lock by a container that runs, and no further
// call is begun before it does.
func TestLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, o := replacing("a")
		slow, starting := make(chan struct{}), make(chan struct{})
		f.hold["stop old-a"], f.hold["start id-s-lock"] = slow, starting
		l := leased(t, f, s)
		done := make(chan error)
		go func() { done <- l.execute(t.Context(), o, planned(t, s, o)) }()
		time.Sleep(lease - time.Nanosecond)
		synctest.Wait()
		if f.did("start id-s-lock") {
			t.Error("the lock's container is started within the lease")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !f.did("start id-s-lock") {
			t.Error("the lock's container is not started at the end of the lease")
		}
		close(slow)
		synctest.Wait()
		if f.did("start id-s-a_next") {
			t.Error("a call was begun after the lease without a lock")
		}
		close(starting)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.Release()
	})
}

func TestFilesNeedHands(t *testing.T) {
	f := newFake()
	s := &converge.Stack{Name: "s", Data: "/d", Files: []converge.File{{Path: "a/f", Content: []byte("x")}}}
	o := &converge.Observed{}
	l := leased(t, f, s)
	if err := l.execute(t.Context(), o, planned(t, s, o)); err != nil {
		t.Fatal(err)
	}
	l.Release()
	if diff := cmp.Diff([]string{"attach id-s-lock", "start id-s-lock", "put id-s-lock /hepta"}, f.order("attach", "start", "put")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// A lease that somebody has taken for dead ends the work, and nothing is
// undone any more: it is theirs to do.
func TestLeaseLost(t *testing.T) {
	for call, cause := range map[string]error{
		"attach id-s-lock": fmt.Errorf("no such container: %w", errdefs.ErrNotFound),
		"start id-s-lock":  fmt.Errorf("container is marked for removal and cannot be started: %w", errdefs.ErrConflict),
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			s, o := replacing("a")
			f.fail[call] = cause
			slow := make(chan struct{})
			f.hold["stop old-a"] = slow
			l := leased(t, f, s)
			done := make(chan error)
			go func() { done <- l.execute(t.Context(), o, planned(t, s, o)) }()
			time.Sleep(lease)
			synctest.Wait()
			close(slow)
			if err := <-done; !errors.Is(err, ErrLockLost) {
				t.Errorf("error is %v", err)
			}
			l.Release()
			if f.did("start id-s-a_next") || f.did("start old-a") {
				t.Errorf("calls without the lock: %q", f.order("start", "stop", "remove"))
			}
		})
	}
}

// An image that turns out to be unfit is followed by another one.
func TestLockTriesImages(t *testing.T) {
	f := newFake()
	s := &converge.Stack{Name: "s", Containers: []converge.Container{service("a"), service("b"), service("a")}}
	var tried []string
	err := New(f, nil, nil).withImage(t.Context(), s, New(f, nil, nil).isLocal, func(image string) error {
		tried = append(tried, image)
		if image == "a:1" {
			return fmt.Errorf("work: %w", errUnfit)
		}
		return nil
	})
	if err != nil || !slices.Equal(tried, []string{"a:1", "b:1"}) {
		t.Errorf("tried %q, %v", tried, err)
	}
}

// The image of the service that the stack names for it is the first that the
// lock is tried with.
func TestLockImageOfTheNamedService(t *testing.T) {
	s := &converge.Stack{Name: "s", LockService: "forge", Containers: []converge.Container{
		{Service: "proxy", Image: "proxy:1"}, {Service: "forge", Image: "forge:1"}, {Service: "runner", Image: "runner:1"}}}
	isLocal := func(context.Context, string) (bool, error) { return true, nil }
	got, err := New(nil, nil, nil).lockImages(t.Context(), s, isLocal)
	if want := []string{"forge:1", "proxy:1", "runner:1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
