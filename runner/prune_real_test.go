package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/engine"
)

// devLabel marks what this test makes.
const devLabel = "hepta.dev"

// fenced is a real Engine of which only what this test made is seen: others
// may work on it.
type fenced struct{ *client.Client }

func (f fenced) ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error) {
	o.Filters = mine()
	return f.Client.ContainerList(ctx, o)
}

func (f fenced) VolumeList(ctx context.Context, o volume.ListOptions) (volume.ListResponse, error) {
	o.Filters = mine()
	return f.Client.VolumeList(ctx, o)
}

func (f fenced) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return nil, nil
}

func (f fenced) NetworkList(ctx context.Context, _ network.ListOptions) ([]network.Summary, error) {
	return f.Client.NetworkList(ctx, network.ListOptions{Filters: mine()})
}

func mine() filters.Args { return filters.NewArgs(filters.Arg("label", devLabel+"=runner-prune")) }

// sweep removes what this test makes, or an earlier one left.
func sweep(t *testing.T, docker *client.Client) {
	t.Helper()
	ctx := context.Background()
	list, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: mine()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		_ = docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	networks, _ := docker.NetworkList(ctx, network.ListOptions{Filters: mine()})
	for _, n := range networks {
		_ = docker.NetworkRemove(ctx, n.ID)
	}
	volumes, _ := docker.VolumeList(ctx, volume.ListOptions{Filters: mine()})
	for _, v := range volumes.Volumes {
		_ = docker.VolumeRemove(ctx, v.Name, true)
	}
	for _, name := range []string{pruneImage, shopImage} {
		_, _ = docker.ImageRemove(ctx, name, image.RemoveOptions{})
	}
}

// A shop's image was built by a job, or from an image that was.
const (
	pruneImage = "hepta-runner-prune-test:1"
	shopImage  = "hepta-runner-prune-test:shop"
)

// sleeper makes an image whose only program sleeps, or ends at once.
func sleeper(t *testing.T, docker *client.Client) {
	t.Helper()
	dir := t.TempDir()
	source := "package main\n\nimport (\n\t\"os\"\n\t\"time\"\n)\n\nfunc main() {\n\tif len(os.Args) > 1 {\n\t\ttime.Sleep(time.Hour)\n\t}\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "sleeper", "main.go")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GO111MODULE=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "sleeper"))
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "sleeper", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var label []string
	for k, v := range job(1, "build") {
		label = append(label, fmt.Sprintf("LABEL %s=%q", k, v))
	}
	for name, changes := range map[string][]string{pruneImage: nil, shopImage: label} {
		body, err := docker.ImageImport(t.Context(), image.ImportSource{Source: bytes.NewReader(archive.Bytes()), SourceName: "-"}, name, image.ImportOptions{Changes: changes})
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		var said bytes.Buffer
		if _, err := said.ReadFrom(body); err != nil || strings.Contains(said.String(), "errorDetail") {
			t.Fatalf("import: %v %s", err, said.String())
		}
	}
}

// What the Engine lists of leftovers is what Prune expects, and what it asks
// for is done.
func TestPruneOnAnEngine(t *testing.T) {
	ctx := t.Context()
	docker, err := engine.Dial(ctx, "")
	if err != nil {
		t.Fatalf("this test needs a Docker Engine: %v", err)
	}
	defer docker.Close()
	sweep(t, docker)
	t.Cleanup(func() { sweep(t, docker) })
	sleeper(t, docker)

	mark := map[string]string{devLabel: "runner-prune"}
	labels := func(id int, typ string) map[string]string {
		l := jobOf(1, id, typ)
		l[devLabel] = "runner-prune"
		return l
	}
	cache := "runner-" + hash + "-cache-" + strings.Repeat("e", 32)
	for _, name := range []string{cache, cache + "-protected"} {
		if _, err := docker.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: labels(1, "cache")}); err != nil {
			t.Fatal(err)
		}
	}
	net, err := docker.NetworkCreate(ctx, "runner-prunetest-project-1-concurrent-0-job-1-network", network.CreateOptions{Labels: map[string]string{devLabel: "runner-prune"}})
	if err != nil {
		t.Fatal(err)
	}
	start := func(name, image string, labels map[string]string, host container.HostConfig, cmd ...string) string {
		made, err := docker.ContainerCreate(ctx, &container.Config{Image: image, Entrypoint: []string{"/sleeper"}, Cmd: cmd, Labels: labels,
			Volumes: map[string]struct{}{"/builds": {}}}, &host, nil, nil, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		if len(cmd) == 0 {
			listedAsExited(t, docker, made.ID)
		}
		return made.ID
	}
	run := func(name string, id int, cmd ...string) string {
		return start(name, pruneImage, labels(id, "build"), container.HostConfig{NetworkMode: container.NetworkMode(net.ID), Binds: []string{cache + ":/cache"}}, cmd...)
	}
	// Stopped, with a database in an anonymous volume, and a name that even fits.
	shops := []string{start("prunetest-shop", shopImage, mark, container.HostConfig{}),
		start("runner-prunetest-project-7-concurrent-0-shop", shopImage, mark, container.HostConfig{})}
	left := run("runner-prunetest-project-1-concurrent-0-build-1", 1)
	running := run("runner-prunetest-project-1-concurrent-1-build-1", 2, "on")

	prune := func(o PruneOptions, now time.Time) map[string]string {
		o.Now, o.NoSizes = now, true // a crowded Engine takes minutes for the sizes
		p, err := Prune(ctx, fenced{docker}, o)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, l := range p.Leftovers {
			got[l.ID] = l.Kept
		}
		return got
	}
	for id, kept := range prune(PruneOptions{Force: true}, time.Now()) {
		if kept == "" {
			t.Errorf("%s was in use a moment ago and went", id)
		}
	}
	later := time.Now().Add(2 * time.Hour)
	got := prune(PruneOptions{Force: true}, later)
	want := map[string]string{left: "", running: "its job runs", net.ID: "a container uses it", cache: "a container uses it", cache + "-protected": ""}
	for id, kept := range want {
		if is, there := got[id]; !there || is != kept {
			t.Errorf("%s: %q, want %q (found: %v)", id, is, kept, there)
		}
	}
	// Its anonymous volume has no label of ours; it went with the container.
	anonymousOf := func(id string) string {
		full, err := docker.ContainerInspect(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range full.Mounts {
			if m.Destination == "/builds" {
				return m.Name
			}
		}
		return ""
	}
	builds := anonymousOf(running)
	if err := docker.ContainerKill(ctx, running, "KILL"); err != nil {
		t.Fatal(err)
	}
	listedAsExited(t, docker, running)
	for id, kept := range prune(PruneOptions{Force: true}, later) {
		if kept != "" {
			t.Errorf("%s stays: %s", id, kept)
		}
	}
	if rest := prune(PruneOptions{}, later); len(rest) != 0 {
		t.Errorf("left: %v", rest)
	}
	for _, id := range shops {
		if _, err := docker.VolumeInspect(ctx, anonymousOf(id)); err != nil {
			t.Errorf("a shop has lost its database: %v", err)
		}
	}
	if _, err := docker.VolumeInspect(ctx, builds); builds == "" || err == nil {
		t.Errorf("the anonymous volume %q is still there", builds)
	}
}

// listedAsExited waits until the Engine lists a container as exited, which is
// a moment later than it answers a kill or a wait.
func listedAsExited(t *testing.T, docker *client.Client, id string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		list, err := docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("id", id))})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 && list[0].State == container.StateExited {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not listed as exited within a minute: %+v", list)
		}
	}
}
