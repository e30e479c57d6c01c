package localdocker

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
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/runner/paas"
)

const mainImage = "hepta-paas-local-test:1"

// program stands for the runner: it says what it finds.
const program = `package main

import (
	"fmt"
	"os"
)

func main() {
	for _, name := range []string{"/etc/heptapod-runner/runner.toml", "/etc/heptapod-runner/job.json"} {
		data, err := os.ReadFile(name)
		fmt.Printf("%s %s %v\n", name, data, err)
	}
	info, err := os.Stat("/var/run/docker.sock")
	fmt.Println("socket", err == nil && info.Mode()&os.ModeSocket != 0, os.Args[1:])
}
`

// importMain makes an image of the program.
func importMain(t *testing.T, docker *client.Client) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "runner", "main.go")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GO111MODULE=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "runner"))
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "usr/bin/gitlab-runner", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	body, err := docker.ImageImport(t.Context(), image.ImportSource{Source: &layer, SourceName: "-"}, mainImage,
		image.ImportOptions{Changes: []string{"LABEL hepta.dev=paas"}})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if said, err := io.ReadAll(body); err != nil || bytes.Contains(said, []byte("errorDetail")) {
		t.Fatalf("import: %v %s", err, said)
	}
	t.Cleanup(func() { _, _ = docker.ImageRemove(context.Background(), mainImage, image.RemoveOptions{Force: true}) })
}

// A job gets its files and the socket, runs once however often it is handed
// over, and leaves nothing.
func TestLocalLife(t *testing.T) {
	ctx := t.Context()
	docker, err := engine.Dial(ctx, "")
	if err != nil {
		t.Fatalf("this test needs a Docker Engine: %v", err)
	}
	defer docker.Close()
	importMain(t, docker)

	p := &Provider{Engine: docker, Labels: map[string]string{"hepta.dev": "paas"}}
	short := fmt.Sprintf("T%07x", os.Getpid())
	h, err := p.Create(ctx, "", paas.HostName(short, 7), paas.Flavor{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Delete(context.Background(), h) })
	list := func() []paas.Host {
		t.Helper()
		out, err := p.List(ctx, "", "hpd-job-"+short+"-")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := list(); len(got) != 0 {
		t.Fatalf("before the push: %v", got)
	}

	cfg, _, err := paas.Read(fmt.Appendf(nil, "state_file='x'\n[[runners]]\nname='here'\nurl='http://f'\ntoken='abcdefgh'\nexecutor='local-docker'\nheptapod_runner_main_image=%q\n", mainImage))
	if err != nil {
		t.Fatal(err)
	}
	job, err := paas.ParseJob([]byte(`{"id":7,"token":"t"}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := paas.HandOverFiles(cfg.Runners[0], job)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(ctx, h, f); err != nil {
		t.Fatal(err)
	}
	ended := func() {
		t.Helper()
		done, failed := docker.ContainerWait(ctx, h.ID, container.WaitConditionNotRunning)
		select {
		case <-done:
		case err := <-failed:
			t.Fatal(err)
		case <-time.After(time.Minute):
			t.Fatal("the job does not end")
		}
	}
	ended()
	if err := p.Push(ctx, h, f); err != nil {
		t.Fatal(err)
	}
	ended()
	logs, err := docker.ContainerLogs(ctx, h.ID, container.LogsOptions{ShowStdout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	data, err := io.ReadAll(logs)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"id":7,"token":"t"} <nil>`, "executor = 'docker'", "socket true [exec-fetched-job --config /etc/heptapod-runner/runner.toml /etc/heptapod-runner/job.json]"} {
		if strings.Count(string(data), want) != 1 {
			t.Errorf("%s is not there once:\n%s", want, data)
		}
	}
	if got := list(); len(got) != 1 || got[0].Name != h.Name || got[0].ID != h.ID {
		t.Errorf("listed %+v, want %+v", got, h)
	}
	// What a runner makes on the Engine, under its name for this host, and what
	// somebody else made under a name that ends the same.
	mine, others := paas.ContainersOf(h.Name)+"xy-project-1-concurrent-0-cache", "a-"+paas.ContainersOf(h.Name)
	for _, name := range []string{mine, others} {
		if _, err := docker.VolumeCreate(ctx, volume.CreateOptions{Name: name}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = docker.VolumeRemove(context.Background(), name, true) })
		made, err := docker.ContainerCreate(ctx, &container.Config{Image: mainImage, Cmd: []string{"/usr/bin/gitlab-runner"}}, &container.HostConfig{Binds: []string{name + ":/cache"}}, nil, nil, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true})
		})
	}
	for range 2 {
		if err := p.Delete(ctx, h); err != nil {
			t.Fatal(err)
		}
	}
	for name, there := range map[string]bool{mine: false, others: true} {
		if _, err := docker.ContainerInspect(ctx, name); errdefs.IsNotFound(err) == there {
			t.Errorf("container %s: %v", name, err)
		}
		if _, err := docker.VolumeInspect(ctx, name); errdefs.IsNotFound(err) == there {
			t.Errorf("volume %s: %v", name, err)
		}
	}
	if _, err := docker.ContainerInspect(ctx, h.ID); !errdefs.IsNotFound(err) {
		t.Errorf("the container is left: %v", err)
	}
	if got := list(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// Names are made of tokens, which have more characters than names of images.
func TestImageNames(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"hpd-job-kvzWdEMo-275833", "hpd-job-_k61O9nWd-1", "hpd-job-_k61O9nWd-12", "hpd-job-a_-b61O9-1", "hpd-job-abc61O9_-1", "hpd-job--bc61O9x-1"} {
		got := imageOf(name)
		if _, err := reference.ParseNormalizedNamed(got); err != nil || seen[got] != "" {
			t.Errorf("%s: %s, %v, as %s", name, got, err, seen[got])
		}
		seen[got] = name
	}
	// As heptapod-paas-runner calls it, wherever that works.
	if got := imageOf("hpd-job-kvzWdEMo-275833"); got != "hpd-job-kvzwdemo-275833" {
		t.Error(got)
	}
}

// An image that cannot be built is an error that says why, and leaves nothing.
func TestLocalBuildFails(t *testing.T) {
	ctx := t.Context()
	docker, err := engine.Dial(ctx, "")
	if err != nil {
		t.Fatalf("this test needs a Docker Engine: %v", err)
	}
	defer docker.Close()
	p := &Provider{Engine: docker, Labels: map[string]string{"hepta.dev": "paas"}}
	h, err := p.Create(ctx, "", paas.HostName(fmt.Sprintf("F%07x", os.Getpid()), 8), paas.Flavor{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Delete(context.Background(), h) })
	err = p.Push(ctx, h, paas.Files{"Dockerfile": []byte("FROM scratch\nCOPY missing /\n")})
	if err == nil || !strings.Contains(err.Error(), "build image") || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error %v", err)
	}
	if _, err := docker.ContainerInspect(ctx, h.ID); !errdefs.IsNotFound(err) {
		t.Errorf("a container is left: %v", err)
	}
}
