package hepta

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

func TestFloats(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]bool{
		"traefik": true, "traefik:latest": true, "traefik:v3": true, "traefik:v3.6": true, "traefik:v3.6.12": false,
		"octobus/heptapod:17.8": true, "octobus/heptapod:17.8.1": false, "gitlab/gitlab-ce:17.8.1-ce.0": false,
		"docker:28.5-dind": true, "docker:28.5.2-dind": false, "moby/buildkit:rootless": true, "moby/buildkit:v0.26.3-rootless": false,
		"registry.example.org:5000/a/b": true, "registry.example.org:5000/a/b:1.2.3": false, "10.0.0.1/a": true,
		"traefik" + digest: false, "traefik:latest" + digest: false, "sha256:0123456789ab": true, digest[1:]: false,
	} {
		if got := floats(image); got != want {
			t.Errorf("%s: %v", image, got)
		}
	}
}

// Every image that hepta names by itself is an exact one, and is named in one
// place.
func TestImagesArePinned(t *testing.T) {
	exempt := map[string]string{
		"heptapod.DefaultImage": "the forge's release is the administrator's choice, and a file without one keeps what runs",
		"ci.DatabaseImage":      "Postgres numbers its releases by two parts",
	}
	named := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "testdata" || path == "integration" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return firstOf(err, filepath.SkipDir)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || !strings.HasSuffix(spec.Names[0].Name, "Image") {
				return true
			}
			text, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				return true // made of another one
			}
			name := file.Name.Name + "." + spec.Names[0].Name
			image, err := strconv.Unquote(text.Value)
			if err != nil || exempt[name] != "" || strings.HasPrefix(spec.Names[0].Name, "file") || !strings.ContainsAny(image, ":/") {
				return true
			}
			named[name] = true
			if floats(image) {
				t.Errorf("%s: %s is %s, which floats", path, name, image)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"traefik.DefaultImage", "registry.DefaultMirrorImage", "runner.DefaultImage", "jobmode.Image", "jobmode.RootlessImage", "jobmode.BuildKitImage", "ci.BaseImage"} {
		if !named[name] {
			t.Errorf("%s was not looked at", name)
		}
	}
}

func firstOf(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// pullEngine is a Docker Engine whose registry has newer images.
type pullEngine struct {
	mu     sync.Mutex
	local  map[string]string // image → id
	remote map[string]string // what a pull gives; "" where the registry has none
	pulled []string
}

func (e *pullEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	w.Header().Set("Content-Type", "application/json")
	var answer any = []string{}
	switch {
	case path == "/images/json":
		var list []map[string]any
		for ref, id := range e.local {
			list = append(list, map[string]any{"Id": id, "RepoTags": []string{ref}})
		}
		answer = list
	case path == "/images/create":
		ref := strings.TrimPrefix(r.URL.Query().Get("fromImage"), "docker.io/library/") + ":" + r.URL.Query().Get("tag")
		e.pulled = append(e.pulled, ref)
		if e.remote[ref] == "" {
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]string{"message": "manifest for " + ref + " not found"}
			break
		}
		e.local[ref] = e.remote[ref]
		answer = map[string]string{"status": "Status: Downloaded newer image"}
	case strings.HasPrefix(path, "/images/"):
		ref := strings.TrimSuffix(strings.TrimPrefix(path, "/images/"), "/json")
		answer = map[string]string{"Id": e.local[ref]}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// What floats is pulled, what is missing too, and what is exact and there is
// left alone.
func TestPull(t *testing.T) {
	e := &pullEngine{
		local:  map[string]string{"traefik:v3.6": "sha256:t1", "hg:17.8": "sha256:h1", "runner:1.2.3": "sha256:r1"},
		remote: map[string]string{"traefik:v3.6": "sha256:t2", "hg:17.8": "sha256:h1", "registry:3.1.2": "sha256:m1"},
	}
	server := httptest.NewServer(e)
	defer server.Close()
	docker, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := stackOf(t, "forge: hg.example.org\n")
	s.opts.Docker = docker
	s.want = converge.Stack{Name: "hepta"}
	for _, c := range []string{"traefik traefik:v3.6", "heptapod hg:17.8", "runner runner:1.2.3", "mirror registry:3.1.2", "second traefik:v3.6"} {
		service, image, _ := strings.Cut(c, " ")
		s.want.Containers = append(s.want.Containers, converge.Container{Service: service, Image: image})
	}
	got, err := s.Pull(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []PulledImage{
		{"traefik:v3.6", []string{"traefik", "second"}, PullNew, "sha256:t1", "sha256:t2"},
		{"hg:17.8", []string{"heptapod"}, PullCurrent, "sha256:h1", "sha256:h1"},
		{"runner:1.2.3", []string{"runner"}, PullPinned, "sha256:r1", "sha256:r1"},
		{"registry:3.1.2", []string{"mirror"}, PullNew, "", "sha256:m1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(e.pulled) != 3 {
		t.Errorf("pulled %q", e.pulled)
	}

	// What cannot be had is told, the rest is pulled, and up does nothing.
	delete(e.remote, "hg:17.8")
	e.remote["traefik:v3.6"], e.pulled = "sha256:t3", nil
	got, err = s.Pull(t.Context())
	if err == nil || !strings.Contains(err.Error(), "hg:17.8") || len(got) != 4 || got[0].Result != PullNew || got[1].Result != PullFailed {
		t.Errorf("%+v, %v", got, err)
	}
	if plan, err := s.Up(t.Context(), UpOptions{Pull: true}); err == nil || plan != nil {
		t.Errorf("up went on: %v, %v", plan, err)
	}
}
