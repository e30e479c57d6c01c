package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

func TestReadyTimeout(t *testing.T) {
	for _, c := range []struct {
		c    converge.Container
		want time.Duration
	}{
		{converge.Container{}, 31 * time.Second},
		{converge.Container{Ready: converge.Ready{Timeout: time.Minute}}, time.Minute},
		{converge.Container{Health: &converge.Health{}}, 3*time.Minute + 30*time.Second},
		{converge.Container{Health: &converge.Health{StartPeriod: 10 * time.Minute, Retries: 5, Interval: time.Minute, Timeout: 30 * time.Second}}, 18 * time.Minute},
	} {
		if got := ReadyTimeout(&c.c); got != c.want {
			t.Errorf("%+v: %s, want %s", c.c.Health, got, c.want)
		}
	}
}

func state(status string, health string) container.State {
	s := container.State{Status: container.ContainerState(status), Running: status == "running"}
	if health != "" {
		s.Health = &container.Health{Status: health}
	}
	return s
}

func TestWaitReady(t *testing.T) {
	healthy := &converge.Health{Test: []string{"CMD", "true"}}
	for _, c := range []struct {
		name   string
		want   converge.Container
		states []container.State
		logs   string
		err    string // "" when it gets ready
		after  time.Duration
	}{
		{name: "healthy at once", want: converge.Container{Health: healthy}, states: []container.State{state("running", "healthy")}},
		{name: "healthy later", want: converge.Container{Health: healthy}, after: 2 * readyPoll,
			states: []container.State{state("running", "starting"), state("running", "starting"), state("running", "starting"), state("running", "healthy")}},
		{name: "healthy while its events are asked for", want: converge.Container{Health: healthy},
			states: []container.State{state("running", "starting"), state("running", "healthy")}},
		{name: "no healthcheck", want: converge.Container{Ready: converge.Ready{Settle: 5 * time.Second}}, after: 5 * time.Second},
		{name: "ended", want: converge.Container{Health: healthy}, states: []container.State{{Status: "exited", ExitCode: 3}}, logs: "one\ntwo\n",
			err: "it ended with exit code 3\nits last log lines:\n  one\n  two"},
		{name: "ended with a secret", want: converge.Container{Health: healthy, Hide: []string{"hunter22", "hunter"}}, states: []container.State{{Status: "exited"}},
			logs: "x = 'hunter22' )\nhunter\n...ter22' )\nx = 'hunt...\n", err: "its last log lines:\n  x = '***' )\n  ***\n  ...***' )\n  x = '***..."},
		{name: "cannot start", states: []container.State{{Status: "exited", ExitCode: 127, Error: "exec: no such file"}}, err: "exit code 127: exec: no such file"},
		{name: "out of memory", states: []container.State{{Status: "exited", ExitCode: 137, OOMKilled: true}}, err: "it ran out of memory"},
		{name: "never healthy", want: converge.Container{Health: healthy, Ready: converge.Ready{Timeout: 5 * time.Second}}, after: 5 * time.Second,
			states: func() (list []container.State) {
				for range 9 {
					s := state("running", "unhealthy")
					s.Health.Log = []*container.HealthcheckResult{{Output: "connection refused\n"}}
					list = append(list, s)
				}
				return list
			}(), err: "not ready after 5s: its healthcheck says unhealthy (connection refused)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.states, f.logs = c.states, c.logs
				c.want.Name, c.want.Service = "s-web", "web"
				begin := time.Now()
				err := fakeLock(f, &converge.Stack{}, &recorder{}).WaitReady(t.Context(), "id", &c.want)
				if c.err == "" && err != nil || c.err != "" && !strings.Contains(fault.Describe(err), c.err) {
					t.Errorf("got %s\nwant %s", fault.Describe(err), c.err)
				}
				if took := time.Since(begin); took != c.after {
					t.Errorf("took %s, want %s", took, c.after)
				}
			})
		})
	}
}

// A container that is healthy at once has nothing to tell of its start, which
// was long ago.
func TestHealthyContainerTellsNoPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := newFake(), &recorder{}
		f.logs = "migrating\nready\n"
		f.byID = map[string]container.State{"id": {Status: container.StateRunning, Running: true, Health: &container.Health{Status: container.Healthy}}}
		c := &converge.Container{Name: "s-web", Health: &converge.Health{Test: []string{"CMD", "true"}}, Ready: converge.Ready{
			Phase: func(line string) string { return line },
			Check: func(context.Context, converge.Host) error { return sleep(t.Context(), time.Second) }}}
		if err := fakeLock(f, &converge.Stack{}, rec).WaitReady(t.Context(), "id", c); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(rec.events) > 0 {
			t.Errorf("told %v", rec.events)
		}
	})
}

func TestWaitCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		f, rec := newFake(), &recorder{}
		f.logs = "noise\nmigrating\nmigrating\nready\n"
		c := &converge.Container{Name: "s-web", Ready: converge.Ready{Settle: time.Millisecond,
			Phase: func(line string) string { return strings.TrimPrefix(strings.ReplaceAll(line, "noise", ""), "x") },
			Check: func(context.Context, converge.Host) error {
				if tries.Add(1) < 3 {
					return errors.New("not yet")
				}
				return nil
			}}}
		if err := fakeLock(f, &converge.Stack{}, rec).WaitReady(t.Context(), "id", c); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if tries.Load() != 3 || !rec.saw("migrating") || len(rec.events) != 2 {
			t.Errorf("%d tries, told %v", tries.Load(), rec.events)
		}

		c.Ready.Timeout = 3 * time.Second
		c.Ready.Check = func(context.Context, converge.Host) error { return errors.New("502 from the forge") }
		err := fakeLock(f, &converge.Stack{}, rec).WaitReady(t.Context(), "id", c)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not ready after 3s: 502 from the forge") {
			t.Errorf("error is %v", err)
		}

		tries.Store(0)
		c.Ready.Check = func(context.Context, converge.Host) error {
			tries.Add(1)
			return fmt.Errorf("no way: %w", converge.ErrHopeless)
		}
		err = fakeLock(f, &converge.Stack{}, rec).WaitReady(t.Context(), "id", c)
		if err == nil || err.Error() != "no way: waiting longer does not help" || tries.Load() != 1 {
			t.Errorf("after %d tries %v", tries.Load(), err)
		}
	})
}

// The exit code is that of the last life, also while the next one runs; want of
// memory is a reason before it.
func TestFailureOverAndOver(t *testing.T) {
	for _, c := range []struct {
		state container.State
		heard ending
		want  string
	}{
		{container.State{Status: "running", Running: true}, ending{code: "3"}, "it ends over and over, last with exit code 3"},
		{container.State{Status: "running", Running: true}, ending{}, "it ends over and over"},
		{container.State{Status: "restarting", Running: true, Restarting: true, ExitCode: 4}, ending{code: "3"}, "it ends over and over, last with exit code 4"},
		{container.State{Status: "restarting", Running: true, Restarting: true, ExitCode: 137, OOMKilled: true}, ending{}, "it runs out of memory over and over: its limit is 64 MiB"},
		{container.State{Status: "running", Running: true}, ending{code: "137", memory: true}, "it runs out of memory over and over: its limit is 64 MiB"},
	} {
		seen := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &c.state, RestartCount: crashes,
			HostConfig: &container.HostConfig{Resources: container.Resources{Memory: 64 << 20}}}}
		if got, remedy := failure(seen, 0, c.heard); got != c.want || strings.Contains(remedy, "more memory") != strings.Contains(got, "memory") {
			t.Errorf("%+v: %q, want %q; %s", c.state, got, c.want, remedy)
		}
		if got, _ := failure(seen, 1, c.heard); got != "" {
			t.Errorf("one restart: %q", got)
		}
	}
}
