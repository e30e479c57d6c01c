package integration

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/runner"
)

// A job that says which daemon it works with, what it finds there, and what a
// step of its build came to that gives another result each time it is run. It
// leaves a container, a volume and a network, and with EXTRA does more.
const cachedYAML = `build:
  image: docker:26
  tags: [cached]
  services: ["docker:26-dind"]
  script:
    - echo "daemon $(docker info --format '{{.ID}}')"
    - echo "found $(docker ps -aq | wc -l) containers, $(docker volume ls -q | wc -l) volumes, $(docker network ls -q | wc -l) networks"
    - echo "takes $(du -sm /var/lib/docker | cut -f 1) MiB"
    - cp /bin/busybox .
    - docker build -q -t app .
    - echo "built $(docker run --name left app cat /made)"
    - docker volume create left
    - docker network create left
    - eval "$EXTRA"
`

const cachedDockerfile = `FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
COPY busybox /bin/cat
RUN cat /proc/sys/kernel/random/uuid >/made
`

// The same by buildah.
const cachedRootlessYAML = `build:
  image: quay.io/buildah/stable:latest
  tags: [cached-rootless]
  script:
    - echo "daemon $(buildah info --format '{{.store.GraphDriverName}}')"
    - echo "found $(buildah containers -q | wc -l) containers"
    - echo "takes $(du -sm /var/lib/containers | cut -f 1) MiB"
    - cp /bin/busybox .
    - buildah bud -q --isolation chroot -t app .
    - echo "built $(buildah images -q --no-trunc app)"
    - buildah from app
    - eval "$EXTRA"
`

// The same by BuildKit.
const cachedBuildKitYAML = `build:
  image: {name: "moby/buildkit:rootless", entrypoint: [""]}
  tags: [cached-buildkit]
  variables: {BUILD: "buildctl-daemonless.sh build --frontend dockerfile.v0 --local context=. --local dockerfile=."}
  script:
    - echo "daemon $(buildctl-daemonless.sh debug workers -v | sed -n 's/.*snapshotter:[[:space:]]*//p')"
    - echo "found $(ls -d ~/.local/share/buildkit/*[0-9] | wc -l) directories"
    - echo "takes $(rootlesskit du -sm ~/.local/share/buildkit | cut -f 1) MiB"
    - cp /bin/busybox .
    - $BUILD --output type=local,dest=out
    - echo "built $(cat out/made)"
    - eval "$EXTRA"
`

// cachedLab is the lab with three more runners, which keep what was built.
func (s *site) cachedLab(t *testing.T) *hepta.Stack {
	t.Helper()
	return s.lab(t, func(c *hepta.Config) {
		c.Runners = append(c.Runners, hepta.Runner{Name: "cached", Mode: "dind", Tags: []string{"cached"}, Concurrent: 2,
			Image: "docker:26", BuildCache: runner.MinBuildCache, Docker: map[string]any{"pull_policy": "if-not-present"}},
			hepta.Runner{Name: "cached-rootless", Mode: "rootless", Tags: []string{"cached-rootless"},
				BuildCache: runner.MinBuildCache, Docker: map[string]any{"pull_policy": "if-not-present"}},
			hepta.Runner{Name: "cached-buildkit", Mode: "rootless", Tags: []string{"cached-buildkit"},
				BuildCache: runner.MinBuildCache, Docker: map[string]any{"pull_policy": "if-not-present"}})
	})
}

// told is what a job of cachedYAML said.
type told struct{ daemon, found, built, takes string }

var cachedLines = regexp.MustCompile(`(?m)^(daemon|found|built|takes) (.*?)\r?$`)

// hear waits for the only job of a pipeline to end, which has to be well, and
// gives what it said.
func (p *project) hear(t *testing.T, pipeline int64) (said told) {
	t.Helper()
	p.listen(t, pipeline, func(j *gitlab.Job, lines int) bool {
		if j.Status == "failed" || j.Status == "canceled" || j.Status == "success" && lines != 4 {
			t.Fatalf("the job ended as %s and said %d lines", j.Status, lines)
		}
		return j.Status == "success"
	}, &said)
	return said
}

// listen reads what the only job of a pipeline says until that is enough. When
// that is its end, the runner has let go of its slot afterwards: it tells the
// forge before it removes the job's containers, and a job that comes in between
// gets another slot.
func (p *project) listen(t *testing.T, pipeline int64, enough func(j *gitlab.Job, lines int) bool, said *told) {
	t.Helper()
	var job *gitlab.Job
	eventually(t, 8*time.Minute, fmt.Sprintf("the job of pipeline %d of %s", pipeline, p.Path), func() bool {
		list, _, err := p.api.Jobs.ListPipelineJobs(p.Path, pipeline, nil, gitlab.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return false
		}
		got := map[string]string{}
		for _, m := range cachedLines.FindAllStringSubmatch(p.trace(t.Context(), list[0]), -1) {
			got[m[1]] = m[2]
		}
		*said = told{got["daemon"], got["found"], got["built"], got["takes"]}
		job = list[0]
		return enough(job, len(got))
	})
	if job.FinishedAt == nil {
		return
	}
	mark := filters.NewArgs(filters.Arg("label", fmt.Sprintf("com.gitlab.gitlab-runner.job.id=%d", job.ID)))
	eventually(t, time.Minute, fmt.Sprintf("the containers of job %d are gone", job.ID), func() bool {
		left, err := p.site.docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: mark})
		if err != nil {
			t.Fatal(err)
		}
		// What holds the volumes stays, for the next job.
		return !slices.ContainsFunc(left, func(c container.Summary) bool { return c.Labels["com.gitlab.gitlab-runner.type"] != "cache" })
	})
}

// again starts the project's pipeline once more and gives its number.
func (p *project) again(t *testing.T, extra string) int64 {
	t.Helper()
	made, _, err := p.api.Pipelines.CreatePipeline(p.Path, &gitlab.CreatePipelineOptions{
		Ref: gitlab.Ptr("main"), Variables: &[]*gitlab.PipelineVariableOptions{{Key: gitlab.Ptr("EXTRA"), Value: gitlab.Ptr(extra)}}}, gitlab.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return int64(made.ID)
}

// pushed pushes the project's files and gives what its first job said.
func (p *project) pushed(t *testing.T, files map[string]string) told {
	t.Helper()
	p.push(t, https, files)
	var id int64
	eventually(t, time.Minute, p.Path+" has a pipeline", func() bool {
		list, _, err := p.api.Pipelines.ListProjectPipelines(p.Path, nil, gitlab.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return false
		}
		id = int64(list[0].ID)
		return true
	})
	return p.hear(t, id)
}

// What a job has built is there for the next one of its project and slot, and
// for nobody else: not for another project, not for a job beside it. What a
// job leaves running or lying about is not there, the size is kept to, and a
// directory that is broken costs its content and nothing more.
func TestBuildCache(t *testing.T) {
	s := onSite(t)
	if err := images.Copy(t.Context(), outer.docker, s.docker, refs(images.Buildah, images.BuildKit)...); err != nil {
		t.Fatal(err)
	}
	stack := s.cachedLab(t)
	for name, keeps := range map[string]func(*testing.T, *site, *hepta.Stack){"dind": daemonKeeps, "buildah": buildahKeeps, "BuildKit": buildKitKeeps} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keeps(t, s, stack)
		})
	}
}

func daemonKeeps(t *testing.T, s *site, stack *hepta.Stack) {
	files := map[string]string{".gitlab-ci.yml": cachedYAML, "Dockerfile": cachedDockerfile}
	one := s.project(t, stack, "cached-one", git)
	first := one.pushed(t, files)

	next := one.hear(t, one.again(t, ""))
	if next.daemon != first.daemon || next.built != first.built {
		t.Errorf("nothing was kept: %+v, then %+v", first, next)
	}
	if next.found != "0 containers, 0 volumes, 3 networks" {
		t.Errorf("a job found what the one before it has left: %s", next.found)
	}

	other := s.project(t, stack, "cached-other", git)
	if got := other.pushed(t, files); got.daemon == first.daemon || got.built == first.built {
		t.Errorf("another project works with the same directory: %+v and %+v", first, got)
	}

	// The first of two jobs goes on until the second is done.
	var long told
	a := one.again(t, "sleep 3600")
	one.listen(t, a, func(_ *gitlab.Job, lines int) bool { return lines == 4 }, &long)
	if beside := one.hear(t, one.again(t, "")); beside.daemon == long.daemon || beside.built == long.built {
		t.Errorf("two jobs at once share a directory: %+v and %+v", long, beside)
	}
	if _, _, err := one.api.Pipelines.CancelPipelineBuild(one.Path, a, gitlab.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	one.listen(t, a, func(j *gitlab.Job, _ int) bool { return j.Status == "canceled" }, &long)
	if long.built != first.built {
		t.Errorf("with a second job beside it nothing was kept: %+v, then %+v", first, long)
	}

	const grow = `printf 'FROM app\nRUN busybox dd if=/dev/zero of=/big bs=1M count=1100\n' | docker build -q -t big -`
	one.hear(t, one.again(t, grow))
	const spoil = `echo broken | tee /var/lib/docker/0/volumes/metadata.db /var/lib/docker/0/buildkit/cache.db /var/lib/docker/0/buildkit/metadata_v2.db`
	small := one.hear(t, one.again(t, spoil))
	var mib int
	if _, err := fmt.Sscan(small.takes, &mib); err != nil || mib >= runner.MinBuildCache>>20 {
		t.Errorf("a job began with %s, the limit is %d MiB", small.takes, runner.MinBuildCache>>20)
	}
	if small.built != first.built {
		t.Errorf("what was used most lately went, too: %+v, then %+v", first, small)
	}
	if got := one.hear(t, one.again(t, "")); got.built == first.built {
		t.Error("the directory was not broken, so nothing shows that a broken one is survived")
	}
}

// Without privileges it is the same, on a driver that copies nothing.
func buildahKeeps(t *testing.T, s *site, stack *hepta.Stack) {
	files := map[string]string{".gitlab-ci.yml": cachedRootlessYAML, "Dockerfile": cachedDockerfile}
	one := s.project(t, stack, "rootless-one", git)
	first := one.pushed(t, files)
	if first.daemon != "overlay" {
		t.Errorf("the driver is %s", first.daemon)
	}
	next := one.hear(t, one.again(t, `dd if=/dev/zero of=/var/lib/containers/big bs=1M count=1100`))
	if next.built != first.built {
		t.Errorf("nothing was kept: %+v, then %+v", first, next)
	}
	if next.found != "0 containers" {
		t.Errorf("a job found what the one before it has left: %s", next.found)
	}
	other := s.project(t, stack, "rootless-other", git)
	if got := other.pushed(t, files); got.built == first.built {
		t.Errorf("another project works with the same directory: %+v and %+v", first, got)
	}
	small := one.hear(t, one.again(t, `echo broken | tee /var/lib/containers/storage/overlay-layers/layers.json /var/lib/containers/storage/overlay-images/images.json`))
	var mib int
	if _, err := fmt.Sscan(small.takes, &mib); err != nil || mib >= runner.MinBuildCache>>20 {
		t.Errorf("a job began with %s, the limit is %d MiB", small.takes, runner.MinBuildCache>>20)
	}
	if got := one.hear(t, one.again(t, "")); got.built == small.built || got.daemon != "overlay" {
		t.Errorf("the directory was not broken, or is given up: %+v, then %+v", small, got)
	}
}

// BuildKit keeps in the same way what it has built, drops what was not used of
// late, and has a directory for each build that runs at once.
func buildKitKeeps(t *testing.T, s *site, stack *hepta.Stack) {
	files := map[string]string{".gitlab-ci.yml": cachedBuildKitYAML, "Dockerfile": cachedDockerfile}
	one := s.project(t, stack, "buildkit-one", git)
	again := func(extra string) (said told, trace string) {
		t.Helper()
		pipeline := one.again(t, extra)
		said = one.hear(t, pipeline)
		jobs, _, err := one.api.Jobs.ListPipelineJobs(one.Path, pipeline, nil, gitlab.WithContext(t.Context()))
		if err != nil || len(jobs) != 1 {
			t.Fatalf("%d jobs, %v", len(jobs), err)
		}
		if said.daemon != "overlayfs" {
			t.Errorf("the snapshotter is %q", said.daemon)
		}
		return said, one.trace(t.Context(), jobs[0])
	}
	first := one.pushed(t, files)
	next, _ := again(`$BUILD & $BUILD --opt build-arg:OTHER=1; wait`)
	if next.built != first.built {
		t.Errorf("nothing was kept: %+v, then %+v", first, next)
	}
	other := s.project(t, stack, "buildkit-other", git)
	if got := other.pushed(t, files); got.built == first.built {
		t.Errorf("another project works with the same directory: %+v and %+v", first, got)
	}
	// The directory that the build beside another one had is gone.
	big, _ := again(`mkdir big && cp busybox big && printf 'FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nRUN /bin/busybox dd if=/dev/zero of=/big bs=1M count=1100\n' >big/Dockerfile && cd big && $BUILD`)
	if big.built != first.built || big.found != "1 directories" {
		t.Errorf("got %+v after %+v", big, first)
	}
	const anew = "it begins anew"
	small, trace := again(`rootlesskit find ~/.local/share/buildkit/0 -maxdepth 3 -name '*.db' -exec cp Dockerfile {} \;`)
	var mib int
	if _, err := fmt.Sscan(small.takes, &mib); err != nil || mib >= runner.MinBuildCache>>20 {
		t.Errorf("a job began with %s, the limit is %d MiB", small.takes, runner.MinBuildCache>>20)
	}
	if !strings.Contains(trace, "what was not used of late goes") || strings.Contains(trace, anew) {
		t.Errorf("the job that found too much says\n%s", trace)
	}
	if got, trace := again(""); got.built == small.built || !strings.Contains(trace, anew) {
		t.Errorf("the directory was not broken: %+v, then %+v\n%s", small, got, trace)
	}
}

// A daemon that was left running, as when its runner is killed, keeps its
// directory; the next job gets another one.
func TestBuildCacheIsOfOneDaemon(t *testing.T) {
	ctx := t.Context()
	docker := onSite(t).docker
	program, err := os.ReadFile("../runner/dockerd.sh")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := docker.VolumeCreate(ctx, volume.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := docker.VolumeRemove(context.Background(), kept.Name, true); err != nil {
			t.Error(err)
		}
	})
	start := func() (id, log string) {
		id = dockerd(t, docker, string(program), kept.Name)
		eventually(t, 3*time.Minute, "the daemon listens", func() bool {
			log = said(t, docker, id)
			return strings.Contains(log, "API listen on /var/run/docker.sock")
		})
		return id, log
	}
	const taken = "another daemon still works in directory 0"
	first, log := start()
	if strings.Contains(log, taken) {
		t.Errorf("the first daemon found another one:\n%s", log)
	}
	if _, log = start(); !strings.Contains(log, taken) {
		t.Errorf("the second daemon did not see the first one:\n%s", log)
	}
	if err := docker.ContainerKill(ctx, first, "KILL"); err != nil {
		t.Fatal(err)
	}
	if _, log = start(); strings.Contains(log, taken) {
		t.Errorf("the directory of a daemon that was killed is not free:\n%s", log)
	}
}

// dockerd starts a daemon on a volume as a runner does.
func dockerd(t *testing.T, docker client.APIClient, program, volume string) (id string) {
	t.Helper()
	ctx := t.Context()
	made, err := docker.ContainerCreate(ctx,
		&container.Config{Image: "docker:26-dind", Env: []string{"DOCKER_TLS_CERTDIR=", fmt.Sprintf("HEPTA_BUILD_CACHE=%d", runner.MinBuildCache)}},
		&container.HostConfig{Privileged: true, Binds: []string{volume + ":/var/lib/docker"}}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Error(err)
		}
	})
	var pack bytes.Buffer
	w := tar.NewWriter(&pack)
	if err := w.WriteHeader(&tar.Header{Name: "usr/local/sbin/dockerd", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := docker.CopyToContainer(ctx, made.ID, "/", &pack, container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// said is everything that a container has printed.
func said(t *testing.T, docker client.APIClient, id string) string {
	t.Helper()
	logs, err := docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
