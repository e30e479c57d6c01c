package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// upgrading is a service that is replaced by one of another image, which will
// change its data.
func upgrading(ready func(context.Context, converge.Host) error) (*converge.Stack, *converge.Observed) {
	s, o := replacing("a")
	s.Containers[0].MigratesData = true
	s.Containers[0].Ready.Check = ready
	o.Containers[0].Labels[converge.LabelImageID] = "sha256:old"
	return s, o
}

var replaced = []string{"create s-a_next", "stop old-a", "start id-s-a_next"}

// What has begun to change data is never undone, whatever ends the run.
func TestMigrationStays(t *testing.T) {
	forever := func(ctx context.Context, _ converge.Host) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for name, end := range map[string]func(cancel context.CancelFunc, s *converge.Stack){
		"told to stop": func(cancel context.CancelFunc, _ *converge.Stack) { time.AfterFunc(time.Minute, cancel) },
		"not in time":  func(_ context.CancelFunc, s *converge.Stack) { s.Containers[0].Ready.Timeout = time.Minute },
		"never will be": func(_ context.CancelFunc, s *converge.Stack) {
			s.Containers[0].Ready.Check = func(context.Context, converge.Host) error { return converge.ErrHopeless }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, rec := newFake(), &recorder{}
				s, o := upgrading(forever)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				end(cancel, s)
				err := fakeLock(f, s, rec).execute(ctx, o, planned(t, s, o))
				if diff := cmp.Diff(replaced, f.order("create", "stop", "start", "remove", "rename")); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				if text := fault.Describe(err); !errors.Is(err, errLeft) || !strings.Contains(text, "s-a_next was not undone") || !strings.Contains(text, "hepta up again") {
					t.Errorf("told %s", text)
				}
				if rec.saw("serves again") || !rec.saw("stays: ") {
					t.Errorf("events %v", rec.events)
				}
			})
		})
	}
}

// One that never ran has changed nothing.
func TestMigrationThatNeverBegan(t *testing.T) {
	f, rec := newFake(), &recorder{}
	f.fail["start id-s-a_next"] = errors.New("port is taken")
	f.byID = map[string]container.State{"id-s-a_next": {Status: "created", StartedAt: "0001-01-01T00:00:00Z"}}
	s, o := upgrading(nil)
	err := fakeLock(f, s, rec).execute(t.Context(), o, planned(t, s, o))
	if err == nil || errors.Is(err, errLeft) {
		t.Errorf("error is %v", err)
	}
	want := append(slices.Clone(replaced), "stop id-s-a_next", "remove id-s-a_next", "start old-a")
	if diff := cmp.Diff(want, f.order("create", "stop", "start", "remove", "rename")); diff != "" || !rec.saw("serves again") {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// That the old container serves again is said of one that was seen to.
func TestServesAgainWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := newFake(), &recorder{}
		s, o := replacing("a")
		f.fail["start id-s-a_next"] = errors.New("broken")
		f.byID = map[string]container.State{"old-a": {Status: "exited", ExitCode: 7}}
		err := fakeLock(f, s, rec).execute(t.Context(), o, planned(t, s, o))
		if err == nil || !strings.Contains(fault.Describe(err), "broken") || !strings.Contains(err.Error(), "undo: wait for container s-a") || !strings.Contains(err.Error(), "exit code 7") {
			t.Errorf("error is %v", err)
		}
		if rec.saw("serves again") && !rec.saw("until it serves again") {
			t.Error("it is said to serve")
		}
		for _, e := range rec.events {
			if e.Text == "serves again" {
				t.Errorf("told %+v", e)
			}
		}
	})
}

// A failure elsewhere is undone at once, while what takes over another service
// is waited for until it is there.
func TestWaitsComeToTheirOwnEnd(t *testing.T) {
	for _, ready := range []error{nil, converge.ErrHopeless} {
		t.Run(fmt.Sprint(ready), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, rec := newFake(), &recorder{}
				s, o := replacing("a", "b")
				over, asked := make(chan struct{}), 0
				s.Containers[0].Ready.Timeout = time.Hour
				s.Containers[0].Ready.Check = func(ctx context.Context, _ converge.Host) error {
					select {
					case <-over:
						if asked++; asked > 1 { // the old one
							return nil
						}
						return ready
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}
				begin := make(chan struct{})
				f.hold["start id-s-b_next"], f.fail["start id-s-b_next"] = begin, errors.New("no port")
				done := make(chan error)
				go func() { done <- fakeLock(f, s, rec).execute(t.Context(), o, planned(t, s, o)) }()
				time.Sleep(time.Second)
				close(begin)
				time.Sleep(time.Minute)
				if !f.did("start old-b") || f.did("start old-a") || f.did("stop id-s-a_next") {
					t.Errorf("a minute after the failure: %q", f.order("stop", "start"))
				}
				close(over)
				err := <-done
				if err == nil || !strings.Contains(err.Error(), "no port") || (ready == nil) != !strings.Contains(err.Error(), "s-a_next") {
					t.Errorf("error is %v", err)
				}
				if f.did("start old-a") != (ready != nil) {
					t.Errorf("in the end: %q", f.order("stop", "start"))
				}
				if f.did("rename id-s-a_next s-a") {
					t.Error("something was begun after the failure")
				}
			})
		})
	}
}

// The time limit of a start begins anew with each line of the log that shows
// progress.
func TestTimeLimitWaitsForProgress(t *testing.T) {
	for name, last := range map[string]int{"ready in the end": 29, "stuck": 10} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				out, in := io.Pipe()
				f.follow = out
				begin := time.Now()
				go func() {
					for i := range last {
						time.Sleep(20 * time.Second)
						line := fmt.Sprintf("step %d\nnoise\n", i)
						in.Write(append([]byte{1, 0, 0, 0, 0, 0, 0, byte(len(line))}, line...))
					}
				}()
				c := &converge.Container{Name: "s-a", Service: "a", Ready: converge.Ready{
					Settle: time.Millisecond, Timeout: 30 * time.Second,
					Progress: func(line string) bool { return strings.HasPrefix(line, "step") },
					Check: func(context.Context, converge.Host) error {
						if time.Since(begin) < 10*time.Minute {
							return errors.New("not yet")
						}
						return nil
					}}}
				err := fakeLock(f, &converge.Stack{}, &recorder{}).WaitReady(t.Context(), "id", c)
				if took := time.Since(begin).Round(10 * time.Second); last == 29 && (err != nil || took != 10*time.Minute) {
					t.Errorf("after %s: %v", took, err)
				} else if last == 10 && (took != 230*time.Second || !strings.Contains(fmt.Sprint(err), "no progress in its log for 30s")) {
					t.Errorf("after %s: %v", took, err)
				}
				in.Close()
			})
		})
	}
}
