package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
)

// Jobs that have their own opinion of their daemon, as people write them, and
// jobs that have none. Images come from the mirror: there is no Docker Hub.
const daemonYAML = `default: {image: "docker:26", tags: [dind], services: ["docker:26-dind"]}
flags:
  services: [{name: "docker:26-dind", alias: docker, command: ["--mtu=1380", "--registry-mirror=https://mirror.example.org", "--insecure-registry=plain.example.org:5000"]}]
  script:
    - docker info
    - echo "packets of $(docker network inspect bridge --format '{{index .Options "com.docker.network.driver.mtu"}}')"
    - docker run --rm kept:1 echo "kept for me"
plain:
  variables: {DOCKER_HOST: "tcp://docker:2375", DOCKER_TLS_CERTDIR: ""}
  script:
    - docker run --rm kept:1 echo "kept for me"
  after_script:
    - echo "afterwards $(docker info --format '{{.Images}}') image"
plain_by_another_image:
  extends: plain
  image: {name: "docker:26", entrypoint: [""]}
secure_by_another_image:
  image: {name: "docker:26", entrypoint: [""]}
  script:
    - docker run --rm kept:1 echo "kept for me"
    - echo "by $DOCKER_HOST"
builder:
  script:
    - docker context create job
    - docker buildx create --use job
    - cp /bin/busybox .
    - docker buildx build --load --tag "$CI_REGISTRY_IMAGE:1" .
    - echo "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
    - docker push "$CI_REGISTRY_IMAGE:1"
`

// A runner of mode dind runs what any runner with /certs/client does: jobs that
// give their daemon flags beside those of the stack, jobs that switch TLS off,
// in the image of docker and in others, and builders made by buildx.
func TestJobsWithDaemonsOfTheirOwn(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	s.lab(t)
	if err := images.Copy(ctx, outer.docker, s.docker, refs(images.Registry, images.BuildKit)...); err != nil {
		t.Fatal(err)
	}
	s.upstream(t)
	s.builderImage(t, "builder:1")
	s.fill(t, "moby/buildkit:buildx-stable-1", "builder:1")
	stack := s.lab(t, func(c *hepta.Config) {
		c.Registry.Mirror = &hepta.Mirror{Image: "registry:3", Remote: "http://upstream:5000"}
	})
	p := s.project(t, stack, "daemons", git)
	p.push(t, https, map[string]string{".gitlab-ci.yml": daemonYAML, "word.txt": "made by a builder\n",
		"Dockerfile": "FROM scratch\nCOPY busybox /bin/sh\nCOPY word.txt first.txt\nRUN [\"/bin/sh\", \"-c\", \"while read -r line; do echo \\\"$line\\\"; done <first.txt >word.txt\"]\n"})
	jobs := p.succeed(t, "flags", "plain", "plain_by_another_image", "secure_by_another_image", "builder")
	p.says(t, jobs["flags"], "packets of 1380", "https://mirror.example.org/", "plain.example.org:5000", "kept for me")
	for _, name := range []string{"plain", "plain_by_another_image"} {
		p.says(t, jobs[name], "kept for me", "afterwards 1 image")
	}
	p.says(t, jobs["secure_by_another_image"], "kept for me", "by tcp://docker:2376")
	if got := p.pulled(t, "1", "word.txt"); got != "made by a builder\n" {
		t.Errorf("the builder made %q", got)
	}
}

// builderImage stands in for the image of buildx's builders: BuildKit with
// root's rights.
func (s *site) builderImage(t *testing.T, name string) {
	t.Helper()
	made, err := s.docker.ContainerCreate(t.Context(), &container.Config{Image: "moby/buildkit:rootless"}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove(t, made.ID)
	found, err := s.docker.ImageInspect(t.Context(), "moby/buildkit:rootless")
	if err != nil {
		t.Fatal(err)
	}
	env := slices.DeleteFunc(slices.Clone(found.Config.Env), func(e string) bool { return !strings.HasPrefix(e, "PATH=") })
	config := &container.Config{User: "0:0", Entrypoint: []string{"buildkitd"}, Env: append(env, "HOME=/root", "BUILDKIT_HOST=unix:///run/buildkit/buildkitd.sock")}
	if _, err := s.docker.ContainerCommit(t.Context(), made.ID, container.CommitOptions{Reference: name, Config: config}); err != nil {
		t.Fatal(err)
	}
}
