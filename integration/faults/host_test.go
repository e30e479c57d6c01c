package faults

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta/integration/stage"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
)

// host is a bare Docker host whose Engine answers on a port, with images of
// the double.
type host struct {
	box    *sandbox.Sandbox
	docker *client.Client
	engine string // host:port
}

const enginePort = 2375

// newHost starts a host that goes when the test ends.
func newHost(t testing.TB) *host {
	t.Helper()
	g, err := openHost(t.Context(), t.Name())
	if g != nil {
		t.Cleanup(func() {
			if err := g.close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// onHost gives the host of all tests that leave the Engine itself alone. The
// first that asks starts it; it goes with everything else of this package.
func onHost(t testing.TB) *host {
	t.Helper()
	g, err := sharedHost()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var sharedHost = sync.OnceValues(func() (*host, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return openHost(ctx, "shared")
})

// openHost starts a host. What there is of it is returned with an error too.
func openHost(ctx context.Context, name string) (*host, error) {
	// The port stays the same when the sandbox is started again.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	g := &host{engine: l.Addr().String()}
	g.box, err = sandbox.Start(ctx, outer.Docker, sandbox.Config{
		Name: stage.SandboxName(name), Image: outer.Refs[images.Base].Local, Labels: map[string]string{outer.Label: name},
		Publish: []sandbox.Port{{HostIP: "127.0.0.1", Host: port, Container: enginePort}},
		Args:    []string{fmt.Sprintf("--host=tcp://0.0.0.0:%d", enginePort), "--tls=false"},
	})
	if g.box == nil {
		return nil, err
	}
	if err != nil {
		return g, err
	}
	if g.docker, err = client.NewClientWithOpts(client.WithHost("tcp://"+g.engine), client.WithAPIVersionNegotiation()); err != nil {
		return g, err
	}
	if err := images.Copy(ctx, outer.Docker, g.docker, outer.Named(images.Small)...); err != nil {
		return g, err
	}
	small := outer.Refs[images.Small].Local
	for _, name := range []string{traefikImage, heptapodImage} {
		for release := range 2 {
			if err := buildDouble(ctx, g.docker, small, name, release); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}

func (g *host) close(ctx context.Context) error {
	if g.docker != nil {
		g.docker.Close()
	}
	return g.box.Remove(ctx)
}

const (
	traefikImage  = "double/traefik:v3.6."
	heptapodImage = "double/heptapod:17.8."
)

// buildDouble makes an image of the double. Releases differ in a label only.
func buildDouble(ctx context.Context, docker *client.Client, base, name string, release int) error {
	// Traefik's image has the program as its entrypoint, the forge's a command.
	start := `ENTRYPOINT ["traefik"]`
	if name == heptapodImage {
		start = `CMD ["/assets/init-container"]`
	}
	program, err := os.ReadFile(outer.double)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	put := func(head tar.Header, content []byte) {
		head.Size = int64(len(content))
		err = errors.Join(err, w.WriteHeader(&head))
		if err == nil {
			_, err = w.Write(content)
		}
	}
	put(tar.Header{Name: "Dockerfile", Mode: 0o644}, fmt.Appendf(nil, "FROM %s\nLABEL release=%d\nCOPY root/ /\n%s\n", base, release, start))
	put(tar.Header{Name: "root/usr/bin/double", Mode: 0o755}, program)
	for _, link := range []string{"usr/bin/traefik", "usr/bin/haproxy", "usr/bin/curl", "usr/bin/gitlab-ctl", "usr/bin/gitlab-rails", "usr/bin/gitlab-runner",
		"opt/gitlab/bin/gitlab-healthcheck", "assets/init-container"} {
		put(tar.Header{Name: "root/" + link, Typeflag: tar.TypeSymlink, Linkname: "/usr/bin/double"}, nil)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	tag := fmt.Sprint(name, 12+release)
	made, err := docker.ImageBuild(ctx, &archive, build.ImageBuildOptions{Tags: []string{tag}, Version: build.BuilderV1, Remove: true})
	if err != nil {
		return err
	}
	defer made.Body.Close()
	for d := json.NewDecoder(made.Body); ; {
		var line struct{ Error string }
		if err := d.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if line.Error != "" {
			return fmt.Errorf("build %s: %s", tag, line.Error)
		}
	}
}

// shell runs a script on the Docker host.
func (g *host) shell(t testing.TB, script string) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	made, err := outer.Docker.ContainerExecCreate(ctx, g.box.ID, container.ExecOptions{Cmd: []string{"sh", "-c", script}, AttachStdout: true, AttachStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := outer.Docker.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, conn.Reader); err != nil {
		t.Fatal(err)
	}
	seen, err := outer.Docker.ContainerExecInspect(ctx, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if seen.ExitCode != 0 {
		t.Fatalf("on the Docker host: %s\nexit code %d\n%s", script, seen.ExitCode, out.String())
	}
	return out.String()
}

// entry is a file or directory on the Docker host.
type entry struct {
	Dir     bool
	Mode    int64
	UID     int
	Content string
}

// files reads a directory of the Docker host, by path relative to it; nil when
// there is none.
func (g *host) files(t testing.TB, dir string) map[string]entry {
	t.Helper()
	body, _, err := outer.Docker.CopyFromContainer(context.WithoutCancel(t.Context()), g.box.ID, dir)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	list := make(map[string]entry)
	for r := tar.NewReader(body); ; {
		head, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(path.Clean(head.Name), "/")
		if name != "" {
			list[name] = entry{Dir: head.Typeflag == tar.TypeDir, Mode: head.Mode & 0o7777, UID: head.Uid, Content: subnet.ReplaceAllString(string(content), "SUBNET")}
		}
	}
}

// stop stops a container by hand. The Engine answers before it lists the
// container as stopped (that waits for its disk), so the list is waited for.
func (g *host) stop(t testing.TB, name string) error {
	t.Helper()
	ctx := t.Context()
	if err := g.docker.ContainerStop(ctx, name, container.StopOptions{}); err != nil {
		return err
	}
	eventually(t, name+" is listed as stopped", func() bool {
		list, err := g.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("name", "^/"+name+"$"))})
		return err == nil && len(list) == 1 && list[0].State == container.StateExited
	})
	return nil
}

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
