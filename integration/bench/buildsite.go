package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/stdcopy"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
)

const (
	registryHost = "registry.hepta.test"
	// baseImage lies in the forge's registry, in a project that everybody may
	// read. No Engine has any layer of it beforehand.
	baseImage = registryHost + "/root/base/python:1"
)

// buildConfiguration has a runner for each way to build.
const buildConfiguration = `stack: ` + stackName + `
data: ` + dataDir + `
heptapod:
  host: ` + forgeHost + `
  image: octobus/heptapod:17.8
registry: ` + registryHost + `
traefik: {image: "traefik:v3.6.12"}
tls: {mode: internal}
runner: {image: "gitlab/gitlab-runner:latest", check_interval: 1}
runners:
  - {name: socket, mode: socket, tags: [socket], image: "docker:26", docker: {pull_policy: if-not-present}}
  - {name: seed_dind, mode: dind, tags: [seed_dind], image: "docker:26", docker: {pull_policy: if-not-present}}
  - {name: dind, mode: dind, tags: [dind], image: "docker:26", build_cache: 20g, docker: {pull_policy: if-not-present}}
  - {name: rootless, mode: rootless, tags: [rootless, buildah], build_cache: 20g, docker: {pull_policy: if-not-present}}
`

// buildForge brings up a forge with its registry and those runners.
func (b *bench) buildForge(ctx context.Context) error {
	if b.stack != nil {
		return errors.New("the forge of another suite is up")
	}
	b.say("bring the forge up")
	made, err := images.Ensure(ctx, b.outer, b.sink(), images.Base, images.Small, images.Traefik, images.HAProxy, images.Runner, images.Helper, images.Heptapod,
		images.DockerCLI, images.Dind, images.Buildah, images.BuildKit)
	if err != nil {
		return err
	}
	var refs []images.Ref
	for _, r := range made {
		refs = append(refs, r)
	}
	if err := images.Copy(ctx, b.outer, b.inner, refs...); err != nil {
		return err
	}
	cfg, err := hepta.Parse("hepta.yaml", []byte(buildConfiguration))
	if err != nil {
		return err
	}
	if b.stack, err = hepta.New(cfg, hepta.WithDocker(b.inner)); err != nil {
		return err
	}
	_, err = b.stack.Up(ctx, hepta.UpOptions{})
	return err
}

// buildSite is what the builds share.
type buildSite struct {
	b     *bench
	api   *gitlab.Client
	pass  hepta.Secret
	ca    []byte
	base  string // image with git
	begun map[string]int
}

func (b *bench) buildSite(ctx context.Context) (*buildSite, error) {
	at, err := b.box.Published(ctx, 443)
	if err != nil {
		return nil, err
	}
	s := &buildSite{b: b, begun: map[string]int{}}
	if s.ca, err = b.stack.CACertificate(ctx); err != nil {
		return nil, err
	}
	if s.pass, err = b.stack.Forge().RootPassword(ctx); err != nil {
		return nil, err
	}
	token, err := b.stack.Forge().Token(ctx)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.ca)
	web := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at)
		},
	}}
	if s.api, err = gitlab.NewClient(token.Value.Reveal(), gitlab.WithBaseURL("https://"+forgeHost), gitlab.WithHTTPClient(web)); err != nil {
		return nil, fmt.Errorf("make client of the forge: %w", err)
	}
	projects := map[string]gitlab.VisibilityValue{"base": gitlab.PublicVisibility}
	for _, w := range ways {
		projects[w.path()] = gitlab.PrivateVisibility
	}
	for name, visible := range projects {
		req, err := s.api.NewRequest(http.MethodPost, "projects", map[string]string{"name": name, "vcs_type": "git", "visibility": string(visible)},
			[]gitlab.RequestOptionFunc{gitlab.WithContext(ctx)})
		if err == nil {
			_, err = s.api.Do(req, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("create project %s: %w", name, err)
		}
	}
	made, err := images.Ensure(ctx, b.outer, b.sink(), images.Base)
	if err != nil {
		return nil, err
	}
	s.base = made[images.Base].Local
	b.say("  make the base image and push it")
	return s, s.pushBase(ctx)
}

// trim leaves a system with Python: about the size of python:3-slim with
// some libraries.
const trim = `rm -rf /usr/bin/docker* /usr/sbin/dockerd /usr/bin/containerd* /usr/sbin/runc /usr/libexec/docker /usr/lib/git-core /usr/lib/ruby \
	/var/lib/gems /usr/lib/docker /usr/share/doc /usr/share/locale /usr/share/man /var/cache /var/lib/apt
echo bench >/etc/bench`

// pushBase makes an image of one layer that no Engine has, and leaves it in the
// registry alone.
func (s *buildSite) pushBase(ctx context.Context) error {
	docker := s.b.inner
	id, err := s.start(ctx, []string{"sh", "-ec", trim}, nil)
	if err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	defer docker.ContainerRemove(context.WithoutCancel(ctx), id, container.RemoveOptions{Force: true})
	if err := s.wait(ctx, id); err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	files, err := docker.ContainerExport(ctx, id)
	if err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	defer files.Close()
	imported, err := docker.ImageImport(ctx, image.ImportSource{Source: files, SourceName: "-"}, baseImage,
		image.ImportOptions{Changes: []string{"ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}})
	if err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	defer imported.Close()
	if err := streamed(imported); err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	auth, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: "root", Password: s.pass.Reveal(), ServerAddress: registryHost})
	if err != nil {
		return err
	}
	pushed, err := docker.ImagePush(ctx, baseImage, image.PushOptions{RegistryAuth: auth})
	if err != nil {
		return fmt.Errorf("push base image: %w", err)
	}
	defer pushed.Close()
	if err := streamed(pushed); err != nil {
		return fmt.Errorf("push base image: %w", err)
	}
	_, err = docker.ImageRemove(ctx, baseImage, image.RemoveOptions{Force: true, PruneChildren: true})
	return err
}

// streamed reads the Engine's messages to their end and gives the error among
// them.
func streamed(body io.Reader) error {
	for d := json.NewDecoder(body); ; {
		var message struct {
			Error string `json:"error"`
		}
		if err := d.Decode(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if message.Error != "" {
			return errors.New(strings.TrimSpace(message.Error))
		}
	}
}

const pushScript = `set -e
cd /bench/work
export HOME=/bench GIT_TERMINAL_PROMPT=0
git config --global user.name bench && git config --global user.email root@hepta.test
git config --global http.sslCAInfo /bench/ca.crt && git config --global credential.helper 'store --file=/bench/credentials'
git init -q -b main . && git add -A && git commit -qm first && git push -q "$1" main
`

// push makes the project's first commit, which begins its first job.
func (s *buildSite) push(ctx context.Context, w way) error {
	files := map[string]string{
		"bench/ca.crt":                string(s.ca),
		"bench/credentials":           fmt.Sprintf("https://root:%s@%s\n", s.pass.Reveal(), forgeHost),
		"bench/work/.gitlab-ci.yml":   w.pipeline(),
		"bench/work/Dockerfile":       dockerfile,
		"bench/work/requirements.txt": "flask==3.1\n",
		"bench/work/src/main.py":      "import round\nprint(round.round)\n",
	}
	id, err := s.start(ctx, []string{"sh", "-c", pushScript, "push", "https://" + forgeHost + "/root/" + w.path() + ".git"}, files)
	if err != nil {
		return fmt.Errorf("push %s: %w", w.name, err)
	}
	defer s.b.inner.ContainerRemove(context.WithoutCancel(ctx), id, container.RemoveOptions{Force: true})
	if err := s.wait(ctx, id); err != nil {
		return fmt.Errorf("push %s: %w", w.name, err)
	}
	return nil
}

// again begins the project's next job.
func (s *buildSite) again(ctx context.Context, w way, round int) error {
	_, _, err := s.api.Pipelines.CreatePipeline("root/"+w.path(), &gitlab.CreatePipelineOptions{Ref: gitlab.Ptr("main"),
		Variables: &[]*gitlab.PipelineVariableOptions{{Key: gitlab.Ptr("ROUND"), Value: gitlab.Ptr(strconv.Itoa(round))}}}, gitlab.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("begin job of %s: %w", w.name, err)
	}
	return nil
}

// start starts a command with files in a container beside the forge.
func (s *buildSite) start(ctx context.Context, cmd []string, files map[string]string) (id string, err error) {
	made, err := s.b.inner.ContainerCreate(ctx, &container.Config{Image: s.base, Entrypoint: cmd}, &container.HostConfig{NetworkMode: "host"}, nil, nil, "")
	if err != nil {
		return "", err
	}
	if len(files) > 0 {
		pack, err := archive(files)
		if err != nil {
			return "", err
		}
		if err := s.b.inner.CopyToContainer(ctx, made.ID, "/", pack, container.CopyToContainerOptions{}); err != nil {
			return "", err
		}
	}
	return made.ID, s.b.inner.ContainerStart(ctx, made.ID, container.StartOptions{})
}

// wait waits until the container has ended well.
func (s *buildSite) wait(ctx context.Context, id string) error {
	ended, failed := s.b.inner.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case err := <-failed:
		return err
	case e := <-ended:
		if e.StatusCode == 0 {
			return nil
		}
		var out bytes.Buffer
		logs, err := s.b.inner.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
		if err == nil {
			defer logs.Close()
			_, _ = stdcopy.StdCopy(&out, &out, logs) // as far as it comes
		}
		return fmt.Errorf("exit code %d: %s", e.StatusCode, strings.TrimSpace(out.String()))
	}
}
