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

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

// fakeLock is a lock that is held on a fake.
func fakeLock(f *fake, s *converge.Stack, rec *recorder) *Lock {
	l := &Lock{e: New(f, nil, rec.sink), s: s, id: "lock", ready: make(chan struct{}), lost: make(chan struct{})}
	close(l.ready)
	return l
}

func service(name string, after ...converge.Ref) converge.Container {
	return converge.Container{Service: name, Name: "s-" + name, Image: name + ":1", After: after, Ready: converge.Ready{Settle: time.Millisecond}}
}

// planned gives the stack and its first plan.
func planned(t *testing.T, s *converge.Stack, o *converge.Observed) *converge.Plan {
	t.Helper()
	p, err := converge.Up(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// replacing is a service that runs, and its description after a change.
func replacing(names ...string) (*converge.Stack, *converge.Observed) {
	s, o := &converge.Stack{Name: "s", Data: "/d"}, &converge.Observed{Images: map[string]string{}}
	for _, n := range names {
		c := service(n)
		old := c
		old.Env = []string{"OLD=1"}
		o.Containers = append(o.Containers, converge.ObservedContainer{ID: "old-" + n, Name: c.Name, State: "running", Service: n, Labels: map[string]string{
			converge.LabelStack: "s", converge.LabelService: n, converge.LabelSpec: old.Spec()}})
		o.Images[converge.NormalizeImage(c.Image)] = "sha256:" + n
		s.Containers = append(s.Containers, c)
	}
	return s, o
}

// A successor that an earlier run has started is asked whether it is ready, not
// the old container that still has the name.
func TestExecuteResumed(t *testing.T) {
	s, o := replacing("a")
	s.Containers[0].Ready.Check = func(ctx context.Context, h converge.Host) error {
		_, err := h.Exec(ctx, "a", []string{"ready"}, nil)
		return err
	}
	o.Containers[0].State = "exited"
	o.Containers = append(o.Containers, converge.ObservedContainer{ID: "next", Name: "s-a_next", State: "running", Service: "a", Labels: map[string]string{
		converge.LabelStack: "s", converge.LabelService: "a", converge.LabelSpec: s.Containers[0].Spec()}})
	f := newFake()
	if err := fakeLock(f, s, &recorder{}).execute(t.Context(), o, planned(t, s, o)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"exec next ready"}, f.order("exec")); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestExecuteInOrder(t *testing.T) {
	f, rec := newFake(), &recorder{}
	s := &converge.Stack{Name: "s", Data: "/d", Networks: []converge.Network{{Name: "web"}},
		Containers: []converge.Container{service("a"), service("b", "container:a")}}
	s.Containers[0].Networks = []converge.Attachment{{Network: "web"}}
	s.Files = []converge.File{{Path: "a/f", Content: []byte("x")}}
	s.Containers[0].Mounts = []converge.Mount{{Kind: converge.Data, Source: "a", Target: "/a"}}
	s.Warn = []func(*converge.Observed) []string{func(*converge.Observed) []string { return []string{"jobs may do everything"} }}
	o := &converge.Observed{}
	p := planned(t, s, o)
	if err := fakeLock(f, s, rec).execute(t.Context(), o, p); err != nil {
		t.Fatal(err)
	}
	if first := rec.events[0]; first.Kind != progress.Note || first.Text != "jobs may do everything" {
		t.Errorf("what people have to know before the work begins came after %+v", first)
	}
	want := []string{"create s-a", "put lock /hepta", "start id-s-a", "start id-s-b"}
	got := f.order("create s-a", "put", "start")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for _, op := range p.Operations {
		if !slices.ContainsFunc(rec.events, func(e progress.Event) bool { return e.Op == op.ID && e.State == progress.Running }) ||
			!slices.ContainsFunc(rec.events, func(e progress.Event) bool { return e.Op == op.ID && e.State == progress.Done }) {
			t.Errorf("#%d %s: not told from beginning to end", op.ID, op.Text())
		}
	}
	if got := f.created["s-a"].config.Labels[converge.LabelImageID]; got != "sha256:a:1" {
		t.Errorf("label of the image is %q", got)
	}
}

func TestExecuteInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := &converge.Stack{Name: "s"}
		o := &converge.Observed{Images: map[string]string{}}
		release := make(chan struct{})
		for i := range 12 {
			name := fmt.Sprint("c", i)
			s.Containers = append(s.Containers, service(name))
			o.Images[converge.NormalizeImage(name+":1")] = "sha256:1"
			f.hold["start id-s-"+name] = release
		}
		done := make(chan error)
		go func() { done <- fakeLock(f, s, &recorder{}).execute(t.Context(), o, planned(t, s, o)) }()
		synctest.Wait()
		if n := len(f.order("start")); n != parallel {
			t.Errorf("%d starts at once, want %d", n, parallel)
		}
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := len(f.order("start")); n != 12 {
			t.Errorf("%d starts, want 12", n)
		}
	})
}

func TestExecuteUndoesFailedReplacement(t *testing.T) {
	for failing, shown := range map[string]string{"start id-s-a_next": "exec format error", "inspect id-s-a_next": "no such thing"} {
		t.Run(failing, func(t *testing.T) {
			f, rec := newFake(), &recorder{}
			s, o := replacing("a")
			f.fail[failing] = errors.New(shown)
			err := fakeLock(f, s, rec).execute(t.Context(), o, planned(t, s, o))
			if err == nil || !strings.Contains(err.Error(), shown) {
				t.Fatalf("error is %v", err)
			}
			want := []string{"create s-a_next", "stop old-a", "start id-s-a_next", "stop id-s-a_next", "remove id-s-a_next", "start old-a"}
			if diff := cmp.Diff(want, f.order("create", "stop", "start", "remove", "rename")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if !rec.saw("serves again") {
				t.Error("nobody was told that the old one serves again")
			}
		})
	}
}

// TestExecuteUndoesWhatOthersInterrupt fails one replacement while another is
// between its old and its new container.
func TestExecuteUndoesWhatOthersInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, o := replacing("a", "b")
		f.hold["start id-s-b_next"] = make(chan struct{})
		blocked := make(chan struct{})
		f.hold["start id-s-a_next"] = blocked
		f.fail["start id-s-a_next"] = errors.New("broken")
		done := make(chan error)
		go func() { done <- fakeLock(f, s, &recorder{}).execute(t.Context(), o, planned(t, s, o)) }()
		synctest.Wait()
		close(blocked)
		err := <-done
		if err == nil || strings.Contains(err.Error(), "b_next") {
			t.Errorf("error is %v, want only what failed first", err)
		}
		if !f.did("start old-a") || !f.did("start old-b") {
			t.Errorf("the old ones do not serve: %q", f.order("start"))
		}
	})
}

func TestExecuteStopsWhenToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rec := newFake(), &recorder{}
		s, o := replacing("a")
		f.hold["start id-s-a_next"] = make(chan struct{})
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- fakeLock(f, s, rec).execute(ctx, o, planned(t, s, o)) }()
		synctest.Wait()
		why := errors.New("told to stop")
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("error is %v", err)
		}
		if !f.did("start old-a") || f.did("rename id-s-a_next s-a") {
			t.Errorf("calls: %q", f.order("start", "rename"))
		}
		if !rec.saw("interrupted") {
			t.Error("what was interrupted was not told")
		}
	})
}

func TestExecuteStopsWithoutLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, o := replacing("a")
		f.hold["start id-s-a_next"] = make(chan struct{})
		l := fakeLock(f, s, &recorder{})
		done := make(chan error)
		go func() { done <- l.execute(t.Context(), o, planned(t, s, o)) }()
		synctest.Wait()
		close(l.lost)
		if err := <-done; !errors.Is(err, ErrLockLost) {
			t.Errorf("error is %v", err)
		}
		if f.did("start old-a") {
			t.Error("something was undone without the lock")
		}
	})
}

func TestExecuteReportsFailedUndo(t *testing.T) {
	f := newFake()
	s, o := replacing("a")
	f.fail["start id-s-a_next"], f.fail["start old-a"] = errors.New("first"), errors.New("second")
	err := fakeLock(f, s, &recorder{}).execute(t.Context(), o, planned(t, s, o))
	if err == nil || !strings.Contains(err.Error(), "first") || !strings.Contains(err.Error(), "undo: start container s-a: second") {
		t.Errorf("error is %v", err)
	}
}

func TestTaskUsesTheNewContainer(t *testing.T) {
	f := newFake()
	s, o := replacing("a")
	s.Decide = append(s.Decide, func(*converge.Observed) ([]converge.Task, error) {
		return []converge.Task{{Name: "x", Ref: "task:x", After: []converge.Ref{"container:a"}, Run: func(ctx context.Context, h converge.Host) error {
			h.Progress("half way")
			_, err := h.Exec(ctx, "a", []string{"true"}, []byte("input"))
			return err
		}}}, nil
	})
	rec := &recorder{}
	if err := fakeLock(f, s, rec).execute(t.Context(), o, planned(t, s, o)); err != nil {
		t.Fatal(err)
	}
	if !f.did("exec id-s-a_next true") || !rec.saw("half way") {
		t.Errorf("calls: %q", f.order("exec"))
	}
}

func TestOldEnginesConnectAfterwards(t *testing.T) {
	for version, want := range map[string][]string{"1.41": {"connect jobs id-s-a x,y"}, "1.43": {"connect jobs id-s-a x,y"}, "1.44": nil} {
		f := newFake()
		f.version = version
		s := &converge.Stack{Name: "s", Networks: []converge.Network{{Name: "web", MTU: 1400}, {Name: "jobs"}}, Containers: []converge.Container{service("a")}}
		c := &s.Containers[0]
		c.Networks = []converge.Attachment{{Network: "web"}, {Network: "jobs", Aliases: []string{"x", "y"}}}
		c.Health = &converge.Health{Test: []string{"CMD", "true"}, StartInterval: time.Second}
		f.states = []container.State{{Running: true, Status: "running", Health: &container.Health{Status: container.Healthy}}}
		o := &converge.Observed{}
		if err := fakeLock(f, s, &recorder{}).execute(t.Context(), o, planned(t, s, o)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, f.order("connect")); diff != "" {
			t.Errorf("API %s (-want +got):\n%s", version, diff)
		}
		made := f.created["s-a"]
		if knows := version == "1.44"; len(made.net.EndpointsConfig) != map[bool]int{true: 2, false: 1}[knows] || (made.config.Healthcheck.StartInterval != 0) != knows {
			t.Errorf("API %s: %d networks, start interval %v", version, len(made.net.EndpointsConfig), made.config.Healthcheck.StartInterval)
		}
		web := slices.IndexFunc(f.networks, func(n network.Summary) bool { return n.Name == "web" })
		if got := f.networks[web].Options["com.docker.network.driver.mtu"]; got != "1400" {
			t.Errorf("MTU is %q", got)
		}
	}
}

// TestNetworkMadeTwice lets others make the same network at the same time.
func TestNetworkMadeTwice(t *testing.T) {
	ours := map[string]string{converge.LabelStack: "other"}
	for _, c := range []struct {
		name   string
		before []network.Summary
		used   string
		want   []string
	}{
		{"alone", nil, "", nil},
		{"smallest id stays", []network.Summary{{Name: "web", ID: "m", Labels: ours}, {Name: "web-2", ID: "a"}}, "", []string{"remove network n2"}},
		{"used one stays", []network.Summary{{Name: "web", ID: "z", Labels: ours}}, "z", []string{"remove network n1"}},
		{"a stranger's is not removed", []network.Summary{{Name: "web", ID: "z"}}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			f.networks, f.used[c.used] = c.before, c.used != ""
			op := converge.Operation{Network: &converge.Network{Name: "web"}, Labels: map[string]string{converge.LabelStack: "s"}}
			if _, err := New(f, nil, nil).createNetwork(t.Context(), op); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, f.order("remove")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPortInUse(t *testing.T) {
	const nobody = "port 8443 is in use on the Docker host by a process that is no container"
	for text, want := range map[string]string{
		"driver failed programming external connectivity on endpoint x (abc): Bind for 0.0.0.0:8443 failed: port is already allocated":                                                               "systemctl restart docker",
		"driver failed programming external connectivity on endpoint x: Error starting userland proxy: listen tcp4 0.0.0.0:8443: bind: address already in use":                                       nobody,
		"failed to set up container networking: driver failed programming external connectivity on endpoint x: failed to bind host port for 0.0.0.0:8443:172.17.0.2:443/tcp: address already in use": nobody,
		"failed to bind host port 0.0.0.0:8443/tcp: address already in use":                                                                                                                          nobody,
	} {
		f := newFake()
		f.fail["start id-s-a"] = errors.New(text)
		s := &converge.Stack{Name: "s", Containers: []converge.Container{service("a")}}
		o := &converge.Observed{}
		execute := func() error { return fakeLock(f, s, &recorder{}).execute(t.Context(), o, planned(t, s, o)) }
		if got := fault.Describe(execute()); !strings.Contains(got, want) {
			t.Errorf("without an owner: %s", got)
		}
		f.list = []container.Summary{{Names: []string{"/x/nginx", "/nginx"}, Image: "nginx:1.27", Ports: []container.Port{{PublicPort: 8443}}}}
		if got := fault.Describe(execute()); !strings.Contains(got, "port 8443 is published by container nginx (nginx:1.27)") || !strings.Contains(got, "publish another port of that container") {
			t.Errorf("with an owner: %s", got)
		}
	}
}

// TestExecuteSeesCallsThrough ends the work while a call is under way: the
// Engine completes it in any case, so it is waited for.
func TestExecuteSeesCallsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := &converge.Stack{Name: "s", Containers: []converge.Container{service("a")}}
		o := &converge.Observed{Images: map[string]string{converge.NormalizeImage("a:1"): "sha256:1"}}
		slow := make(chan struct{})
		f.hold["create s-a"] = slow
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- fakeLock(f, s, &recorder{}).execute(ctx, o, planned(t, s, o)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("the call was left alone: %v", err)
		default:
		}
		close(slow)
		if err := <-done; !errors.Is(err, context.Canceled) || f.did("start id-s-a") {
			t.Errorf("error is %v, calls %q", err, f.order("create", "start"))
		}
	})
}

// TestExecuteKeepsWhatIsThrough fails one replacement after another is done.
func TestExecuteKeepsWhatIsThrough(t *testing.T) {
	f := newFake()
	s, o := replacing("a", "b")
	s.Containers[1].After = []converge.Ref{"container:a"}
	f.fail["start id-s-b_next"] = errors.New("broken")
	if err := fakeLock(f, s, &recorder{}).execute(t.Context(), o, planned(t, s, o)); err == nil {
		t.Fatal("no error")
	}
	if !f.did("rename id-s-a_next s-a") || f.did("start old-a") || !f.did("start old-b") {
		t.Errorf("calls: %q", f.order("start", "rename"))
	}
}
