package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

// TestEngineTwoAtOnce runs four ups of one stack at once.
func TestEngineTwoAtOnce(t *testing.T) {
	st := newStage(t)
	var all sync.WaitGroup
	plans, errs := make([]*converge.Plan, 4), make([]error, 4)
	for i := range plans {
		all.Go(func() { plans[i], errs[i] = st.Up(t.Context(), st.stack, UpOptions{Command: "up"}) })
	}
	all.Wait()
	worked := 0
	for i := range plans {
		if errs[i] != nil {
			t.Errorf("#%d: %v", i, errs[i])
		} else if !plans[i].Empty() {
			worked++
		}
	}
	if worked != 1 {
		t.Errorf("%d of them worked, want 1", worked)
	}
	if !st.rec.saw("waiting for ") || !st.rec.saw(fmt.Sprintf("(pid %d, up, for ", os.Getpid())) {
		t.Error("nobody was told for whom they wait")
	}
	st.mustBeServing(t)
}

// playChild is another hepta in a process of its own: it brings the stack up
// and stops for good at the given event, to be killed there.
func playChild() {
	var name, data, at, content string
	if _, err := fmt.Sscan(os.Getenv("HEPTA_TEST_CHILD"), &name, &data, &at, &content); err != nil {
		fmt.Println("error:", err)
		return
	}
	ctx := context.Background()
	c, err := Dial(ctx, "")
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	sink := func(e progress.Event) {
		if fmt.Sprintf("%d-%s", e.Op, e.State) == at {
			fmt.Println("reached")
			select {}
		}
	}
	s := described(name, data)
	s.Files[0].Content = []byte(content + "\n")
	_, err = New(c, nil, sink).Up(ctx, s, UpOptions{})
	fmt.Println("error:", err)
}

// killedAt runs an up in another process and kills it at an event.
func (st *stage) killedAt(t *testing.T, at, content string) {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, me)
	cmd.Env = append(os.Environ(), fmt.Sprintf("HEPTA_TEST_CHILD=%s %s %s %s", st.stack.Name, st.stack.Data, at, content))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	if line != "reached\n" {
		t.Fatalf("killed at %s: the other said %q (%v)", at, line, err)
	}
}

// TestEngineKilled kills an up at several points of a replacement; one more up
// ends where an undisturbed one does.
func TestEngineKilled(t *testing.T) {
	st := newStage(t)
	st.mustUp(t)
	for i, kind := range []converge.Kind{converge.CreateContainer, converge.StopContainer, converge.StartContainer, converge.RemoveContainer} {
		content := fmt.Sprint("round", i)
		st.stack.Files[0].Content = []byte(content + "\n")
		at := slices.IndexFunc(st.mustPlan(t).Operations, func(o converge.Operation) bool { return o.Kind == kind })
		st.killedAt(t, fmt.Sprintf("%d-done", at+1), content)
		begin := time.Now()
		st.mustUp(t)
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("killed after %s: the next up took %s", kind, took)
		}
		st.mustBeDone(t)
		st.mustBeServing(t)
		c, err := st.api.ContainerInspect(t.Context(), st.stack.Name+"-web")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Config.Labels[converge.LabelFile+"web/conf/site"]; got != converge.Hash([]byte(content+"\n")) {
			t.Errorf("killed after %s: it is the old container", kind)
		}
	}
}

func TestEngineLock(t *testing.T) {
	st := newStage(t)
	l, err := st.Lock(t.Context(), st.stack, LockOptions{Command: "backup"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := st.Lock(ctx, st.stack, LockOptions{}); err == nil || !strings.Contains(err.Error(), ", backup, for ") {
		t.Errorf("a second lock: %v", err)
	}

	h := l.Host()
	if _, err := h.ReadFile(t.Context(), "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read what is not there: %v", err)
	}
	for _, content := range []string{"one", "", "three"} {
		if err := h.WriteFile(t.Context(), "a/b c/$x", []byte(content), 0o640, 7, 8); err != nil {
			t.Fatal(err)
		}
		if got, err := h.ReadFile(t.Context(), "a/b c/$x"); err != nil || string(got) != content {
			t.Errorf("read %q, %v, want %q", got, err, content)
		}
	}
	if err := h.WriteFile(t.Context(), "a/b c", []byte("x"), 0o600, 0, 0); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a file over a directory: %v", err)
	}
	if err := h.WriteFile(t.Context(), "../x", nil, 0o600, 0, 0); err == nil {
		t.Error("a file above the data directory was written")
	}
	// The first file that is written decides nothing about the directory.
	st.stack.Files = append(st.stack.Files, converge.File{Path: "deep/mixed/key", Mode: 0o600})
	if err := h.WriteFile(t.Context(), "deep/mixed/readme", []byte("x"), 0o644, 0, 0); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]fs.FileMode{"deep": 0o755, "deep/mixed": 0o700} {
		if seen, err := st.api.ContainerStatPath(t.Context(), l.id, "/hepta/"+dir); err != nil || seen.Mode.Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", dir, seen.Mode, err, want)
		}
	}
	out, err := st.Exec(t.Context(), l.id, ExecOptions{Cmd: []string{"ls", "-a", "/hepta", "/hepta/a/b c"}})
	if err != nil || strings.Contains(string(out.Stdout), ".hepta") {
		t.Errorf("temporary files are left: %s (%v)", out.Stdout, err)
	}

	guarded, stop := l.guard(t.Context())
	defer stop()
	if err := st.api.ContainerRemove(t.Context(), l.id, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-guarded.Done():
		if context.Cause(guarded) != ErrLockLost {
			t.Errorf("cause is %v", context.Cause(guarded))
		}
	case <-time.After(10 * time.Second):
		t.Error("the loss of the lock was not noticed")
	}
	l.Release()
	l.Release()
}

// TestEngineLockOfTheDead takes a lock whose owner was killed at work, and
// locks whose owner was killed in its lease.
func TestEngineLockOfTheDead(t *testing.T) {
	st := newStage(t)
	write := slices.IndexFunc(st.mustPlan(t).Operations, func(o converge.Operation) bool { return o.Kind == converge.WriteFile })
	st.killedAt(t, fmt.Sprintf("%d-done", write+1), "one")
	begin := time.Now()
	l, err := st.Lock(t.Context(), st.stack, LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > staleLock {
		t.Errorf("the lock of a killed process was held for %s", took)
	}
	l.Release()
	st.mustUp(t)

	leave := func() {
		t.Helper()
		_, err := st.api.ContainerCreate(t.Context(), &container.Config{Image: testImage, Cmd: []string{"cat"},
			Labels: map[string]string{converge.LabelStack: st.stack.Name, converge.LabelOwner: "bob@elsewhere (pid 1)"}}, nil, nil, nil, st.stack.LockName())
		if err != nil {
			t.Fatal(err)
		}
	}
	leave()
	if l, err = st.Lock(t.Context(), st.stack, LockOptions{}); err != nil {
		t.Fatal(err)
	}
	l.Release()
	if !st.rec.saw("waiting for bob@elsewhere (pid 1). ") {
		t.Error("nobody was told for whom they wait")
	}
	st.mustBeUnlocked(t)

	// Also when there is nothing else to do.
	leave()
	st.mustBeDone(t)
	if plan := st.mustUp(t); !plan.Empty() {
		t.Errorf("there was something to do:\n%s", plan)
	}
	st.mustBeUnlocked(t)
	proof, err := st.Proof(t.Context(), st.stack)
	if err != nil {
		t.Fatal(err)
	}
	made, err := st.api.ContainerCreate(t.Context(), &container.Config{Image: testImage, Cmd: []string{"cat"},
		Labels: map[string]string{converge.LabelStack: st.stack.Name, labelOnce: "true", converge.LabelProof: proof}}, nil, nil, nil, st.stack.Name+"-reach-1")
	if err != nil {
		t.Fatal(err)
	}
	st.mustUp(t)
	if _, err := st.api.ContainerInspect(t.Context(), made.ID); !errdefs.IsNotFound(err) {
		t.Errorf("a container that was to do one thing is still there: %v", err)
	}
	leave()
	if _, err := st.Down(t.Context(), st.stack, DownOptions{}); err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := st.Down(t.Context(), st.stack, DownOptions{}); err != nil {
		t.Fatal(err)
	}
	st.mustBeUnlocked(t)
}

func (st *stage) mustBeUnlocked(t *testing.T) {
	t.Helper()
	if _, err := st.api.ContainerInspect(t.Context(), st.stack.LockName()); !errdefs.IsNotFound(err) {
		t.Errorf("the lock is still there: %v", err)
	}
}

// TestEngineLockImage needs another image when the first has no cat.
func TestEngineLockImage(t *testing.T) {
	st := newStage(t)
	if err := importBareImage(t.Context(), st.api); err != nil {
		t.Fatal(err)
	}
	st.stack.Containers = append([]converge.Container{{Service: "bare", Name: st.stack.Name + "-bare", Image: bareImage}}, st.stack.Containers...)
	l, err := st.Lock(t.Context(), st.stack, LockOptions{})
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	l.Release()
	st.stack.Containers = st.stack.Containers[:1]
	_, err = st.Lock(t.Context(), st.stack, LockOptions{})
	if err == nil || !strings.Contains(err.Error(), "no image of the stack has cat and a shell") {
		t.Errorf("without cat: %v", err)
	}
	if got := st.names(t); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}
