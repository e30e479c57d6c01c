package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// onHost looks at a file of the stack's data directory through its container,
// as the Engine may be elsewhere.
func (st *stage) onHost(t *testing.T, file string) converge.ObservedFile {
	t.Helper()
	seen, err := st.readFile(t.Context(), st.stack.Name+"-web", "/data/"+strings.TrimPrefix(file, "web/"))
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// names lists what the stack's containers are called.
func (st *stage) names(t *testing.T) []string {
	t.Helper()
	list, err := st.api.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", converge.LabelStack+"="+st.stack.Name))})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list {
		names = append(names, nameOf(c)+" "+c.State)
	}
	slices.Sort(names)
	return names
}

func (st *stage) mustBeServing(t *testing.T) {
	t.Helper()
	if got := st.names(t); !slices.Equal(got, []string{st.stack.Name + "-web running"}) {
		t.Errorf("containers are %q", got)
	}
}

func TestEngineUpAndDown(t *testing.T) {
	st := newStage(t)
	st.mustUp(t)
	st.mustBeDone(t)
	st.mustBeServing(t)
	for file, want := range map[string]converge.ObservedFile{
		"conf/site":   {Content: []byte("one\n"), Mode: 0o644},
		"private/key": {Content: []byte("hush\n"), Mode: 0o600, UID: 33, GID: 44},
		"once":        {Content: []byte("first\n"), Mode: 0o600},
	} {
		if got := st.onHost(t, file); !got.Exists || !bytes.Equal(got.Content, want.Content) || got.Mode != want.Mode || got.UID != want.UID || got.GID != want.GID {
			t.Errorf("%s is %+v", file, got)
		}
	}
	for dir, want := range map[string]fs.FileMode{"conf": 0o755, "private": 0o700} {
		seen, err := st.api.ContainerStatPath(t.Context(), st.stack.Name+"-web", "/data/"+dir)
		if err != nil || seen.Mode.Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", dir, seen.Mode, err, want)
		}
	}

	// What a program watches, what it takes over by a command, what needs a
	// new container.
	st.stack.Files[1].Content = []byte("psst\n")
	st.stack.Files[3].Content = []byte("2\n")
	st.mustUp(t)
	st.mustBeDone(t)
	if got := st.onHost(t, "applied"); string(got.Content) != "2\n" {
		t.Errorf("applied: %q", got.Content)
	}
	// What takes a container's place is on the networks that somebody has
	// connected it to by hand, under the same names.
	st.connectByHand(t, st.stack.Name+"-metrics", "site.metrics")
	st.stack.Files[0].Content = []byte("two\n")
	st.mustUp(t)
	st.mustBeDone(t)
	st.mustBeServing(t)
	if now, err := st.api.ContainerInspect(t.Context(), st.stack.Name+"-web"); err != nil {
		t.Fatal(err)
	} else if on := now.NetworkSettings.Networks[st.stack.Name+"-metrics"]; on == nil || !slices.Contains(on.Aliases, "site.metrics") || on.IPAddress == "" {
		t.Errorf("on the network that the old one was connected to by hand it is %+v", on)
	}

	plan, err := st.Down(t.Context(), st.stack, DownOptions{Volumes: true})
	if err != nil {
		t.Fatalf("down: %v\n%s", err, plan)
	}
	if got := st.names(t); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	// The data stays, and what is written once is not written again.
	st.stack.Files[2].Content = []byte("second\n")
	st.mustUp(t)
	if got := st.onHost(t, "once"); string(got.Content) != "first\n" {
		t.Errorf("once: %q", got.Content)
	}
}

// connectByHand puts the stack's container on a network of somebody else.
func (st *stage) connectByHand(t *testing.T, name, alias string) {
	t.Helper()
	made, err := st.api.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: "bridge"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = st.api.NetworkDisconnect(ctx, made.ID, st.stack.Name+"-web", true)
		if err := st.api.NetworkRemove(ctx, made.ID); err != nil {
			t.Error(err)
		}
	})
	if err := st.api.NetworkConnect(t.Context(), made.ID, st.stack.Name+"-web", &network.EndpointSettings{Aliases: []string{alias}}); err != nil {
		t.Fatal(err)
	}
}

func TestEngineNothingToDo(t *testing.T) {
	st := newStage(t)
	st.mustUp(t)
	for _, want := range []map[string]int{
		{"lists": 1, "stats": 5}, // three files, one mark, the identity
		{"lists": 1, "stats": 5, "logs": 1},
	} {
		st.stack.Containers[0].Listen.Lines = want["logs"]
		calls := &counting{API: st.api, counts: make(map[string]int)}
		plan, err := New(calls, nil, nil).Up(t.Context(), st.stack, UpOptions{})
		if err != nil || !plan.Empty() {
			t.Fatalf("%v\n%s", err, plan)
		}
		if got := calls.counts; !maps.Equal(got, want) {
			t.Errorf("calls: %v, want %v", got, want)
		}
	}
}

// counting counts calls that are more than the lists of one look.
type counting struct {
	API
	mu     sync.Mutex
	counts map[string]int
}

func (c *counting) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

func (c *counting) ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error) {
	c.count("lists")
	return c.API.ContainerList(ctx, o)
}

func (c *counting) ContainerStatPath(ctx context.Context, id, path string) (container.PathStat, error) {
	c.count("stats")
	return c.API.ContainerStatPath(ctx, id, path)
}

func (c *counting) ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error) {
	c.count("logs")
	return c.API.ContainerLogs(ctx, id, o)
}

func (c *counting) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	c.count("inspects")
	return c.API.ContainerInspect(ctx, id)
}

func TestEngineFailedReplacement(t *testing.T) {
	st := newStage(t)
	st.mustUp(t)
	before, err := st.api.ContainerInspect(t.Context(), st.stack.Name+"-web")
	if err != nil {
		t.Fatal(err)
	}
	good, ready := st.stack.Containers[0].Cmd, st.stack.Containers[0].Ready
	st.stack.Containers[0].Cmd = []string{"sh", "-c", "echo cannot read settings; exit 3"}
	st.stack.Containers[0].Ready.Settle = time.Minute // longer than a busy host needs to see the exit
	st.stack.Files[0].Content = []byte("bad\n")
	_, err = st.Up(t.Context(), st.stack, UpOptions{})
	if got := fault.Describe(err); err == nil || !strings.Contains(got, "it ended with exit code 3") || !strings.Contains(got, "  cannot read settings") {
		t.Errorf("the error says:\n%s", got)
	}
	st.mustBeServing(t)
	after, err := st.api.ContainerInspect(t.Context(), st.stack.Name+"-web")
	if err != nil || after.ID != before.ID {
		t.Errorf("another container serves now (%v)", err)
	}
	if got := st.onHost(t, "conf/site"); string(got.Content) != "one\n" {
		t.Errorf("the old container has the new file: %q", got.Content)
	}
	st.stack.Containers[0].Cmd, st.stack.Containers[0].Ready = good, ready
	st.mustUp(t)
	st.mustBeDone(t)
	st.mustBeServing(t)
}

// TestEngineOutOfMemory replaces a container by one that is killed for memory,
// once and over and over.
func TestEngineOutOfMemory(t *testing.T) {
	for restart, why := range map[string]string{"": "it ran out of memory: its limit is 16 MiB", "unless-stopped": "out of memory"} {
		t.Run("restart "+restart, func(t *testing.T) {
			st := newStage(t)
			st.mustUp(t)
			before, err := st.api.ContainerInspect(t.Context(), st.stack.Name+"-web")
			if err != nil {
				t.Fatal(err)
			}
			c := &st.stack.Containers[0]
			c.Cmd = []string{"sh", "-c", "echo loading everything; x=x; while :; do x=$x$x; done"}
			c.Memory, c.Restart, c.Ready.Settle = 16<<20, restart, time.Minute
			_, err = st.Up(t.Context(), st.stack, UpOptions{})
			got := fault.Describe(err)
			for _, want := range []string{why, "its limit is 16 MiB", "  loading everything", "Let it have more memory"} {
				if !strings.Contains(got, want) {
					t.Errorf("the error does not say %q:\n%s", want, got)
				}
			}
			st.mustBeServing(t)
			after, err := st.api.ContainerInspect(t.Context(), st.stack.Name+"-web")
			if err != nil || after.ID != before.ID {
				t.Errorf("another container serves now (%v)", err)
			}
		})
	}
}

func TestEnginePortTaken(t *testing.T) {
	st := newStage(t)
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	st.stack.Containers[0].Ports = []converge.Port{{Host: port, Container: 80}}
	_, err = st.Up(t.Context(), st.stack, UpOptions{})
	if want := fmt.Sprintf("port %d is in use on the Docker host", port); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	_ = l.Close()
	st.mustUp(t)
	st.mustBeDone(t)
}

func TestEngineHealth(t *testing.T) {
	st := newStage(t)
	c := &st.stack.Containers[0]
	c.Health = &converge.Health{Test: []string{"CMD-SHELL", "test -e /tmp/ready"}, Interval: time.Second, StartInterval: 200 * time.Millisecond, StartPeriod: 5 * time.Second}
	c.Cmd = []string{"sh", "-c", "trap 'exit 0' TERM; echo phase one; sleep 0.3; echo phase two; echo >/tmp/ready; while :; do sleep 0.05; done"}
	c.Ready.Phase = func(line string) string {
		if strings.HasPrefix(line, "phase") {
			return line
		}
		return ""
	}
	checked := false
	c.Ready.Check = func(ctx context.Context, h converge.Host) error {
		checked = true
		out, err := h.Exec(ctx, "web", []string{"cat"}, []byte("through"))
		if err == nil && string(out.Stdout) != "through" {
			err = fmt.Errorf("got %q", out.Stdout)
		}
		return err
	}
	st.mustUp(t)
	st.mustBeDone(t)
	if !checked || !st.rec.saw("phase one") || !st.rec.saw("phase two") {
		t.Errorf("checked %v, told %v", checked, st.rec.events)
	}
}

func TestEngineExec(t *testing.T) {
	st := newStage(t)
	st.mustUp(t)
	name := st.stack.Name + "-web"
	out, err := st.Exec(t.Context(), name, ExecOptions{Cmd: []string{"sh", "-c", "cat; echo $A >&2; exit 7"}, Stdin: strings.NewReader("in\n"), Env: []string{"A=err"}})
	if err != nil || out.ExitCode != 7 || string(out.Stdout) != "in\n" || string(out.Stderr) != "err\n" {
		t.Errorf("got %+v %v", out, err)
	}
	var tty bytes.Buffer
	sizes := make(chan TerminalSize, 1)
	sizes <- TerminalSize{Width: 80, Height: 24}
	code, err := st.ExecInteractive(t.Context(), name, ExecOptions{Cmd: []string{"sh", "-c", "test -t 1 && echo terminal"}, Tty: true, Stdout: &tty, Resize: sizes})
	if err != nil || code != 0 || tty.String() != "terminal\r\n" {
		t.Errorf("got %d %q %v", code, tty.String(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := st.Exec(ctx, name, ExecOptions{Cmd: []string{"sleep", "60"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that hangs: %v", err)
	}
	// A directory is no command: that ends before it begins, each time.
	if out, err := st.Exec(t.Context(), name, ExecOptions{Cmd: []string{"/tmp"}}); err == nil || !strings.Contains(err.Error(), "permission denied") || fault.Remedy(err) == "" {
		t.Errorf("what can't begin gives %+v, %v", out, err)
	}
	if out, err := st.Exec(t.Context(), name, ExecOptions{Cmd: []string{"sh", "-c", "exit 126"}}); err != nil || out.ExitCode != 126 {
		t.Errorf("a command's own 126 gives %+v, %v", out, err)
	}
	if _, err := st.Exec(t.Context(), name+"-not", ExecOptions{Cmd: []string{"true"}}); fault.Remedy(err) == "" {
		t.Errorf("no container: %v", err)
	}
}

func TestEngineLogs(t *testing.T) {
	st := newStage(t)
	st.mustUp(t)
	name := st.stack.Name + "-web"
	var got []LogLine
	for until := time.Now().Add(time.Minute); len(got) < 4 && time.Now().Before(until); { // its second line may be coming
		got = nil
		if err := st.Logs(t.Context(), []string{name, name}, LogOptions{}, func(l LogLine) { got = append(got, l) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 4 || got[0] != (LogLine{Container: name, Text: "reading"}) {
		t.Errorf("got %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := st.Logs(ctx, []string{name}, LogOptions{Follow: true, Tail: "1"}, func(LogLine) { seen++; cancel() })
	if !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("followed %d lines, %v", seen, err)
	}
	if err := st.Logs(t.Context(), []string{"engt-not-there"}, LogOptions{}, nil); err == nil {
		t.Error("logs of nobody")
	}
}

// A look at the host brings the last lines of those logs that are asked for.
// One that cannot be read is no reason to see nothing else.
func TestEngineListens(t *testing.T) {
	st := newStage(t)
	c := &st.stack.Containers[0]
	c.Cmd = []string{"sh", "-c", "trap 'exit 0' TERM; echo one; echo two >&2; echo three; while :; do sleep 0.05; done"}
	before := time.Now()
	st.mustUp(t)
	heard := func(how converge.Listen) []converge.LogLine {
		c.Listen = how
		o, err := st.Observe(t.Context(), st.stack)
		if err != nil {
			t.Fatal(err)
		}
		for _, seen := range o.Containers {
			if seen.Name == st.stack.Name+"-web" {
				return seen.Heard
			}
		}
		t.Fatal("the container was not seen")
		return nil
	}
	if got := heard(converge.Listen{}); got != nil {
		t.Errorf("nobody asked for %v", got)
	}
	if got := heard(converge.Listen{Lines: 1}); len(got) != 1 || got[0].Text == "one" {
		t.Errorf("the last line: %v", got)
	}
	var words []string
	for _, l := range heard(converge.Listen{Lines: 9, Within: time.Hour}) {
		words = append(words, l.Text)
		if l.At.Before(before.Add(-time.Hour)) || l.At.After(time.Now().Add(time.Hour)) {
			t.Errorf("%s was said at %s", l.Text, l.At)
		}
	}
	slices.Sort(words) // two outputs have no order between them
	if !slices.Equal(words, []string{"one", "three", "two"}) {
		t.Errorf("the log: %q", words)
	}
	if got := heard(converge.Listen{Lines: 9, Within: time.Nanosecond}); len(got) != 0 {
		t.Errorf("within no time at all: %v", got)
	}

	// The same service with a log that the Engine keeps nothing of.
	if err := st.remove(t.Context(), st.stack.Name+"-web"); err != nil {
		t.Fatal(err)
	}
	mute, err := st.api.ContainerCreate(t.Context(), &container.Config{Image: testImage, Cmd: c.Cmd,
		Labels: map[string]string{converge.LabelStack: st.stack.Name, converge.LabelService: c.Service}},
		&container.HostConfig{LogConfig: container.LogConfig{Type: "none"}}, nil, nil, st.stack.Name+"-web")
	if err == nil {
		err = st.api.ContainerStart(t.Context(), mute.ID, container.StartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := heard(converge.Listen{Lines: 9}); len(got) != 0 {
		t.Errorf("a log that nobody keeps: %v", got)
	}
}

// The last words of a container that is started over and over are those of the
// life that ended, however much the next one has said meanwhile.
func TestEngineLastWords(t *testing.T) {
	st := newStage(t)
	made, err := st.api.ContainerCreate(t.Context(), &container.Config{
		Image: testImage, Labels: map[string]string{converge.LabelStack: st.stack.Name},
		Cmd: []string{"sh", "-c", "if test -e /tmp/second; then i=0; while [ $i -lt 60 ]; do echo chatter; i=$((i+1)); done; while :; do sleep 0.05; done; fi; >/tmp/second; echo cannot read settings; exit 3"},
	}, &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}}, nil, nil, st.stack.Name+"-words")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.api.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !strings.Contains(st.evidence(ctx, made.ID, time.Time{}), "chatter") {
		if err := sleep(ctx, readyPoll); err != nil {
			t.Fatal("the second life says nothing")
		}
	}
	seen, err := st.api.ContainerInspect(ctx, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := st.evidence(ctx, made.ID, lastEnd(seen)); !strings.HasSuffix(got, "\n  cannot read settings") {
		t.Errorf("its last words:\n%s", got)
	}
}

// TestEngineNetworkOnce lets many make one network at the same time.
func TestEngineNetworkOnce(t *testing.T) {
	st := newStage(t)
	op := converge.Operation{Network: &st.stack.Networks[0], Labels: map[string]string{converge.LabelStack: st.stack.Name}}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if _, err := st.createNetwork(t.Context(), op); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := st.api.NetworkList(t.Context(), network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", op.Network.Name))})
	if err != nil || len(list) != 1 {
		t.Errorf("%d networks (%v), want 1", len(list), err)
	}
}

func TestEnginePullWithoutRegistry(t *testing.T) {
	noConfig(t)
	st := newStage(t)
	st.stack.Containers[0].Image = "registry.invalid/x:1"
	_, err := st.Up(t.Context(), st.stack, UpOptions{})
	if got := fault.Describe(err); err == nil || !strings.Contains(got, "pull image registry.invalid/x:1: the registry registry.invalid cannot be reached") || !strings.Contains(got, "docker load") {
		t.Errorf("got %s", got)
	}
	if got := st.names(t); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}
