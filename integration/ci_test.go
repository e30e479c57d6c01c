package integration

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/runner/ci"
)

// Every pipeline that `hepta ci init` writes has to run as it is: on a real
// runner of its mode, in a project of either kind, and what it promises has to
// be in the registry afterwards.
func TestPipelinesOfCIInit(t *testing.T) {
	s := onSite(t)
	hub := s.hub(t)
	stack := s.lab(t, func(c *hepta.Config) {
		for _, r := range c.Runners {
			if r.Mode == "dind" {
				r.Docker["volumes"] = []any{hub + "/daemon.json:/etc/docker/daemon.json:ro"}
			}
		}
		c.Runners = append(c.Runners, hepta.Runner{Name: "rootless", Mode: "rootless", Tags: []string{"rootless"}, Concurrent: 2,
			Docker: map[string]any{"pull_policy": "if-not-present", "volumes": []any{hub + "/buildkitd.toml:/home/user/.config/buildkit/buildkitd.toml:ro"}}})
	})
	four := turnsOf(1, 2, 3, 4) // pipelines at once
	for _, c := range []struct {
		pipeline    ci.Pipeline
		mode, kinds string
	}{
		{ci.Build, "dind", "hg git"}, {ci.Build, "socket", "hg git"}, {ci.Build, "rootless", "hg git"},
		{ci.Test, "dind", "hg git"}, {ci.Test, "socket", "git"}, {ci.Test, "rootless", "hg"},
		{ci.Publish, "dind", "hg git"}, {ci.Publish, "socket", "hg"}, {ci.Publish, "rootless", "git"},
	} {
		for _, kind := range strings.Fields(c.kinds) {
			t.Run(fmt.Sprintf("%s %s %s", c.pipeline, c.mode, kind), func(t *testing.T) {
				t.Parallel()
				four.take(t)
				p := s.project(t, stack, fmt.Sprintf("ci-%s-%s-%s", c.pipeline, c.mode, kind), kind)
				word := "word of " + p.Path + "\n"
				files := map[string]string{"word.txt": word}
				if kind == git { // one that is there is built
					files["Dockerfile"] = "FROM " + ci.BaseImage + "\nWORKDIR /app\nCOPY word.txt first.txt\nRUN cp first.txt word.txt\n"
				}
				s.ciInit(t, files, "--pipeline", string(c.pipeline), "--mode", c.mode)
				if c.pipeline == ci.Publish {
					p.pushTagged(t, files, "v1.0")
				} else {
					p.push(t, https, files)
				}
				switch c.pipeline {
				case ci.Build:
					jobs := p.succeed(t, "build")
					p.holds(t, jobs["build"].Commit.ID[:8], word)
				case ci.Test:
					jobs := p.succeed(t, "build", "test", "release")
					p.holds(t, jobs["build"].Commit.ID[:8], word)
					p.holds(t, "latest", word)
					s.nothingOf(t, jobs["test"])
				case ci.Publish:
					if jobs := p.succeed(t, "publish"); !jobs["publish"].Tag {
						t.Error("it is not the pipeline of the tag")
					}
					p.holds(t, "v1.0", word)
					if all := p.pipelines(t); len(all) != 1 {
						t.Errorf("there are %d pipelines, want that of the tag alone", len(all))
					}
				}
			})
		}
	}
}

// ciInit adds to files what the program writes beside them.
func (s *site) ciInit(t *testing.T, files map[string]string, args ...string) {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), bin, append(append([]string{"ci", "init"}, args...), dir)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{".gitlab-ci.yml", "Dockerfile"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if was, there := files[name]; there && was != string(text) {
			t.Errorf("%s was changed", name)
		}
		files[name] = string(text)
	}
}

// pushTagged pushes files and then a tag of the commit. Mercurial's tag is in
// a commit of its own.
func (p *project) pushTagged(t *testing.T, files map[string]string, tag string) {
	t.Helper()
	script := gitScript + "git tag " + tag + "\ngit push \"$1\" " + tag + "\n"
	if p.Kind == hg {
		script = strings.Replace(hgScript, "hg push", "hg tag "+tag+"\nhg push", 1)
	}
	p.run(t, script, files, https, p.OverHTTP)
}

// holds checks what the image of a tag has as /app/word.txt.
func (p *project) holds(t *testing.T, tag, word string) {
	t.Helper()
	if got := p.pulled(t, tag, "app/word.txt"); got != word {
		t.Errorf("image %s holds %q, want %q", tag, got, word)
	}
}

func (p *project) pipelines(t *testing.T) []*gitlab.PipelineInfo {
	t.Helper()
	list, _, err := p.api.Pipelines.ListProjectPipelines(p.Path, nil, gitlab.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// nothingOf checks that a job has left nothing that bears its number.
func (s *site) nothingOf(t *testing.T, job *gitlab.Job) {
	t.Helper()
	id := fmt.Sprintf("-%d", job.ID)
	containers, err := s.docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("name", "database"+id))})
	if err != nil || len(containers) > 0 {
		t.Errorf("left %v, %v", containers, err)
	}
	networks, err := s.docker.NetworkList(t.Context(), network.ListOptions{})
	if err != nil || slices.ContainsFunc(networks, func(n network.Summary) bool { return n.Name == "test"+id }) {
		t.Errorf("network test%s is left, %v", id, err)
	}
}

// hub stands in for Docker Hub: a registry on the site that the site's Engine
// asks first, and files by which a job's own daemon and BuildKit do, in the
// directory that it returns. It holds what the pipelines name; images of jobs
// and their services are on the site itself.
func (s *site) hub(t *testing.T) (dir string) {
	t.Helper()
	ctx := t.Context()
	more, err := images.Ensure(ctx, outer.docker, say, images.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	if err := images.Copy(ctx, outer.docker, s.docker, more[images.Postgres].As(ci.DatabaseImage), outer.refs[images.Small].As("hepta/small:1", ci.BaseImage),
		outer.refs[images.DockerCLI].As("docker:26", "docker:26-cli", runner.DefaultJobImage), outer.refs[images.Dind].As("docker:26-dind", runner.DefaultDindImage),
		outer.refs[images.Buildah], outer.refs[images.BuildKit], outer.refs[images.Registry]); err != nil {
		t.Fatal(err)
	}
	made, err := s.docker.ContainerCreate(ctx, &container.Config{Image: "registry:3"},
		&container.HostConfig{PortBindings: nat.PortMap{"5000/tcp": {{HostPort: "5000"}}}}, nil, nil, "hub")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() { // the test's own context is over by now
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			t.Logf("the hub said last:\n%s", words(ctx, s.docker, made.ID))
		}
		s.remove(t, made.ID)
	})
	if err := s.docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ci.DatabaseImage, ci.BaseImage} {
		// Docker takes a registry on its own host without TLS.
		ref := "127.0.0.1:5000/library/" + name
		if err := s.docker.ImageTag(ctx, name, ref); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "push "+ref, func() bool { return s.push(ctx, ref) == nil })
	}
	bridge, err := s.docker.NetworkInspect(ctx, "bridge", network.InspectOptions{})
	if err != nil || len(bridge.IPAM.Config) == 0 {
		t.Fatalf("%+v, %v", bridge.IPAM, err)
	}
	mirror := bridge.IPAM.Config[0].Gateway + ":5000"
	daemon := fmt.Sprintf(`{"registry-mirrors": ["http://%[1]s"], "insecure-registries": [%[1]q]}`, mirror)
	dir = "/srv/hub"
	s.put(t, dir, "daemon.json", daemon)
	s.putAs(t, dir, "buildkitd.toml", 0o644, fmt.Sprintf("[registry.\"docker.io\"]\nmirrors = [%[1]q]\n[registry.%[1]q]\nhttp = true\n", mirror))
	if err := s.reload(ctx, daemon, 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What is not named would stay as it was.
		if err := s.reload(context.Background(), `{"registry-mirrors": [], "insecure-registries": []}`, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// push pushes an image to a registry that asks for no password.
func (s *site) push(ctx context.Context, ref string) error {
	stream, err := s.docker.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: "e30="})
	if err != nil {
		return err
	}
	defer stream.Close()
	for dec := json.NewDecoder(stream); ; {
		var said struct {
			Error string `json:"error"`
		}
		if err := dec.Decode(&said); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if said.Error != "" {
			return fmt.Errorf("push %s: %s", ref, said.Error)
		}
	}
}

// reload gives the site's Engine another daemon.json, with so many mirrors.
func (s *site) reload(ctx context.Context, daemon string, mirrors int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var pack bytes.Buffer
	w := tar.NewWriter(&pack)
	err := w.WriteHeader(&tar.Header{Name: "docker/daemon.json", Mode: 0o644, Size: int64(len(daemon))})
	if _, also := io.WriteString(w, daemon); err == nil {
		err = also
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := outer.docker.CopyToContainer(ctx, s.box.ID, "/etc", &pack, container.CopyToContainerOptions{}); err != nil {
		return err
	}
	if err := outer.docker.ContainerKill(ctx, s.box.ID, "HUP"); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := s.docker.Info(ctx)
		if err != nil {
			return err
		}
		if info.RegistryConfig != nil && len(info.RegistryConfig.Mirrors) == mirrors {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the site's Engine does not take its daemon.json over")
		}
	}
}
