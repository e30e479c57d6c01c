package engine

import (
	"context"
	"time"

	"github.com/containerd/errdefs"
)

const (
	// watchEvery is the time between two looks whether the lock is still ours.
	watchEvery = 10 * time.Second
	// callsInLease bounds how slow an Engine may answer one who works by a lease:
	// it has to take so many calls, one after the other.
	callsInLease = 4
)

// leaseFrom is when a lease ends that was asked for at one time and given at
// another. A call that is begun within the lease must have arrived before
// others take the owner for dead, so an Engine that is slow to answer, over ssh
// for instance, gives a shorter one, or none.
func leaseFrom(asked, given time.Time) time.Time {
	return asked.Add(lease - callsInLease*given.Sub(asked))
}

// leased reports whether the lease lasts, by either clock: the one that counts
// up stands still while a machine sleeps, the other one may be set back.
func (l *Lock) leased() bool {
	now := time.Now()
	return now.Before(l.until) && now.Round(0).Before(l.until.Round(0))
}

// held returns nil when the lock is sure to be ours: within the lease at once,
// else when its container runs and is not known to be gone.
func (l *Lock) held(ctx context.Context) error {
	if l.leased() {
		return nil
	}
	if err := l.startContainer(ctx); err != nil {
		return err
	}
	select {
	case <-l.lost:
		return l.loss()
	default:
		return nil
	}
}

// watch looks again and again whether the lock's container still runs, until
// the connection to it is closed, and closes it where the container is gone: a
// connection whose other end has given up may look alive here for long.
func (l *Lock) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.lost:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), cleanup)
		seen, err := l.e.api.ContainerInspect(ctx, l.id)
		cancel()
		if errdefs.IsNotFound(err) || err == nil && seen.State != nil && !seen.State.Running && !seen.State.Paused {
			l.e.log.Warn("the lock's container is gone", "id", l.id)
			l.conn.Close()
			return
		}
	}
}
