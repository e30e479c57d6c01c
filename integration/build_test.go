package integration

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
	"github.com/heptaup/hepta/runner"
)

// buildImages are what each mode builds with here.
var buildImages = map[runner.Mode]string{runner.Socket: "docker:26", runner.Dind: "docker:26-dind", runner.Rootless: "quay.io/buildah/stable:latest"}

// A step that comes to something else each time it is run, and one that sees
// whatever was sent.
const builtDockerfile = `FROM scratch AS tool
COPY busybox /bin/busybox
COPY busybox /bin/sh
FROM tool AS app
COPY . /sent
ARG WORD
RUN /bin/busybox cat /proc/sys/kernel/random/uuid >/made
RUN /bin/busybox echo "$WORD" >/word
FROM tool AS unused
RUN /bin/busybox false
`

// busybox is a program without libraries, for images made from nothing.
func busybox(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	made, err := outer.docker.ContainerCreate(ctx, &container.Config{Image: outer.refs[images.Small].Local, Labels: map[string]string{label: t.Name()}}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer outer.docker.ContainerRemove(context.WithoutCancel(ctx), made.ID, container.RemoveOptions{Force: true})
	stream, _, err := outer.docker.CopyFromContainer(ctx, made.ID, "/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	pack := tar.NewReader(stream)
	if _, err := pack.Next(); err != nil {
		t.Fatal(err)
	}
	program, err := io.ReadAll(pack)
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}

// at is a directory with files.
func at(t *testing.T, files map[string]string) runner.Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return runner.Source{Dir: dir}
}

// loggedIn makes root's password what this machine's docker configuration
// knows about the registry.
func loggedIn(t *testing.T, stack *hepta.Stack, password string) {
	t.Helper()
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte("root:" + password))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{labRegistry: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}

// leaves checks that a build has left no container and no volume but kept.
func (s *site) leaves(t *testing.T, before []string, kept ...string) {
	t.Helper()
	list, err := s.docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", runner.LabelBuild))})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) > 0 {
		t.Errorf("a container is left: %s %s", list[0].Image, list[0].Status)
	}
	for _, v := range s.volumes(t) {
		if !slices.Contains(before, v) && !slices.Contains(kept, v) {
			t.Errorf("volume %s is left", v)
		}
	}
}

func (s *site) volumes(t *testing.T) []string {
	t.Helper()
	list, err := s.docker.VolumeList(t.Context(), volume.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, v := range list.Volumes {
		found = append(found, v.Name)
	}
	return found
}

// In every mode an image is built from what lies in a directory, pushed to the
// stack's registry under its authority, and the result says what the registry
// has. A cache keeps steps for the next build, and nothing else is left.
func TestBuild(t *testing.T) {
	ctx := t.Context()
	s := onSiteAlone(t)
	stack := s.lab(t)
	if err := images.Copy(ctx, outer.docker, s.docker, refs(images.Buildah)...); err != nil {
		t.Fatal(err)
	}
	p := s.project(t, stack, "built", git)
	password, err := stack.Forge().RootPassword(ctx)
	if err != nil {
		t.Fatal(err)
	}
	loggedIn(t, stack, password.Reveal())
	source := at(t, map[string]string{"Dockerfile": builtDockerfile, "busybox": busybox(t), "word.txt": "sent", "big.log": "ignored", ".dockerignore": "*.log"})
	for mode, image := range buildImages {
		t.Run(string(mode), func(t *testing.T) {
			before := s.volumes(t)
			o := runner.BuildOptions{Mode: mode, Image: image, Source: source, Args: []string{"WORD=" + string(mode)}, Push: true,
				Target: "app", Tags: []string{labRegistry + "/" + p.Path + ":" + string(mode), labRegistry + "/" + p.Path + ":also-" + string(mode)}}
			var kept []string
			if mode != runner.Socket {
				o.Cache = "cache-" + string(mode)
				kept = append(kept, o.Cache)
				t.Cleanup(func() {
					if err := s.docker.VolumeRemove(context.Background(), o.Cache, true); err != nil {
						t.Error(err)
					}
				})
			}
			first := s.build(t, stack, o)
			for _, tag := range []string{string(mode), "also-" + string(mode)} {
				for file, want := range map[string]string{"sent/word.txt": "sent", "word": string(mode) + "\n"} {
					if got := p.pulled(t, tag, file); got != want {
						t.Errorf("%s holds %q in %s, want %q", tag, got, file, want)
					}
				}
				if has := p.has(t, tag); has != first.Digest {
					t.Errorf("the registry has %s of %s, the result says %s", has, tag, first.Digest)
				}
			}
			if want := labRegistry + "/" + p.Path + "@" + first.Digest; first.Reference != want || !first.Kept || first.Context.Files != 4 {
				t.Errorf("the result is %+v", first)
			}
			s.leaves(t, before, kept...)
			if again := s.build(t, stack, o); again.Image != first.Image || again.Digest != first.Digest {
				t.Errorf("the steps were run again: %+v, then %+v", first, again)
			}
			o.NoCache = true
			if anew := s.build(t, stack, o); anew.Image == first.Image {
				t.Error("without a cache the steps were not run again")
			}
			s.leaves(t, before, kept...)
		})
	}
}

// build builds what has to be built.
func (s *site) build(t *testing.T, stack *hepta.Stack, o runner.BuildOptions) *runner.BuildResult {
	t.Helper()
	r, err := stack.Build(t.Context(), o)
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	return r
}

// has is the digest of a tag in the forge's registry.
func (p *project) has(t *testing.T, tag string) string {
	t.Helper()
	ca, err := p.stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	password, err := p.stack.Forge().RootPassword(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(labRegistry + "/" + p.Path + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Head(ref, remote.WithContext(t.Context()), remote.WithTransport(p.site.client(t, ca).Transport),
		remote.WithAuth(&authn.Basic{Username: "root", Password: password.Reveal()}))
	if err != nil {
		t.Fatal(err)
	}
	return d.Digest.String()
}

// What goes wrong in a build is told with its last words and a way out, and
// leaves nothing.
func TestBuildFails(t *testing.T) {
	s := onSiteAlone(t)
	stack := s.lab(t)
	if err := images.Copy(t.Context(), outer.docker, s.docker, refs(images.Buildah)...); err != nil {
		t.Fatal(err)
	}
	tool := busybox(t)
	loggedIn(t, stack, "not-the-password")
	broken := at(t, map[string]string{"busybox": tool, "Dockerfile": "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nRUN /bin/busybox echo these are the last words; /bin/busybox false\n"})
	good := at(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	for mode, image := range buildImages {
		t.Run(string(mode), func(t *testing.T) {
			before := s.volumes(t)
			_, err := stack.Build(t.Context(), runner.BuildOptions{Mode: mode, Image: image, Source: broken})
			if !errors.Is(err, runner.ErrBuildFailed) || !strings.Contains(fault.Describe(err), "these are the last words\n") {
				t.Errorf("a failing step: %s", fault.Describe(err))
			}
			_, err = stack.Build(t.Context(), runner.BuildOptions{Mode: mode, Image: image, Source: good, Push: true, Tags: []string{labRegistry + "/root/none:1"}})
			if !errors.Is(err, runner.ErrPushRefused) || !strings.Contains(fault.Remedy(err), "docker login "+labRegistry) {
				t.Errorf("a refused push: %s", fault.Describe(err))
			}
			if strings.Contains(fault.Describe(err), "not-the-password") {
				t.Error("the password is told")
			}
			s.leaves(t, before)
		})
	}
	t.Run("no privileges", func(t *testing.T) {
		base := outer.refs[images.Base].Local
		has, err := sandbox.Detect(t.Context(), outer.docker, base)
		if err != nil {
			t.Fatal(err)
		}
		_, err = runner.Build(t.Context(), runner.BuildOptions{Mode: runner.Dind, Image: base, Source: good}, runner.WithDocker(outer.docker))
		if errors.Is(err, runner.ErrNoPrivileges) == has.Privileged {
			t.Errorf("privileged containers work: %t; got %s", has.Privileged, fault.Describe(err))
		}
	})
}

// A build that is cancelled stops, on the Engine too, and leaves nothing; so
// does one whose process is killed.
func TestBuildCancelled(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t)
	if err := images.Copy(t.Context(), outer.docker, s.docker, refs(images.Buildah)...); err != nil {
		t.Fatal(err)
	}
	const mark = "86397"
	endless := at(t, map[string]string{"busybox": busybox(t), "Dockerfile": "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nRUN /bin/busybox sleep " + mark + "\n"})
	running := func() bool { return strings.Contains(s.processes(t), mark) }
	for mode, image := range buildImages {
		t.Run(string(mode), func(t *testing.T) {
			before := s.volumes(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := stack.Build(ctx, runner.BuildOptions{Mode: mode, Image: image, Source: endless})
				done <- err
			}()
			eventually(t, 3*time.Minute, "the build runs", running)
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the build ended with %v", err)
				}
			case <-time.After(2 * time.Minute):
				t.Fatal("the build goes on")
			}
			s.leaves(t, before)
			eventually(t, time.Minute, "the step ends", func() bool { return !running() })

			bin, err := program()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), bin, "--host", s.socket, "build", "--mode", string(mode), "--image", image, endless.Dir)
			cmd.Dir = t.TempDir()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 3*time.Minute, "the build runs", running)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			eventually(t, time.Minute, "the step of a killed build ends", func() bool { return !running() })
			eventually(t, time.Minute, "the container of a killed build is gone", func() bool {
				list, err := s.docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", runner.LabelBuild))})
				if err != nil {
					t.Fatal(err)
				}
				return len(list) == 0
			})
			s.leaves(t, before)
		})
	}
}

// processes are the command lines of everything that runs on the site.
func (s *site) processes(t *testing.T) string {
	t.Helper()
	r, err := engine.New(outer.docker, nil, nil).Exec(t.Context(), s.box.ID, engine.ExecOptions{Cmd: []string{"sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\000' ' '"}})
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Stdout)
}
