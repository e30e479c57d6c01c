package heptapodtest

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
)

// signal lets many wait until something may have changed.
type signal struct {
	mu   sync.Mutex
	now  *atomic.Bool // settled
	name string
	n    int64
	boot string // tells the counts of two lives of a forge apart
	bell chan struct{}
}

func newSignal() *signal {
	s := &signal{boot: random(8)}
	s.turn()
	return s
}

func (s *signal) turn() {
	s.name, s.now, s.bell = s.boot+strconv.FormatInt(s.n, 10), new(atomic.Bool), make(chan struct{})
	s.n++
}

// ring wakes all who wait.
func (s *signal) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.bell)
	s.turn()
}

// moment is the time between two rings.
type moment struct {
	name string
	next <-chan struct{} // closed at the next ring
	done *atomic.Bool
}

func (s *signal) mark() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return moment{s.name, s.bell, s.now}
}

// settle tells all others who woke in this moment that there is nothing left.
func (m moment) settle() { m.done.Store(true) }

func (m moment) settled() bool { return m.done.Load() }

// await calls done until it says yes or fails, anew after each ring.
func (s *signal) await(ctx context.Context, done func() (bool, error)) error {
	for {
		now := s.mark()
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-now.next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// edits counts how often each runner was changed, by the hash of its token.
type edits struct {
	mu sync.Mutex
	n  map[string]int
}

func (e *edits) of(runner string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n[runner]
}

func (e *edits) add(runner string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n == nil {
		e.n = map[string]int{}
	}
	e.n[runner]++
}

// keyed is one lock a key.
type keyed struct {
	mu    sync.Mutex
	locks map[int64]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

// lock waits for the key and returns what gives it back.
func (k *keyed) lock(id int64) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[int64]*keyedLock{}
	}
	l := k.locks[id]
	if l == nil {
		l = &keyedLock{}
		k.locks[id] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, id)
		}
	}
}
