package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/progress"
)

// devLabel marks what these tests make, so that a later run finds what a
// killed one left.
const devLabel = "hepta.dev=engine"

// testImage is busybox under two names.
const testImage, testImage2 = "hepta-engine-test:1", "hepta-engine-test:2"

// dialTest reaches the Engine that these tests are for.
func dialTest(t *testing.T) *client.Client {
	t.Helper()
	c, err := Dial(t.Context(), "")
	if err != nil {
		t.Fatalf("these tests need a Docker Engine: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// imported reports whether there are images to remove.
var imported atomic.Bool

var importOnce = sync.OnceValue(importTestImage)

// needImage makes the test image, once a run.
func needImage(t *testing.T) {
	t.Helper()
	if err := importOnce(); err != nil {
		t.Fatalf("make test image: %v", err)
	}
}

func importTestImage() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := Dial(ctx, "")
	if err != nil {
		return err
	}
	defer c.Close()
	busybox, err := findBusybox(ctx)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, dir := range []string{"bin/", "tmp/", "etc/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(busybox))}); err != nil {
		return err
	}
	if _, err := w.Write(busybox); err != nil {
		return err
	}
	for _, tool := range []string{"cat", "mv", "mkdir", "rm", "sh", "sleep", "true", "false", "echo", "test", "stat", "ls", "id"} {
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + tool, Typeflag: tar.TypeSymlink, Linkname: "busybox"}); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	// The second name is another image: a label makes the difference.
	imported.Store(true)
	for _, name := range []string{testImage, testImage2} {
		body, err := c.ImageImport(ctx, image.ImportSource{Source: bytes.NewReader(archive.Bytes()), SourceName: "-"}, name,
			image.ImportOptions{Changes: []string{"ENV PATH=/bin", "LABEL " + devLabel, "LABEL name=" + name}})
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		body.Close()
	}
	return nil
}

// bareImage has no program at all.
const bareImage = "hepta-engine-test:bare"

func importBareImage(ctx context.Context, c *client.Client) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "empty", Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	body, err := c.ImageImport(ctx, image.ImportSource{Source: &archive, SourceName: "-"}, bareImage, image.ImportOptions{Changes: []string{"LABEL " + devLabel}})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// removeTestImages removes what the tests imported; where nothing was, it asks
// no Engine.
func removeTestImages() error {
	if !imported.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := Dial(ctx, "")
	if err != nil {
		return err
	}
	defer c.Close()
	for _, name := range []string{testImage, testImage2, bareImage} {
		if _, err := c.ImageRemove(ctx, name, image.RemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// findBusybox gives a static busybox: the host's, or the one in Debian's
// package, which is unpacked and not installed.
func findBusybox(ctx context.Context) ([]byte, error) {
	if out, err := exec.CommandContext(ctx, "busybox", "true").CombinedOutput(); err == nil {
		name, err := exec.LookPath("busybox")
		if err != nil {
			return nil, err
		}
		if ldd, _ := exec.CommandContext(ctx, "ldd", name).CombinedOutput(); !bytes.Contains(ldd, []byte("=>")) {
			return os.ReadFile(name)
		}
	} else if len(out) > 0 {
		return nil, fmt.Errorf("busybox: %s", out)
	}
	dir, err := os.MkdirTemp("", "busybox")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	get := exec.CommandContext(ctx, "sh", "-c", "apt-get download busybox-static && dpkg-deb -x busybox-static*.deb .")
	get.Dir = dir
	if out, err := get.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("no static busybox here, and none to be had as a package (install busybox-static): %w: %s", err, out)
	}
	for _, at := range []string{"bin/busybox", "usr/bin/busybox"} {
		if b, err := os.ReadFile(filepath.Join(dir, at)); err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("the package busybox-static holds no busybox")
}

// recorder keeps every event.
type recorder struct {
	mu     sync.Mutex
	events []progress.Event
}

func (r *recorder) sink(e progress.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) saw(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}

// stage is one stack on the real Engine, removed when the test ends.
type stage struct {
	*Engine
	api   *client.Client
	rec   *recorder
	stack *converge.Stack
}

// described is the stack of these tests: one service with everything.
func described(name, data string) *converge.Stack {
	return &converge.Stack{
		Name: name, Data: data,
		Networks: []converge.Network{{Name: name + "-net", MTU: 1400}, {Name: name + "-jobs"}},
		Volumes:  []converge.Volume{{Name: name + "-vol"}},
		Files: []converge.File{
			{Path: "web/conf/site", Content: []byte("one\n")},
			{Path: "web/private/key", Content: []byte("hush\n"), Mode: 0o600, UID: 33, GID: 44, Secret: true},
			{Path: "web/once", Once: true, Content: []byte("first\n"), Mode: 0o600},
			{Path: "web/live", Content: []byte("1\n"), Apply: &converge.Apply{Service: "web", Cmd: []string{"sh", "-c", "cat /data/live >>/data/applied"}}},
		},
		Containers: []converge.Container{{
			Service: "web", Name: name + "-web", Image: testImage,
			Cmd:      []string{"sh", "-c", "trap 'exit 0' TERM; echo reading; cat /data/conf/site; while :; do sleep 0.05; done"},
			Labels:   map[string]string{"hepta-dev": "engine"},
			Mounts:   []converge.Mount{{Kind: converge.Data, Source: "web", Target: "/data"}, {Kind: converge.VolumeKind, Source: name + "-vol", Target: "/vol"}},
			Networks: []converge.Attachment{{Network: name + "-net", Aliases: []string{"site"}}, {Network: name + "-jobs"}},

			RecreateOn: []string{"web/conf/site"}, Ready: converge.Ready{Settle: 50 * time.Millisecond},
		}},
	}
}

func newStage(t *testing.T) *stage {
	t.Helper()
	c := dialTest(t)
	needImage(t)
	rec := &recorder{}
	name := "engt-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(strings.TrimPrefix(t.Name(), "TestEngine")))
	st := &stage{Engine: New(c, nil, rec.sink), api: c, rec: rec, stack: described(name, t.TempDir())}
	st.sweep(t)
	t.Cleanup(func() { st.sweep(t) })
	return st
}

// sweep removes everything that carries the stack's label.
func (st *stage) sweep(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	mine := filters.NewArgs(filters.Arg("label", converge.LabelStack+"="+st.stack.Name))
	list, err := st.api.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		_ = st.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	networks, err := st.api.NetworkList(ctx, network.ListOptions{Filters: mine})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		_ = st.api.NetworkRemove(ctx, n.ID)
	}
	volumes, err := st.api.VolumeList(ctx, volume.ListOptions{Filters: mine})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Volumes {
		_ = st.api.VolumeRemove(ctx, v.Name, true)
	}
}

func (st *stage) mustUp(t *testing.T) *converge.Plan {
	t.Helper()
	plan, err := st.Up(t.Context(), st.stack, UpOptions{})
	if err != nil {
		t.Fatalf("up: %v\nplan:\n%s", err, plan)
	}
	return plan
}

func (st *stage) mustPlan(t *testing.T) *converge.Plan {
	t.Helper()
	plan, err := st.Plan(t.Context(), st.stack)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (st *stage) mustBeDone(t *testing.T) {
	t.Helper()
	if plan := st.mustPlan(t); !plan.Empty() {
		t.Fatalf("there is still something to do:\n%s", plan)
	}
}
