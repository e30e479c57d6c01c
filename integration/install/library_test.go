package install

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/heptaup/hepta/integration/stage"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
)

// A program in a module of its own brings up a proxy, a forge, runners and a
// mirror, each alone in a stack of its own, and then all of them as one stack.
// The proxy publishes what carries its labels, and the runners are online.
func TestLibrary(t *testing.T) {
	ctx := t.Context()
	s, err := stage.Open(ctx, "hepta.library", images.Base, images.Traefik, images.HAProxy, images.Heptapod, images.Runner, images.Helper, images.DockerCLI, images.Registry, images.Small)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	box, docker := s.Inside(t, sandbox.Config{Hostname: "library", Publish: []sandbox.Port{{HostIP: "127.0.0.1", Container: 80}}},
		images.Base, images.Small, images.Traefik, images.HAProxy, images.Heptapod, images.Runner, images.Helper, images.DockerCLI, images.Registry)
	socket := filepath.Join(t.TempDir(), "docker.sock")
	served, err := box.Serve(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { served.Close() })
	web, err := box.Published(ctx, 80)
	if err != nil {
		t.Fatal(err)
	}

	p := publish(t)
	p.env = append(p.env, "DOCKER_HOST=unix://"+socket)
	user := t.TempDir()
	if err := os.CopyFS(user, os.DirFS("testdata/library")); err != nil {
		t.Fatal(err)
	}
	p.run(t, user, "go", "mod", "init", "example.org/library")
	p.run(t, user, "go", "get", modulePath+"@"+p.version)
	p.run(t, user, "go", "mod", "tidy")
	p.run(t, user, "go", "build", "-o", "library", ".")
	library := func(t *testing.T, args ...string) string {
		t.Helper()
		return p.run(t, user, filepath.Join(user, "library"), args...)
	}
	published := func(t *testing.T, host, page string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+web+page, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		said, again, until := "", time.NewTicker(200*time.Millisecond), time.Now().Add(20*time.Second)
		defer again.Stop()
		for ; time.Now().Before(until); <-again.C {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				said = err.Error()
				continue
			}
			resp.Body.Close()
			if said = resp.Status; resp.StatusCode == http.StatusOK {
				return
			}
		}
		t.Errorf("%s%s answers %s", host, page, said)
	}
	nothingLeft := func(t *testing.T) {
		t.Helper()
		list, err := docker.ContainerList(ctx, container.ListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if !strings.Contains(strings.Join(c.Names, " "), "upstream") {
				t.Errorf("%s is left", c.Names)
			}
		}
	}

	// The mirror asks a registry beside it, on a network that nobody's stack made.
	if _, err := docker.NetworkCreate(ctx, "web", network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	upstream, err := docker.ContainerCreate(ctx, &container.Config{Image: "registry:3"}, &container.HostConfig{NetworkMode: "web"}, nil, nil, "upstream")
	if err != nil {
		t.Fatal(err)
	}
	if err := docker.ContainerStart(ctx, upstream.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}

	// Somebody's container beside the proxy is published by the labels that it gives.
	ok := t.Run("proxy", func(t *testing.T) {
		library(t, "up", "proxy")
		labels := map[string]string{}
		if err := json.Unmarshal([]byte(library(t, "labels", "page.library.test")), &labels); err != nil {
			t.Fatal(err)
		}
		page, err := docker.ContainerCreate(ctx, &container.Config{Image: "hepta/small:1", Labels: labels,
			Cmd: []string{"sh", "-c", "mkdir /www && echo hello >/www/index.html && exec httpd -f -p 80 -h /www"}},
			&container.HostConfig{NetworkMode: "web"}, nil, nil, "page")
		if err != nil {
			t.Fatal(err)
		}
		if err := docker.ContainerStart(ctx, page.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		published(t, "page.library.test", "/")
		if err := docker.ContainerRemove(ctx, page.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		library(t, "down", "proxy")
		nothingLeft(t)
	})
	ok = ok && t.Run("forge", func(t *testing.T) {
		library(t, "up", "forge")
		published(t, "hg.library.test", "/users/sign_in")
	})
	ok = ok && t.Run("runners", func(t *testing.T) { library(t, "up", "runners") })
	ok = ok && t.Run("mirror", func(t *testing.T) { library(t, "up", "mirror") })
	for _, name := range []string{"mirror", "runners", "forge"} {
		library(t, "down", name)
	}
	nothingLeft(t)
	if !ok {
		return // the parts together fail as the one alone has
	}
	t.Run("together", func(t *testing.T) {
		library(t, "up", "together")
		published(t, "hg.library.test", "/users/sign_in")
		library(t, "down", "together")
		nothingLeft(t)
	})
}
