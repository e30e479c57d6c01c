package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
	"github.com/heptaup/hepta/runner"
)

// rootless is what a runner of that mode gives a job, read out of the
// config.toml that is written for it.
func rootless(t *testing.T) (env, security []string) {
	t.Helper()
	text, err := runner.ConfigTOML(runner.Config{
		Forge:   runner.Forge{URL: "https://hg.example.org"},
		Runners: []runner.Runner{{Name: "rootless", Mode: runner.Rootless, Token: runner.NewSecret("glrt-x")}},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Runners []struct {
			Environment []string `toml:"environment"`
			Docker      struct {
				Privileged  bool     `toml:"privileged"`
				SecurityOpt []string `toml:"security_opt"`
			} `toml:"docker"`
		} `toml:"runners"`
	}
	if err := toml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Runners) != 1 || file.Runners[0].Docker.Privileged || len(file.Runners[0].Docker.SecurityOpt) == 0 {
		t.Fatalf("got %s", text)
	}
	return file.Runners[0].Environment, file.Runners[0].Docker.SecurityOpt
}

// A container without privileges, with exactly what a rootless runner gives
// its jobs, builds an image with a RUN step and pushes it; what is documented
// as refused is refused.
func TestRootlessBuild(t *testing.T) {
	besideSites(t)
	ctx := t.Context()
	_, docker := inside(t, sandbox.Config{}, images.Buildah, images.Registry)
	made, err := docker.ContainerCreate(ctx, &container.Config{Image: "registry:3"}, nil, nil, nil, "registry")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if err := docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	full, err := docker.ContainerInspect(ctx, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	registry := full.NetworkSettings.Networks["bridge"].IPAddress + ":5000"
	env, security := rootless(t)
	script := strings.ReplaceAll(`set -e
mkdir /project
cd /project
cp /bin/busybox .
cat >Dockerfile <<'END'
FROM scratch
COPY busybox /bin/sh
COPY busybox /bin/busybox
RUN /bin/busybox echo built by $(/bin/busybox id -u) >/made
END
buildah --storage-driver vfs bud --isolation chroot -t REGISTRY/app:1 .
for i in 1 2 3 4 5 6 7 8 9 10; do
	busybox wget -qO- http://REGISTRY/v2/ >/dev/null 2>&1 && break
	sleep 1
done
buildah --storage-driver vfs push --tls-verify=false REGISTRY/app:1
echo tags: $(busybox wget -qO- http://REGISTRY/v2/app/tags/list)
if mknod /dev/host b 8 0 2>/dev/null && head -c1 /dev/host >/dev/null 2>&1; then echo "the host's disk is open"; exit 1; fi
if mount -t tmpfs none /mnt 2>/dev/null; then echo "privileged"; exit 1; fi
if setarch -R true 2>/dev/null; then echo "more is allowed than Docker's own profile allows and building takes"; exit 1; fi
grep -i ^seccomp: /proc/self/status
`, "REGISTRY", registry)
	out := output(t, docker, container.Config{Image: "quay.io/buildah/stable:latest", Entrypoint: []string{"sh", "-c"}, Cmd: []string{script}, Env: env},
		container.HostConfig{SecurityOpt: security})
	for _, want := range []string{fmt.Sprintf("Successfully tagged %s/app:1", registry), `tags: {"name":"app","tags":["1"]}`} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if !strings.Contains(strings.ReplaceAll(out, "\t", " "), "Seccomp: 2") {
		t.Errorf("no seccomp profile is in force:\n%s", out)
	}
}
