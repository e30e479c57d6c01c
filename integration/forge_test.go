package integration

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/heptaup/hepta/internal/images"
)

const rootPassword = "5iveL!fe"

// standin is the forge's image, started as an administrator starts it.
type standin struct {
	testcontainers.Container
	http *http.Client // reaches hg.test and registry.test
	ssh  string
}

// settings that every stand-in of these tests begins with.
const behindProxy = "external_url 'http://hg.test'; registry_external_url 'http://registry.test';"

// forgeVolumes makes the image's three volumes.
func forgeVolumes(t *testing.T) []mount.Mount {
	t.Helper()
	var mounts []mount.Mount
	for _, target := range []string{"/etc/gitlab", "/var/opt/gitlab", "/var/log/gitlab"} {
		v, err := outer.docker.VolumeCreate(t.Context(), volume.CreateOptions{Labels: map[string]string{label: t.Name()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := outer.docker.VolumeRemove(context.Background(), v.Name, true); err != nil {
				t.Error(err)
			}
		})
		mounts = append(mounts, mount.Mount{Type: mount.TypeVolume, Source: v.Name, Target: target})
	}
	return mounts
}

// request is a stand-in of a version on volumes.
func request(t *testing.T, image images.Name, mounts []mount.Mount, env map[string]string) testcontainers.ContainerRequest {
	t.Helper()
	ref, ok := outer.refs[image]
	if !ok {
		made, err := images.Ensure(t.Context(), outer.docker, say, image)
		if err != nil {
			t.Fatal(err)
		}
		ref = made[image]
	}
	return testcontainers.ContainerRequest{
		Image: ref.Local, Env: env, ExposedPorts: []string{"80/tcp", "22/tcp"}, Labels: map[string]string{label: t.Name()},
		HostConfigModifier: func(h *container.HostConfig) { h.Mounts = mounts },
	}
}

// startForge starts a stand-in and waits until it serves.
func startForge(t *testing.T, image images.Name, mounts []mount.Mount, env map[string]string) *standin {
	t.Helper()
	ctx := t.Context()
	r := request(t, image, mounts, env)
	r.WaitingFor = wait.ForExec([]string{"gitlab-healthcheck", "--fail", "--max-time", "10"}).
		WithPollInterval(200 * time.Millisecond).WithStartupTimeout(time.Minute)
	c, err := started(ctx, r)
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	web, err := c.PortEndpoint(ctx, "80/tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	sshd, err := c.PortEndpoint(ctx, "22/tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, web)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &standin{Container: c, http: &http.Client{Transport: transport}, ssh: sshd}
}

// run runs a command in the container.
func (s *standin) run(t *testing.T, cmd ...string) (code int, output string) {
	t.Helper()
	code, r, err := s.Exec(t.Context(), cmd, tcexec.Multiplexed())
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return code, string(b)
}

// get asks for a page and returns its status and its body.
func (s *standin) get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// token runs the library's own script for an API token.
func (s *standin) token(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("../heptapod/token.rb")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CopyToContainer(t.Context(), script, "/token.rb", 0o644); err != nil {
		t.Fatal(err)
	}
	code, out := s.run(t, "gitlab-rails", "runner", "/token.rb")
	for line := range strings.Lines(out) {
		if token, ok := strings.CutPrefix(strings.TrimSpace(line), "HEPTA_TOKEN="); ok && code == 0 {
			return token
		}
	}
	t.Fatalf("no token, exit code %d", code)
	return ""
}

func (s *standin) log(t *testing.T) string {
	t.Helper()
	return containerLog(t, s.GetContainerID())
}

func containerLog(t *testing.T, id string) string {
	t.Helper()
	r, err := outer.docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := stdcopy.StdCopy(&b, &b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
