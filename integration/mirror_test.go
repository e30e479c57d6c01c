package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
)

// A job whose image only the mirror can give: there is no Docker Hub here.
const mirrorYAML = `pull:
  image: docker:26
  tags: [dind]
  services: ["docker:26-dind"]
  variables: {DOCKER_TLS_CERTDIR: /certs}
  script:
    - docker run --rm kept:1 echo "kept for me"
`

// What the mirror has fetched once it gives again without asking upstream.
func TestMirror(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	s.lab(t)
	if err := images.Copy(ctx, outer.docker, s.docker, refs(images.Registry)...); err != nil {
		t.Fatal(err)
	}
	upstream := s.upstream(t)
	mirrored := s.lab(t, func(c *hepta.Config) {
		c.Registry.Mirror = &hepta.Mirror{Image: "registry:3", Remote: "http://upstream:5000"}
	})
	st, err := mirrored.Mirror(ctx)
	if err != nil || !st.OK() || st.Host || !strings.Contains(st.Remedy, st.Address) {
		t.Errorf("status %+v, %v", st, err)
	}

	first := s.project(t, mirrored, "mirror-first", git)
	first.push(t, https, map[string]string{".gitlab-ci.yml": mirrorYAML})
	first.says(t, first.succeed(t, "pull")["pull"], "kept for me")
	if log := words(ctx, s.docker, upstream); !strings.Contains(log, "/v2/library/kept/") {
		t.Errorf("upstream was not asked at all:\n%s", log)
	}
	if err := s.docker.ContainerStop(ctx, upstream, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	second := s.project(t, mirrored, "mirror-second", git)
	second.push(t, https, map[string]string{".gitlab-ci.yml": mirrorYAML})
	second.says(t, second.succeed(t, "pull")["pull"], "kept for me")

	// Left out again, the mirror goes and jobs are not told of it any more.
	plain := s.lab(t)
	if _, err := s.docker.ContainerInspect(ctx, labStack+"-mirror"); err == nil {
		t.Error("the mirror is still there")
	}
	if got := s.output(t, plain, "runner", "cat /etc/gitlab-runner/config.toml"); strings.Contains(got, "registry-mirror") {
		t.Errorf("jobs are told of a mirror:\n%s", got)
	}
}

// upstream is a registry beside the lab that has one image.
func (s *site) upstream(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	made, err := s.docker.ContainerCreate(ctx, &container.Config{Image: "registry:3", ExposedPorts: nat.PortSet{"5000/tcp": {}}},
		&container.HostConfig{NetworkMode: "lab", PortBindings: nat.PortMap{"5000/tcp": {{HostIP: "127.0.0.1", HostPort: "5001"}}}},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"lab": {}}}, nil, "upstream")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.remove(t, made.ID) })
	if err := s.docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	s.fill(t, "library/kept:1", "hepta/small:1")
	return made.ID
}

// fill gives upstream an image of the site under another name.
func (s *site) fill(t *testing.T, name, image string) {
	t.Helper()
	ctx := t.Context()
	ref := "127.0.0.1:5001/" + name
	if err := s.docker.ImageTag(ctx, image, ref); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.docker.ImageRemove(context.Background(), ref, dockerimage.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, time.Minute, name+" is upstream", func() bool { return s.push(ctx, ref) == nil })
}
