package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

const (
	// evidence is how many log lines of a failed container are shown.
	evidence = 20
	// readyPoll is the slow look beside the Engine's events.
	readyPoll = 2 * time.Second
	// checkPoll is the pause between two tries of Ready.Check.
	checkPoll = time.Second
	// crashes is how many restarts during one wait are taken for a loop.
	crashes = 2
	// killed is the exit code of what SIGKILL ends.
	killed = 137
)

// ReadyTimeout is how long a container may take: what its Ready says, or what
// its healthcheck allows, computed with the Engine's own defaults.
func ReadyTimeout(c *converge.Container) time.Duration {
	if c.Ready.Timeout > 0 {
		return c.Ready.Timeout
	}
	const grace = 30 * time.Second
	h := c.Health
	if h == nil {
		return c.Ready.SettleTime() + grace
	}
	interval, limit := cmp.Or(h.Interval, 30*time.Second), cmp.Or(h.Timeout, 30*time.Second)
	return h.StartPeriod + time.Duration(cmp.Or(h.Retries, 3))*(interval+limit) + grace
}

// WaitReady returns when the container called name, which is described by c,
// is ready. It looks at once, then follows the Engine's events. A container
// that ends, is out of memory or restarts over and over fails at once, with
// its last log lines in the error.
func (l *Lock) WaitReady(ctx context.Context, name string, c *converge.Container) error {
	op := converge.Operation{Kind: converge.WaitContainer, Resource: "container " + c.Name, Container: c}
	return l.e.waitReady(ctx, name, op, host{l: l, op: op, find: l.container})
}

func (e *Engine) waitReady(ctx context.Context, id string, op converge.Operation, h converge.Host) error {
	c, limit := op.Container, ReadyTimeout(op.Container)
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	var progressed atomic.Bool
	err := e.waitHealthy(bounded, id, op, func(started time.Time) {
		if c.Ready.Phase == nil && c.Ready.Progress == nil {
			return
		}
		go e.watchLog(bounded, id, op, started, func() {
			progressed.Store(true)
			timer.Reset(limit)
		})
	})
	if err == nil && c.Ready.Check != nil {
		err = e.waitCheck(bounded, id, op, h)
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		why := "not ready after "
		if progressed.Load() {
			why = "not ready, and no progress in its log for "
		}
		why += limit.Round(time.Second).String() + ": "
		return &fault.Error{Op: string(op.Kind), What: op.Name(), Why: why + c.Hidden(reason(err)) + c.Hidden(e.evidence(ctx, id, time.Time{})),
			Remedy: "See its logs: hepta logs " + c.Service + ". If it only needs more time, run hepta up again.", Err: errors.Join(context.DeadlineExceeded, err)}
	}
	return err
}

// reason is what was amiss when the time was up.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Why != "" {
		return f.Why
	}
	return err.Error()
}

// waitHealthy returns once the container is healthy, or has run long enough
// where it has no healthcheck. It calls waits, with the time of the container's
// start, when that is not so at once.
func (e *Engine) waitHealthy(ctx context.Context, id string, op converge.Operation, waits func(started time.Time)) error {
	c := op.Container
	var changes <-chan events.Message
	var broken <-chan error
	since, started, restarts, heard := time.Time{}, "", -1, ending{}
	missing, doubted := "it was not seen", false
	for first := true; ; {
		seen, err := e.api.ContainerInspect(ctx, id)
		if err != nil {
			if ctx.Err() != nil {
				return &fault.Error{Why: missing, Err: context.Cause(ctx)}
			}
			return fmt.Errorf("look at container %s: %w", c.Name, err)
		}
		if restarts < 0 {
			restarts = seen.RestartCount
		}
		if why, remedy := failure(seen, restarts, heard); why != "" {
			// An Engine may tell of the want of memory after the end that it caused.
			if seen.State.ExitCode == killed && !seen.State.OOMKilled && !heard.memory && !doubted && sleep(ctx, checkPoll) == nil {
				doubted = true
				continue
			}
			return &fault.Error{Op: string(op.Kind), What: op.Name(), Why: why + c.Hidden(e.evidence(ctx, id, lastEnd(seen))), Remedy: remedy}
		}
		var pause time.Duration
		pause, missing = readyPoll, "it is "+string(seen.State.Status)
		switch {
		case !seen.State.Running || seen.State.Restarting:
			since = time.Time{}
		case seen.State.Health != nil && seen.State.Health.Status == container.Healthy:
			return nil
		case seen.State.Health != nil && seen.State.Health.Status != container.NoHealthcheck:
			missing = "its healthcheck says " + seen.State.Health.Status + lastProbe(seen.State.Health)
		default:
			if since.IsZero() || started != seen.State.StartedAt {
				since, started = time.Now(), seen.State.StartedAt
			}
			left := c.Ready.SettleTime() - time.Since(since)
			if left <= 0 {
				return nil
			}
			pause, missing = min(pause, left), "it has not run for "+c.Ready.SettleTime().String()
		}
		if first { // what has changed before the events are followed is seen by the next look
			waits(startOf(seen))
			changes, broken = e.api.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "container"), filters.Arg("container", id))})
			first = false
			continue
		}
		if heard.memory {
			missing += "; it has run out of memory"
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return &fault.Error{Why: missing, Err: context.Cause(ctx)}
		case change := <-changes:
			heard.listen(change)
		case <-broken: // the slow look goes on without events
			changes, broken = nil, nil
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ending is what has been heard of the ends of a container that may run again.
type ending struct {
	code   string // exit code of its last life
	memory bool   // one of its processes was killed for want of memory
}

func (d *ending) listen(change events.Message) {
	switch change.Action {
	case events.ActionDie:
		d.code = change.Actor.Attributes["exitCode"]
	case events.ActionOOM:
		d.memory = true
	}
}

// lastProbe is what the healthcheck printed last.
func lastProbe(h *container.Health) string {
	for i := len(h.Log) - 1; i >= 0; i-- {
		if text := strings.TrimSpace(h.Log[i].Output); text != "" {
			return " (" + tail(text, 1) + ")"
		}
	}
	return ""
}

// failure says why a container will not get ready and what to do, or "". heard
// is of its last life: one that runs again shows nothing of it.
func failure(seen container.InspectResponse, restarts int, heard ending) (why, remedy string) {
	const (
		repair = "Repair what its log complains about and run hepta up again."
		more   = "Let it have more memory, in hepta.yaml or on the Docker host, or less to do, and run hepta up again."
	)
	s := seen.State
	switch {
	case (s.OOMKilled || heard.memory && s.ExitCode == killed) && !s.Running:
		return "it ran out of memory" + limit(seen), more
	case s.Status == container.StateExited || s.Status == container.StateDead:
		if s.Error != "" {
			return fmt.Sprintf("it ended with exit code %d: %s", s.ExitCode, s.Error), repair
		}
		return fmt.Sprintf("it ended with exit code %d", s.ExitCode), repair
	case seen.RestartCount >= restarts+crashes:
		if heard.memory || s.OOMKilled {
			return "it runs out of memory over and over" + limit(seen), more
		}
		if !s.Running || s.Restarting {
			heard.code = fmt.Sprint(s.ExitCode)
		}
		if heard.code == "" {
			return "it ends over and over", repair
		}
		return "it ends over and over, last with exit code " + heard.code, repair
	}
	return "", ""
}

// limit is how much memory a container may have, in words.
func limit(seen container.InspectResponse) string {
	if seen.HostConfig == nil || seen.HostConfig.Memory == 0 {
		return ": the Docker host has no more"
	}
	return fmt.Sprintf(": its limit is %d MiB", seen.HostConfig.Memory>>20)
}

// waitCheck repeats Ready.Check until it succeeds, gives up or the container is gone.
func (e *Engine) waitCheck(ctx context.Context, id string, op converge.Operation, h converge.Host) error {
	c := op.Container
	for {
		err := c.Ready.Check(ctx, h)
		if err == nil || errors.Is(err, converge.ErrHopeless) {
			return err
		}
		seen, look := e.api.ContainerInspect(ctx, id)
		if errdefs.IsNotFound(look) {
			return fmt.Errorf("container %s is gone: %w", c.Name, err)
		}
		if look == nil {
			if why, remedy := failure(seen, seen.RestartCount, ending{}); why != "" {
				return &fault.Error{Op: string(op.Kind), What: op.Name(), Why: why + c.Hidden(e.evidence(ctx, id, lastEnd(seen))),
					Remedy: remedy, Err: err}
			}
		}
		if sleep(ctx, checkPoll) != nil {
			return err
		}
	}
}

// startOf is when the present life of a container began; zero when unknown.
func startOf(seen container.InspectResponse) time.Time {
	began, err := time.Parse(time.RFC3339Nano, seen.State.StartedAt)
	if err != nil {
		return time.Time{}
	}
	return began
}

// watchLog tells people which phase of its start a container's log has reached,
// and calls progress for each line that shows that the start goes on.
func (e *Engine) watchLog(ctx context.Context, id string, op converge.Operation, started time.Time, progressed func()) {
	last, ready := "", op.Container.Ready
	if !started.IsZero() {
		started = started.Add(-time.Second) // an Engine notes the start after the first lines
	}
	_ = e.follow(ctx, id, LogOptions{Follow: true, Since: started, Tail: "200"}, func(line string) {
		if ready.Progress != nil && ready.Progress(line) {
			progressed()
		}
		if ready.Phase == nil {
			return
		}
		if phase := ready.Phase(line); phase != "" && phase != last {
			last = phase
			e.sink.Send(event(op, progress.Waiting, phase))
		}
	})
}

// lastEnd is when the life of a container began that follows the one that
// failed; zero while none has begun.
func lastEnd(seen container.InspectResponse) time.Time {
	if !seen.State.Running || seen.State.Restarting {
		return time.Time{}
	}
	return startOf(seen)
}

// evidence is a container's last log lines before until (zero: up to now) as
// the end of an explanation.
func (e *Engine) evidence(ctx context.Context, id string, until time.Time) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	var lines []string
	opts := LogOptions{Tail: fmt.Sprint(evidence), until: until}
	if !until.IsZero() { // the Engine counts the lines before it looks at their times
		opts.Tail = fmt.Sprint(50 * evidence)
	}
	err := e.follow(ctx, id, opts, func(line string) { lines = append(lines, "  "+line) })
	if err != nil || len(lines) == 0 {
		return ""
	}
	return "\nits last log lines:\n" + tail(strings.Join(lines, "\n"), evidence)
}

// tail is the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
