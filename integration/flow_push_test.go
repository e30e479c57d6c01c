package integration

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	gitlab "gitlab.com/gitlab-org/api/client-go"
)

// A pipeline that builds an image in both of the classic ways and hands a file
// from one job to the next.
const buildYAML = `stages: [build, check]
.build:
  stage: build
  image: docker:26
  script:
    - echo "the word is $(cat word.txt)"
    - echo "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
    - docker build -t "$CI_REGISTRY_IMAGE:$WAY" .
    - docker push "$CI_REGISTRY_IMAGE:$WAY"
    - mkdir made && echo "$WAY $(cat word.txt)" >"made/$WAY.txt"
  artifacts: {paths: [made/]}
in_dind:
  extends: .build
  tags: [dind]
  services: ["docker:26-dind"]
  variables: {DOCKER_TLS_CERTDIR: /certs, WAY: dind}
by_socket:
  extends: .build
  tags: [socket]
  variables: {WAY: socket}
look:
  stage: check
  image: docker:26
  tags: [socket]
  script: [cat made/dind.txt made/socket.txt]
`

// A pipeline of one job without Docker.
const lightYAML = `light:
  image: docker:26
  tags: [socket]
  script: [echo "the word is $(cat word.txt)"]
`

// Whatever the repository's kind and the way to it, a push has to run its
// pipeline on the real runner, and what its jobs make has to be had back:
// logs, artifacts, and images through the proxy under the stack's authority.
func TestPushRunsItsPipeline(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t)
	for _, c := range []struct {
		kind, way string
		build     bool
	}{{hg, https, true}, {git, viaSSH, true}, {hg, viaSSH, false}, {git, https, false}} {
		t.Run(c.kind+" over "+c.way, func(t *testing.T) {
			t.Parallel()
			p := s.project(t, stack, "push-"+c.kind+"-"+c.way, c.kind)
			word := "word-of-" + c.kind + "-" + c.way
			files := map[string]string{"word.txt": word + "\n", ".gitlab-ci.yml": lightYAML}
			if c.build {
				files[".gitlab-ci.yml"] = buildYAML
				files["Dockerfile"] = "FROM scratch\nCOPY word.txt /word.txt\nCMD [\"/none\"]\n"
			}
			p.push(t, c.way, files)
			if got := p.clone(t); got != files[".gitlab-ci.yml"] {
				t.Errorf("a clone has other content:\n%s", got)
			}
			if !c.build {
				jobs := p.succeed(t, "light")
				p.says(t, jobs["light"], "the word is "+word)
				return
			}
			jobs := p.succeed(t, "in_dind", "by_socket", "look")
			p.says(t, jobs["in_dind"], "the word is "+word)
			p.says(t, jobs["by_socket"], "the word is "+word)
			p.says(t, jobs["look"], "dind "+word, "socket "+word)
			for _, tag := range []string{"dind", "socket"} {
				if got := p.pulled(t, tag, "word.txt"); got != word+"\n" {
					t.Errorf("image %s holds %q, want %q", tag, got, word)
				}
			}
		})
	}
}

// says checks that a job's log has lines that its script printed.
func (p *project) says(t *testing.T, j *gitlab.Job, lines ...string) {
	t.Helper()
	log := p.trace(t.Context(), j)
	for _, want := range lines {
		found := false
		for line := range strings.Lines(log) {
			found = found || strings.TrimSpace(line) == want
		}
		if !found {
			t.Errorf("the log of job %s has no line %q", j.Name, want)
		}
	}
}

// pulled is a file of an image that the forge's registry gives.
func (p *project) pulled(t *testing.T, tag, file string) string {
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
	options := []remote.Option{remote.WithContext(t.Context()), remote.WithTransport(p.site.client(t, ca).Transport)}
	if _, err := remote.Image(ref, options...); err == nil {
		t.Errorf("%s is given to anybody", ref)
	}
	image, err := remote.Image(ref, append(options, remote.WithAuth(&authn.Basic{Username: "root", Password: password.Reveal()}))...)
	if err != nil {
		t.Fatal(err)
	}
	layers := mutate.Extract(image)
	defer layers.Close()
	for r := tar.NewReader(layers); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("image %s has no %s", tag, file)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimPrefix(h.Name, "/") == file {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
}

// A job that is cancelled in the forge has to end on the runner, long before
// it would by itself.
func TestCancelReachesTheRunner(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	stack := s.lab(t)
	p := s.project(t, stack, "cancel", git)
	p.push(t, https, map[string]string{".gitlab-ci.yml": `long:
  image: docker:26
  tags: [socket]
  script:
    - echo "it has begun"
    - i=0; while [ $i -lt 900 ]; do i=$((i + 1)); echo "round $i"; sleep 1; done
`})
	var job *gitlab.Job
	eventually(t, time.Minute, "the job runs", func() bool {
		list, _, err := p.api.Jobs.ListProjectJobs(p.Path, nil, gitlab.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return false
		}
		job = list[0]
		return strings.Contains(p.trace(ctx, job), "it has begun")
	})
	containers := func() int {
		list, err := s.docker.ContainerList(ctx, container.ListOptions{
			Filters: filters.NewArgs(filters.Arg("label", fmt.Sprintf("com.gitlab.gitlab-runner.job.id=%d", job.ID)))})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if containers() == 0 {
		t.Fatal("the running job has no container")
	}
	if _, _, err := p.api.Jobs.CancelJob(p.Path, job.ID, gitlab.WithContext(ctx)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 45*time.Second, "the job's containers are gone", func() bool { return containers() == 0 })
	if got := p.jobs(t)["long"].Status; got != "canceled" {
		t.Errorf("the job ended as %s", got)
	}
	// The runner goes on with other jobs.
	next := s.project(t, stack, "after-cancel", git)
	next.push(t, https, map[string]string{"word.txt": "next\n", ".gitlab-ci.yml": lightYAML})
	next.succeed(t, "light")
}
