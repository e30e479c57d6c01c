package paas

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// openCloud is a Clever Cloud over TLS whose machines are containers of an
// engine with that engine's socket: what is pushed is built and run there. The
// file is the cloud's authority.
func openCloud(t *testing.T, engine *client.Client) (c *clevertest.Cloud, ca string) {
	t.Helper()
	c = clevertest.NewTLS(t)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, c.Certificate(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	c.Deploy = func(a clevertest.App, files map[string][]byte) {
		state := "OK"
		if err := deploy(ctx, engine, a, files); err != nil {
			t.Errorf("deploy %s: %v", a.Name, err)
			state = "FAIL"
		}
		c.SetState(a.ID, state)
	}
	c.Remove = func(a clevertest.App) {
		_ = engine.ContainerRemove(ctx, machineOf(a), container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	return c, ca
}

func machineOf(a clevertest.App) string { return "machine-of-" + a.ID }

func deploy(ctx context.Context, engine *client.Client, a clevertest.App, files map[string][]byte) error {
	if a.Env["CC_MOUNT_DOCKER_SOCKET"] != "true" {
		return fmt.Errorf("the application asks for no socket")
	}
	var pack bytes.Buffer
	w := tar.NewWriter(&pack)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	resp, err := engine.ImageBuild(ctx, &pack, build.ImageBuildOptions{Tags: []string{machineOf(a)}, Version: build.BuilderV1})
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	said, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || bytes.Contains(said, []byte(`"error"`)) {
		return fmt.Errorf("build: %v %s", err, said)
	}
	made, err := engine.ContainerCreate(ctx, &container.Config{Image: machineOf(a)},
		&container.HostConfig{Binds: []string{"/var/run/docker.sock:/var/run/docker.sock"}}, nil, nil, machineOf(a))
	if err != nil {
		return fmt.Errorf("make machine: %w", err)
	}
	return engine.ContainerStart(ctx, made.ID, container.StartOptions{})
}
