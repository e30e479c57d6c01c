package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// An Engine that is slow to answer gives no lease: what is begun in it could
// arrive when others work already.
func TestSlowEngineGivesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		answer := make(chan struct{})
		f.hold["create s-lock"] = answer
		time.AfterFunc(lease/callsInLease, func() { close(answer) })
		s, o := replacing("a")
		l := leased(t, f, s)
		if err := l.execute(t.Context(), o, planned(t, s, o)); err != nil {
			t.Fatal(err)
		}
		l.Release()
		calls := f.order("start ", "create s-a_next")
		if lock, work := slices.Index(calls, "start id-s-lock"), slices.Index(calls, "create s-a_next"); lock < 0 || lock > work {
			t.Errorf("the work was begun without a lock: %q", calls)
		}
	})
}

// A lock whose container is gone is found to be lost although the connection to
// it seems to live: nothing is done any more.
func TestLockGoneBehindALivingConnection(t *testing.T) {
	for name, gone := range map[string]func(*fake){
		"removed": func(f *fake) { f.fail["inspect id-s-lock"] = fmt.Errorf("no such container: %w", errdefs.ErrNotFound) },
		"ended":   func(f *fake) { f.states = append(f.states, state("exited", "")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			s := &converge.Stack{Name: "s", Containers: []converge.Container{service("a")}}
			l := leased(t, f, s)
			if err := l.startContainer(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, free := l.guard(t.Context())
			defer free()
			time.Sleep(watchEvery + time.Second)
			synctest.Wait()
			if ctx.Err() != nil {
				t.Fatalf("%s: lost although it is there: %v", name, context.Cause(ctx))
			}
			f.mu.Lock()
			gone(f)
			f.mu.Unlock()
			time.Sleep(watchEvery)
			synctest.Wait()
			if !errors.Is(context.Cause(ctx), ErrLockLost) {
				t.Errorf("%s: work goes on: %v", name, context.Cause(ctx))
			}
			if _, err := l.Host().Exec(t.Context(), "a", []string{"true"}, nil); !errors.Is(err, ErrLockLost) {
				t.Errorf("%s: a command was run: %v", name, err)
			}
			if _, err := l.Host().Run(t.Context(), converge.OneOff{}); !errors.Is(err, ErrLockLost) {
				t.Errorf("%s: a container was run: %v", name, err)
			}
			l.Release()
		})
	}
}

// Who waits is told for whom, for how long that one has had the lock, and how to
// take it away; again and again.
func TestWaitingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := newFake(), &recorder{}
		f.fail["create s-lock"] = fmt.Errorf("name in use: %w", errdefs.ErrConflict)
		f.labels = map[string]string{converge.LabelStack: "s", converge.LabelOwner: "alice@host (pid 12)", converge.LabelCommand: "up",
			converge.LabelSince: time.Now().Add(-90 * time.Second).Format(time.RFC3339)}
		ctx, cancel := context.WithTimeout(t.Context(), 2*tellAgain+lockPoll/2) // between two looks
		defer cancel()
		_, err := New(f, nil, rec.sink).Reached("ssh://admin@vm-1").take(ctx, &converge.Stack{Name: "s"}, LockOptions{Command: "up"}, "a:1")
		for _, minutes := range []string{"1 minute", "2 minutes", "3 minutes"} {
			if !rec.saw("waiting for alice@host (pid 12, up, for " + minutes + ", since ") {
				t.Errorf("nobody is told of %s", minutes)
			}
		}
		const remedy = "docker -H ssh://admin@vm-1 rm --force s-lock"
		if !rec.saw(remedy) || !strings.Contains(fault.Remedy(err), remedy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("how to take it away is not told: %s", fault.Describe(err))
		}
		if !strings.Contains(err.Error(), "wait for alice@host (pid 12, up, for 3 minutes, since ") {
			t.Errorf("error %v", err)
		}
	})
}

func TestHolderText(t *testing.T) {
	since := time.Date(2026, 1, 2, 12, 3, 0, 0, time.Local)
	labels := map[string]string{converge.LabelOwner: "alice@host (pid 12)", converge.LabelCommand: "up", converge.LabelSince: since.Format(time.RFC3339)}
	for later, want := range map[time.Duration]string{
		-time.Hour: "0 seconds", time.Second: "1 second", 59 * time.Second: "59 seconds", 14 * time.Minute: "14 minutes",
		47 * time.Hour: "47 hours", 50 * time.Hour: "2 days",
	} {
		if got := holderText(labels, since.Add(later)); got != "alice@host (pid 12, up, for "+want+", since 12:03)" {
			t.Errorf("got %q", got)
		}
	}
}

// The commands that are advised reach the Engine that hepta works on.
func TestDockerCommands(t *testing.T) {
	for host, want := range map[string]string{
		"":                         "docker rm x",
		"unix:///run/other.sock":   "docker -H unix:///run/other.sock rm x",
		"ssh://admin@vm-1:2222":    "docker -H ssh://admin@vm-1:2222 rm x",
		"vm":                       "docker --context vm rm x",
		"context://unix":           "docker --context unix rm x",
		"tcp://vm-1:2376":          "docker -H tcp://vm-1:2376 rm x",
		"context://it's":           `docker --context 'it'\''s' rm x`,
		WithCerts("tcp://v", "/c"): "docker --tlsverify --tlscacert /c/ca.pem --tlscert /c/cert.pem --tlskey /c/key.pem -H tcp://v rm x",
	} {
		if diff := cmp.Diff(want, New(newFake(), nil, nil).Reached(host).docker("rm", "x")); diff != "" {
			t.Error(diff)
		}
	}
}
