package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

// ErrLockLost is the cause when the lock ended under the work: somebody
// removed its container, or the connection to the Engine broke.
var ErrLockLost = errors.New("the stack's lock was lost")

const (
	// dataDir and hostDir are where the lock's container has the stack's data
	// directory and the Engine's own settings.
	dataDir     = "/hepta"
	hostDir     = "/etc/docker"
	hostDirHere = "/host/etc/docker"

	// lockProcesses bounds what runs in the lock's container: cat, and the
	// shells that place files.
	lockProcesses int64 = 256

	// lease is how long an owner works before the lock's container runs: a
	// change that is done by then, and needs no container, starts none.
	lease = 2 * time.Second
	// staleLock is how long a lock may stay created without being started
	// before those who wait take its owner for dead. It is more than the lease.
	staleLock = 5 * time.Second
	// tellAgain is how often who waits is told for whom.
	tellAgain = time.Minute
	// lockPoll is the slow look beside the Engine's events.
	lockPoll = time.Second
	// cleanup bounds what is done after the work itself has ended.
	cleanup = 30 * time.Second
	// moment is how long a failure is looked at for a greater one behind it.
	moment = 500 * time.Millisecond
)

// LockOptions is for Lock.
type LockOptions struct {
	Command string // what those who wait are told: "up", "backup"

	data dataMount
}

// Lock is the exclusive right to change one stack, and the container for its
// files. It is a container with a fixed name: who makes it has the right. For
// its lease it need not run. After that, or as soon as a file is to be written,
// it runs cat on an attached standard input: when its owner dies the
// connection closes, cat ends and the Engine removes it.
type Lock struct {
	e     *Engine
	s     *converge.Stack
	id    string
	until time.Time // end of the lease
	proof string    // of the stack, "" while it has none

	mu    sync.Mutex
	ready chan struct{} // made when the container is being started, closed after that
	// Both are of a start that is over.
	failed error // why the container does not run
	conn   types.HijackedResponse

	lost chan struct{} // closed when the container is found to be gone
	once sync.Once
}

// Lock takes the stack's lock, waiting for whoever holds it. Release gives it
// back; so does the end of the process.
func (e *Engine) Lock(ctx context.Context, s *converge.Stack, opts LockOptions) (*Lock, error) {
	var l *Lock
	err := e.withImage(ctx, s, e.isLocal, func(image string) (err error) {
		if l, err = e.take(ctx, s, opts, image); err != nil {
			return err
		}
		if err = l.identify(ctx); err == nil {
			err = l.startContainer(ctx)
		}
		if err != nil {
			l.Release()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// take makes the lock's container, which is to have the lock for its lease.
func (e *Engine) take(ctx context.Context, s *converge.Stack, opts LockOptions, image string) (*Lock, error) {
	config := &container.Config{
		Image: image, Entrypoint: []string{"cat"}, User: "0:0", StopSignal: "SIGKILL", OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		Labels: map[string]string{
			converge.LabelStack: s.Name, converge.LabelSchema: converge.Schema,
			converge.LabelOwner:   fmt.Sprintf("%s (pid %d)", whoami(), os.Getpid()),
			converge.LabelSince:   time.Now().Format(time.RFC3339),
			converge.LabelCommand: opts.Command,
		},
	}
	pids := lockProcesses
	host := &container.HostConfig{
		AutoRemove: true, NetworkMode: "none", ReadonlyRootfs: true, SecurityOpt: []string{"no-new-privileges:true"},
		// What moving files of every owner takes, from one disk to another too.
		CapDrop: []string{"ALL"}, CapAdd: []string{"CHOWN", "DAC_OVERRIDE", "FOWNER"},
		Resources: container.Resources{PidsLimit: &pids},
	}
	mountData(host, s, opts.data)
	for _, f := range s.Files {
		if strings.HasPrefix(f.Path, hostDir+"/") {
			host.Binds = append(host.Binds, hostDir+":"+hostDirHere)
			break
		}
	}
	var wait lockWait
	for {
		began := time.Now()
		made, err := e.api.ContainerCreate(ctx, config, host, nil, nil, s.LockName())
		if err == nil {
			return &Lock{e: e, s: s, id: made.ID, until: leaseFrom(began, time.Now()), lost: make(chan struct{})}, nil
		}
		if noSource(err) && len(host.Mounts) > 0 {
			if opts.data != dataIfThere {
				return nil, missingData(s)
			}
			host.Mounts = nil
			continue
		}
		if !errdefs.IsConflict(err) {
			return nil, fmt.Errorf("create lock %s: %w", s.LockName(), err)
		}
		if err := e.awaitLock(ctx, s, &wait); err != nil {
			return nil, err
		}
	}
}

// startContainer starts the lock's container, once, with our standard input attached.
// From then on the lock is held until Release, and its container can be used.
func (l *Lock) startContainer(ctx context.Context) error {
	ready, first := l.begin()
	if first {
		l.failed = l.start(ctx)
		close(ready)
		if l.failed != nil {
			close(l.lost)
		}
	}
	select {
	case <-ready:
		return l.failed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin reports whether nobody has begun to start the container before, and what
// is closed when that is over.
func (l *Lock) begin() (ready chan struct{}, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first = l.ready == nil; first {
		l.ready = make(chan struct{})
	}
	return l.ready, first
}

// start starts the container; a call that was made is seen through.
func (l *Lock) start(ctx context.Context) error {
	ctx, free := seeThrough(ctx)
	defer free()
	fail := func(err error) error {
		switch {
		case unfitImage(err):
			return fmt.Errorf("%w: start lock %s: %w", errUnfit, l.s.LockName(), err)
		case errdefs.IsNotFound(err), errdefs.IsConflict(err): // taken away as if we were dead
			return fmt.Errorf("%w: start lock %s: %w", ErrLockLost, l.s.LockName(), err)
		}
		return fmt.Errorf("start lock %s: %w", l.s.LockName(), err)
	}
	// The connection outlives ctx: it is closed by Release.
	conn, err := l.e.api.ContainerAttach(context.WithoutCancel(ctx), l.id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	if err != nil {
		return fail(err)
	}
	if err := l.e.api.ContainerStart(ctx, l.id, container.StartOptions{}); err != nil {
		conn.Close()
		return fail(err)
	}
	l.conn = conn
	go func() {
		defer close(l.lost)
		_, _ = io.Copy(io.Discard, conn.Reader)
	}()
	go l.watch()
	return nil
}

// removeLock removes a lock's container, by force also one that runs.
func (e *Engine) removeLock(ctx context.Context, id string, force bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	err := e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: force, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		e.log.Warn("remove lock", "id", id, "error", err)
	}
}

// Release gives the lock back and returns when nothing of it is left. It may
// be called more than once.
func (l *Lock) Release() {
	l.once.Do(func() {
		ready, first := l.begin()
		if first {
			l.failed = errors.New("the stack's lock was given back")
			close(ready)
		}
		<-ready
		l.e.removeLock(context.Background(), l.id, true)
		if l.failed == nil {
			l.conn.Close()
			<-l.lost
		}
	})
}

// guard gives a context that ends, with the reason as its cause, when the lock
// is lost. It starts the lock's container when the lease ends.
func (l *Lock) guard(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		leased := time.NewTimer(time.Until(l.until))
		defer leased.Stop()
		for {
			select {
			case <-leased.C:
				_ = l.startContainer(ctx) // its failure is a loss
			case <-l.lost:
				cancel(l.loss())
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// stays looks, after something has failed, whether there still are an Engine
// and our lock. An Engine that is told to end fails what is under way for
// reasons of its own, a moment before it goes.
func (l *Lock) stays(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	select {
	case <-l.lost:
		return l.loss()
	case <-time.After(moment):
	}
	_, err := l.e.api.ContainerInspect(ctx, l.id)
	if errdefs.IsNotFound(err) {
		return ErrLockLost
	}
	return err
}

// loss is why there is no lock any more.
func (l *Lock) loss() error {
	return cmp.Or(l.failed, ErrLockLost)
}

// lockWait is what one who waits remembers of the lock that is in the way.
type lockWait struct {
	id      string
	told    time.Time // when it was told last for whom one waits
	created time.Time // when it was first seen created and not started
}

// awaitLock returns when it is worth trying to take the lock again.
func (e *Engine) awaitLock(ctx context.Context, s *converge.Stack, w *lockWait) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Subscribed before looking, so that no end is missed.
	gone, _ := e.api.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "container"),
		filters.Arg("event", "destroy"), filters.Arg("container", s.LockName()))})
	holder, err := e.api.ContainerInspect(ctx, s.LockName())
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return unreachable("look at lock "+s.LockName(), err)
	}
	labels := holder.Config.Labels
	if labels[converge.LabelOwner] == "" || labels[converge.LabelStack] != s.Name {
		return &fault.Error{Op: "lock stack", What: s.Name, Why: fmt.Sprintf("the name %s belongs to a container that is no lock (%s)", s.LockName(), holder.Config.Image),
			Remedy: "Rename or remove that container: " + e.docker("rename", s.LockName(), "other-"+s.LockName())}
	}
	if holder.ID != w.id {
		*w = lockWait{id: holder.ID}
	}
	if holder.State.Status == container.StateCreated {
		switch {
		case w.created.IsZero():
			w.created = time.Now()
		case time.Since(w.created) > staleLock:
			e.log.Info("remove lock that was never started", "owner", labels[converge.LabelOwner])
			e.removeLock(ctx, holder.ID, false) // it may have been started since
			return nil
		}
	}
	if is := holder.State.Status; time.Since(w.told) >= tellAgain && (is == container.StateCreated || is == container.StateRunning || is == container.StatePaused) {
		w.told = time.Now()
		e.sink.Send(progress.Event{State: progress.Info, Kind: "lock", Resource: "lock " + s.LockName(),
			Text: "waiting for " + holderText(labels, w.told) + ". " + e.breakLock(holder.ID)})
	}
	timer := time.NewTimer(lockPoll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return &fault.Error{Op: "wait for", What: holderText(labels, time.Now()), Err: context.Cause(ctx), Remedy: e.breakLock(holder.ID)}
	case <-gone:
	case <-timer.C:
	}
	return nil
}
