package paas

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/heptaup/hepta/internal/fault"
)

// life cares for one job until nothing is left of it, or until the end of the
// manager. Its own goroutine alone touches the record.
type life struct {
	*run
	record Record
	// resumed: the record was read from the state file.
	resumed bool
	// doubt: a host may exist that the record does not know of, because it was
	// asked for and no answer came, or by an earlier process.
	doubt bool
	// unsaved: the record is not on disk yet.
	unsaved bool
	news    chan Event // what the heartbeat has learnt
	// accepted is when the coordinator last said that the job is live.
	accepted atomic.Pointer[time.Time]
	began    time.Time // of the launch, as far as is known
}

// lead takes step after step. Each is on disk before its action is begun.
func (l *life) lead() {
	l.began = time.Now()
	stop := l.beat()
	defer func() { stop() }()
	event := Event{Kind: Resumed}
	for {
		next, action := Step(l.record, event)
		if moved := next.Phase != l.record.Phase; moved || l.unsaved {
			if !l.write(next) {
				return
			}
			l.unsaved = false
			if moved {
				l.log(next)
			}
		}
		l.record = next
		if !next.Phase.Provisioning() {
			stop()
		}
		switch action {
		case Forget:
			return
		case Nothing: // it came late
			action = due(next)
		}
		event = l.act(action)
		if l.ctx.Err() != nil {
			// What was learnt is kept, where that can be done at once.
			if next, _ := Step(l.record, event); event.Kind != "" && next.Phase != l.record.Phase {
				l.write(next)
			}
			return
		}
		event = l.merge(event)
	}
}

// merge lets news of the coordinator go before the end of an action. A host
// that was made meanwhile must be known before it can be removed.
func (l *life) merge(e Event) Event {
	select {
	case news := <-l.news:
		if e.Kind == HostMade || e.Kind == HandedOver {
			next, _ := Step(l.record, e)
			if !l.write(next) {
				return e
			}
			l.record = next
		}
		return news
	default:
		return e
	}
}

// beat tells the coordinator while a host is made that somebody cares for the
// job, and hears when there is no more need to. A job that is live keeps for
// longer than one that waits to be accepted.
func (l *life) beat() (stop func()) {
	if !l.record.Phase.Provisioning() {
		return func() {}
	}
	done := make(chan struct{})
	r := l.record
	l.work.Go(func() {
		pause, failures := l.Pace.Heartbeat, 0
		for l.until(done, pause) {
			at := l.accepted.Load()
			if at != nil && time.Since(*at) < 3*l.Pace.Heartbeat {
				pause = 3*l.Pace.Heartbeat - time.Since(*at)
				continue
			}
			standing, err := l.lane(r.Runner).coordinator.Heartbeat(l.calls, r, at == nil)
			pause = l.Pace.Heartbeat
			if err != nil {
				failures++
				pause = min(pause, l.Pace.backoff(failures, err))
				continue
			}
			failures = 0
			switch standing {
			case Over:
				select {
				case l.news <- Event{Kind: Ended}:
				case <-done:
				case <-l.ctx.Done():
				}
				return
			case Canceling:
				select {
				case l.news <- Event{Kind: Canceled}:
				default:
				}
			case Live:
				l.acceptedNow()
			}
		}
	})
	closed := false
	return func() {
		if !closed {
			closed = true
			close(done)
		}
	}
}

// acceptedNow remembers that the coordinator says that the job is live.
func (l *life) acceptedNow() {
	now := time.Now()
	l.accepted.Store(&now)
}

// until waits; false when done, or the end, came first.
func (l *life) until(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
	case <-l.ctx.Done():
	}
	return false
}

// attempt makes calls until one succeeds. Between two it listens: when there is
// news, or the end has come, or patience (0: endless) is over, or an error is
// for good, done is false and the event says what to do instead. trouble is
// told every failure.
func (l *life) attempt(what string, patience int, call func() error) (e Event, done bool) {
	for failures := 1; ; failures++ {
		err := call()
		if err == nil {
			return Event{}, true
		}
		if l.ctx.Err() != nil {
			return Event{}, false
		}
		lane := l.lane(l.record.Runner)
		l.counts.add(lane.Name, "call_errors")
		lane.log.Warn(what+" failed", "job", l.record.Job, "attempt", failures, "error", err)
		if patience > 0 && (failures >= patience || refused(err)) {
			return Event{Kind: LaunchFailed, Text: fmt.Sprintf("No host could be had for this job: %s", fault.Describe(err))}, false
		}
		if e, there := l.pause(l.Pace.backoff(failures, err)); there {
			return e, false
		}
	}
}

// refused reports whether an error is for good.
func refused(err error) bool {
	var status *StatusError
	var wish *wishError
	var plain *plainPushError
	return errors.As(err, &status) && !status.Temporary() || errors.As(err, &wish) || errors.As(err, &plain)
}

// wishError is something that the job asks for and cannot have.
type wishError struct{ error }

func (e *wishError) Unwrap() error { return e.error }

// pause waits. There is an event when there was news, and an empty one when the
// end came.
func (l *life) pause(d time.Duration) (e Event, there bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return Event{}, false
	case e := <-l.news:
		return e, true
	case <-l.ctx.Done():
		return Event{}, true
	}
}

// log tells people of a phase.
func (l *life) log(r Record) {
	lane := l.lane(r.Runner)
	attrs := []any{"job", r.Job}
	if r.Host != nil {
		attrs = append(attrs, "host", r.Host.ID)
	}
	if r.Failure != "" && r.Phase == Failing {
		attrs = append(attrs, "failure", r.Failure)
	}
	lane.log.Info("job is "+string(r.Phase), attrs...)
	switch {
	case r.Phase == Running:
		l.counts.took(lane.Name, time.Since(l.began))
	case r.Phase == Failing:
		l.counts.add(lane.Name, "failed_launches")
	case r.Phase == Gone:
		l.counts.add(lane.Name, "jobs_done")
	}
}
