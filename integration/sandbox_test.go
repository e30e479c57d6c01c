package integration

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
)

// output runs a container to its end and returns what it printed.
func output(t *testing.T, docker client.APIClient, c container.Config, h container.HostConfig) string {
	t.Helper()
	ctx := t.Context()
	made, err := docker.ContainerCreate(ctx, &c, &h, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	ended, failed := docker.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	var code int64
	select {
	case err := <-failed:
		t.Fatal(err)
	case e := <-ended:
		code = e.StatusCode
	}
	logs, err := docker.ContainerLogs(ctx, made.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", c.Cmd, code, out.String())
	}
	return out.String()
}

func TestSandboxSurvivesItsOwnRestart(t *testing.T) {
	besideSites(t)
	ctx := t.Context()
	s, docker := inside(t, sandbox.Config{}, images.Small)

	kept, err := docker.ContainerCreate(ctx, &container.Config{Image: "hepta/small:1", Cmd: []string{"sleep", "3600"}},
		&container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}}, nil, nil, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if err := docker.ContainerStart(ctx, kept.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}

	// A kill leaves every pid file where it was.
	if err := outer.docker.ContainerKill(ctx, s.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	found, err := sandbox.Find(ctx, outer.docker, s.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Start(ctx); err != nil {
		t.Fatal(err)
	}
	i, err := docker.ContainerInspect(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if i.ID != kept.ID {
		t.Errorf("container has id %s after the restart, want %s", i.ID, kept.ID)
	}
	eventually(t, time.Minute, "the container runs again", func() bool {
		i, err := docker.ContainerInspect(ctx, "kept")
		return err == nil && i.State.Running
	})

	if err := found.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Find(ctx, outer.docker, s.Name); !errdefs.IsNotFound(err) {
		t.Errorf("find removed sandbox: %v, want not found", err)
	}
	if _, err := outer.docker.VolumeInspect(ctx, s.Volume); !errdefs.IsNotFound(err) {
		t.Errorf("inspect removed sandbox's volume: %v, want not found", err)
	}
}

// eventually polls until done says yes.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s in vain: %s", limit, what)
		}
	}
}

func TestSandboxServesOtherPrograms(t *testing.T) {
	besideSites(t)
	ctx := t.Context()
	s, _ := inside(t, sandbox.Config{}, images.Small)
	socket := filepath.Join(t.TempDir(), "docker.sock")
	served, err := s.Serve(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()

	docker := exec.CommandContext(ctx, "docker", "run", "-i", "--rm", "hepta/small:1", "sh", "-c", "cat; echo done")
	docker.Env = append(docker.Environ(), "DOCKER_HOST=unix://"+socket)
	docker.Stdin = strings.NewReader(strings.Repeat("over there\n", 10_000))
	out, err := docker.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("over there\n", 10_000) + "done\n"; string(out) != want {
		t.Errorf("got %d bytes back, want %d", len(out), len(want))
	}
}

// TestEnginesInASandbox runs engines two levels deep: the service of a job, and
// a sandbox on an engine that is newer than the outer one may be.
func TestEnginesInASandbox(t *testing.T) {
	besideSites(t)
	_, docker := inside(t, sandbox.Config{}, images.Base, images.DockerCLI, images.Dind, images.Small)
	t.Run("dind", func(t *testing.T) { dindKeepsTheContractOfItsImage(t, docker) })
	t.Run("sandbox", func(t *testing.T) {
		ctx := t.Context()
		base := outer.refs[images.Base].Local
		p, err := sandbox.Detect(ctx, docker, base)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Privileged {
			t.Errorf("privileged containers work on this engine, found %+v", p)
		}
		s, err := sandbox.Start(ctx, docker, sandbox.Config{Name: "inner", Image: base})
		if err != nil {
			t.Fatal(err)
		}
		inner, err := s.Client()
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		if err := images.Copy(ctx, docker, inner, refs(images.Small)...); err != nil {
			t.Fatal(err)
		}
		out := output(t, inner, container.Config{Image: "hepta/small:1", Cmd: []string{"echo", "deep"}}, container.HostConfig{})
		if out != "deep\n" {
			t.Errorf("got %q", out)
		}
	})
}

// heptapod-docker 3.1.
func dindKeepsTheContractOfItsImage(t *testing.T, docker client.APIClient) {
	ctx := t.Context()
	if _, err := docker.NetworkCreate(ctx, "job", network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, certs, host string
		args              []string
	}{
		{"TLS", "/certs", "tcp://docker:2376", nil},
		{"plain, with an argument", "", "tcp://docker:2375", []string{"--label=from=argument"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			var binds []string
			if c.certs != "" {
				binds = []string{"certs:/certs/client"}
			}
			env := []string{"DOCKER_TLS_CERTDIR=" + c.certs}
			made, err := docker.ContainerCreate(ctx,
				&container.Config{Image: "docker:26-dind", Env: env, Cmd: c.args},
				&container.HostConfig{Privileged: true, Binds: binds, NetworkMode: "job"},
				&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"job": {Aliases: []string{"docker"}}}}, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			defer docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			if err := docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
				t.Fatal(err)
			}
			out := output(t, docker, container.Config{Image: "docker:26", Env: env, Cmd: []string{"sh", "-c", `
				set -e
				i=0
				until docker version >/dev/null 2>&1; do
					i=$((i + 1))
					[ $i -lt 300 ] || { docker version; exit 1; }
					sleep 0.1
				done
				echo "host ${DOCKER_HOST:-default}"
				docker info --format 'labels {{.Labels}}'
				mkdir /context && cp /bin/busybox /context/
				printf 'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "echo", "built"]\n' >/context/Dockerfile
				docker build -q -t made /context >/dev/null
				docker run --rm made /bin/busybox echo inside
			`}, Entrypoint: []string{"sh", "-c", `
				# The service leaves its certificates before it listens.
				i=0
				until [ -z "$DOCKER_TLS_CERTDIR" ] || [ -s "$DOCKER_TLS_CERTDIR/client/cert.pem" ] || [ $i -gt 300 ]; do
					i=$((i + 1))
					sleep 0.1
				done
				exec docker-entrypoint.sh "$@"
			`, "entrypoint"}}, container.HostConfig{Binds: binds, NetworkMode: "job"})
			if !strings.Contains(out, "inside") {
				t.Errorf("no container ran in the service's engine: %q", out)
			}
			if !strings.Contains(out, "host "+c.host+"\n") {
				t.Errorf("the client looked elsewhere than %s: %q", c.host, out)
			}
			if len(c.args) > 0 && !strings.Contains(out, "from=argument") {
				t.Errorf("the argument did not reach the service's daemon: %q", out)
			}
		})
	}
}

// What a test needs that wants testcontainers' life cycle: the same container
// by the same specification.
func TestSandboxBySpecInTestcontainers(t *testing.T) {
	besideSites(t)
	ctx := t.Context()
	base := outer.refs[images.Base].Local
	privileges, err := sandbox.Detect(ctx, outer.docker, base)
	if err != nil {
		t.Fatal(err)
	}
	name := "hepta-test-testcontainers"
	config, host := sandbox.Config{Name: name, Image: base, Labels: map[string]string{label: t.Name()}}.Spec(privileges)
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: testcontainers.ContainerRequest{
			Name: name, Image: base,
			ConfigModifier:     func(c *container.Config) { *c = *config },
			HostConfigModifier: func(h *container.HostConfig) { *h = *host },
			WaitingFor:         wait.ForExec([]string{"docker", "version"}).WithPollInterval(100 * time.Millisecond).WithStartupTimeout(time.Minute),
		},
		Started: true,
	})
	testcontainers.CleanupContainer(t, c, testcontainers.RemoveVolumes(name))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.Find(ctx, outer.docker, c.GetContainerID())
	if err != nil {
		t.Fatal(err)
	}
	docker, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	if _, err := docker.Info(ctx); err != nil {
		t.Error(err)
	}
}
