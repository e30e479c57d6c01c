package ci

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func parse(t *testing.T, src string) *Config {
	t.Helper()
	c, err := Parse([]byte(src), ".gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func push(ref string) Event {
	return Event{Source: "push", Ref: ref, Default: "main", Variables: map[string]string{
		"CI": "true", "CI_COMMIT_BRANCH": ref, "CI_COMMIT_REF_NAME": ref, "CI_DEFAULT_BRANCH": "main", "CI_PIPELINE_SOURCE": "push",
	}}
}

func pipeline(t *testing.T, src string, e Event) *Pipeline {
	t.Helper()
	p, err := parse(t, src).Pipeline(e)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func jobNames(p *Pipeline) string {
	var list []string
	for _, j := range p.Jobs {
		list = append(list, j.Name)
	}
	return strings.Join(list, " ")
}

var same = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Job{})}

// An image built in docker:dind, and one built with the host's socket.
func TestBuildsOfAnImage(t *testing.T) {
	t.Parallel()
	dind := pipeline(t, `
build_image:
  image: docker
  tags:
    - dind

  services:
    - name: "docker:19.03.12-dind"
      command: ["--experimental"]

  variables:
    DOCKER_BUILDKIT: 1
    IMAGE_NAME: $CI_REGISTRY_IMAGE:$CI_COMMIT_REF_SLUG
    # The client's certificates are in /certs/client,
    # a volume of the runner.
    DOCKER_TLS_CERTDIR: "/certs"

  script:
    - mkdir $HOME/.docker
    - "echo -e '{\n  \"experimental\": \"enabled\"\n}' | tee $HOME/.docker/config.json"
    - docker login -u gitlab-ci-token -p $CI_BUILD_TOKEN $CI_REGISTRY
    - docker build -t  $IMAGE_NAME .
`, push("branch/default"))
	want := []Job{{
		Name: "build_image", Stage: "test", When: "on_success",
		Image:    &Image{Name: "docker"},
		Services: []Image{{Name: "docker:19.03.12-dind", Command: []string{"--experimental"}}},
		Variables: []Variable{
			{Key: "DOCKER_BUILDKIT", Value: "1"},
			{Key: "IMAGE_NAME", Value: "$CI_REGISTRY_IMAGE:$CI_COMMIT_REF_SLUG"},
			{Key: "DOCKER_TLS_CERTDIR", Value: "/certs"},
		},
		Tags: []string{"dind"},
		Script: []string{
			"mkdir $HOME/.docker",
			"echo -e '{\n  \"experimental\": \"enabled\"\n}' | tee $HOME/.docker/config.json",
			"docker login -u gitlab-ci-token -p $CI_BUILD_TOKEN $CI_REGISTRY",
			"docker build -t  $IMAGE_NAME .",
		},
	}}
	if d := cmp.Diff(want, dind.Jobs, same); d != "" {
		t.Error(d)
	}
	socket := pipeline(t, `
build_image:
  image: docker
  tags:
    - python

  variables:
    DOCKER_BUILDKIT: 1
    IMAGE_NAME: $CI_REGISTRY_IMAGE:$CI_COMMIT_REF_SLUG


  script:
    - docker push $IMAGE_NAME
`, push("branch/default"))
	if d := cmp.Diff([]string{"python"}, socket.Jobs[0].Tags); d != "" {
		t.Error(d)
	}
}
