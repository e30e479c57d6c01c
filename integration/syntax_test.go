package integration

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
)

// Builds of a Dockerfile whose first line names who reads it: in a daemon of
// the job with TLS and without, then by BuildKit without a daemon, for which
// the project's own registry has that image by then. There is no Docker Hub.
const syntaxYAML = `stages: [keep, build]
.docker:
  image: docker:26
  services: ["docker:26-dind"]
  before_script: [echo "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"]
  script:
    - echo "daemon ${DOCKER_HOST}"
    - docker build --tag "$CI_REGISTRY_IMAGE:$CI_JOB_NAME" .
    - docker push "$CI_REGISTRY_IMAGE:$CI_JOB_NAME"
frontend:
  extends: .docker
  stage: keep
  tags: [dind]
  script:
    - docker pull docker/dockerfile:1
    - docker tag docker/dockerfile:1 "$CI_REGISTRY_IMAGE/dockerfile:1"
    - docker push "$CI_REGISTRY_IMAGE/dockerfile:1"
tls:
  extends: .docker
  stage: build
  tags: [dind]
plain:
  extends: .docker
  stage: build
  tags: [open]
rootless:
  stage: build
  image: {name: "moby/buildkit:rootless", entrypoint: [""]}
  tags: [rootless]
  script:
    - mkdir -p ~/.docker
    - printf '{"auths":{"%s":{"auth":"%s"}}}' "$CI_REGISTRY" "$(printf %s "$CI_REGISTRY_USER:$CI_REGISTRY_PASSWORD" | base64 | tr -d '\n')" >~/.docker/config.json
    - sed -i "1s,=.*,=$CI_REGISTRY_IMAGE/dockerfile:1," Dockerfile
    - buildctl-daemonless.sh build --frontend dockerfile.v0 --local context=. --local dockerfile=. --output "type=image,name=$CI_REGISTRY_IMAGE:rootless,push=true"
`

// COPY --exclude is what no builder of the site knows by itself.
const syntaxDockerfile = `# syntax=docker/dockerfile:1
FROM scratch
COPY --exclude=*.yml . /app/
`

// A Dockerfile with a line "# syntax=" is read by the image that it names,
// which comes from the mirror, or from the stack's registry where it was put,
// also for a runner whose jobs speak to their daemon without TLS.
func TestDockerfileSyntax(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	s.lab(t)
	more, err := images.Ensure(ctx, outer.docker, say, images.Frontend)
	if err != nil {
		t.Fatal(err)
	}
	if err := images.Copy(ctx, outer.docker, s.docker, append(refs(images.Registry, images.BuildKit), more[images.Frontend])...); err != nil {
		t.Fatal(err)
	}
	s.upstream(t)
	s.fill(t, "docker/dockerfile:1", "docker/dockerfile:1")
	stack := s.lab(t, func(c *hepta.Config) {
		c.Registry.Mirror = &hepta.Mirror{Image: "registry:3", Remote: "http://upstream:5000"}
		c.Runners = append(c.Runners,
			hepta.Runner{Name: "open", Mode: "dind", Tags: []string{"open"}, TLS: new(bool), Docker: map[string]any{"pull_policy": "if-not-present"}},
			hepta.Runner{Name: "rootless", Mode: "rootless", Tags: []string{"rootless"}, Docker: map[string]any{"pull_policy": "if-not-present"}})
	})
	p := s.project(t, stack, "syntax", git)
	const word = "read by a frontend\n"
	p.push(t, https, map[string]string{".gitlab-ci.yml": syntaxYAML, "Dockerfile": syntaxDockerfile, "word.txt": word})
	jobs := p.succeed(t, "frontend", "tls", "plain", "rootless")
	p.says(t, jobs["tls"], "daemon tcp://docker:2376")
	p.says(t, jobs["plain"], "daemon tcp://docker:2375")
	for _, tag := range []string{"tls", "plain", "rootless"} {
		if got := p.pulled(t, tag, "app/word.txt"); got != word {
			t.Errorf("image %s holds %q", tag, got)
		}
	}
	if log := p.trace(ctx, jobs["plain"]); !strings.Contains(log, "docker/dockerfile:1") {
		t.Errorf("the build did not name its frontend:\n%s", log)
	}
}
