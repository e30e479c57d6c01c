package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	gitlab "gitlab.com/gitlab-org/api/client-go"
)

// buildMeasures are builds in jobs of the real runner, by the ways there are.
func buildMeasures() []measure {
	return []measure{{"builds", []func(*bench, context.Context) error{(*bench).engine, (*bench).buildForge}, (*bench).builds}}
}

// warmRounds is how often each way builds with a warm cache.
const warmRounds = 3

// way is one of the ways to build, with a project and a runner of its own.
type way struct {
	name, image, service string
	script               []string // the login, what is timed as the build, the push
}

var (
	byDocker  = []string{login("docker"), `docker build -q -t "$CI_REGISTRY_IMAGE:1" .`, `docker push -q "$CI_REGISTRY_IMAGE:1"`}
	byBuildah = []string{login("buildah"), `buildah bud -q --isolation chroot -t "$CI_REGISTRY_IMAGE:1" .`, `buildah push -q "$CI_REGISTRY_IMAGE:1"`}
	byKit     = []string{writtenLogin, buildctl + `"`, buildctl + `,push=true"`}
)

// login is that of a program that has one; writtenLogin is what it would leave.
func login(program string) string {
	return `echo "$CI_REGISTRY_PASSWORD" | ` + program + ` login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"`
}

const writtenLogin = `mkdir -p ~/.docker && printf '{"auths":{"%s":{"auth":"%s"}}}' "$CI_REGISTRY" "$(printf %s "$CI_REGISTRY_USER:$CI_REGISTRY_PASSWORD" | base64 -w0)" >~/.docker/config.json`

// buildctl is the build of `hepta ci init`, but for the push that follows.
const buildctl = `buildctl-daemonless.sh build --progress plain --frontend dockerfile.v0 --local context=. --local dockerfile=. --output "type=image,name=$CI_REGISTRY_IMAGE:1`

// ways: the host's Docker; dind as the seed of the idea has it, which keeps
// nothing; dind and rootless, by BuildKit and by buildah, with hepta's build cache.
var ways = []way{
	{"socket", "docker:26", "", byDocker},
	{"seed_dind", "docker:26", "docker:26-dind", byDocker},
	{"dind", "docker:26", "docker:26-dind", byDocker},
	{"rootless", `{name: "moby/buildkit:rootless", entrypoint: [""]}`, "", byKit},
	{"buildah", "quay.io/buildah/stable:latest", "", byBuildah},
}

// pipeline is the project's .gitlab-ci.yml. Each round changes a source file.
func (w way) pipeline() string {
	var b strings.Builder
	fmt.Fprintf(&b, "build:\n  tags: [%s]\n  image: %s\n", w.name, w.image)
	if w.service != "" {
		fmt.Fprintf(&b, "  services: [%q]\n", w.service)
	}
	b.WriteString("  script:\n")
	for _, line := range []string{
		w.script[0],
		`echo "round = '$ROUND'" >src/round.py`,
		`began=$(date +%s%N)`,
		w.script[1],
		`echo "build_ms $((($(date +%s%N) - began) / 1000000))"`,
		w.script[2],
	} {
		fmt.Fprintf(&b, "    - %s\n", strconv.Quote(line))
	}
	return b.String()
}

// dockerfile has the stages and layers of a service in Python: a base image, a
// layer of dependencies that seldom changes, one of sources that changes each
// time, and a final stage with what the others made. Compiling Python's own
// library stands for the installation of dependencies.
const dockerfile = `FROM ` + baseImage + ` AS dependencies
COPY requirements.txt /app/
RUN cp -r /usr/lib/python3.* /app/lib && find /app/lib -name __pycache__ -prune -exec rm -r {} + && python3 -m compileall -q /app/lib >/dev/null || true
FROM dependencies AS build
COPY src /app/src
RUN python3 -m compileall -q /app/src
FROM ` + baseImage + `
COPY --from=dependencies /app/lib /app/lib
COPY --from=build /app/src /app/src
CMD ["python3", "/app/src/main.py"]
`

// built is what one job took.
type built struct {
	build, job time.Duration
	pulled     int64 // bytes that the forge has sent meanwhile
}

// builds takes every way cold, once, and then warm in turns, so that what else
// the machine does meets all of them alike.
func (b *bench) builds(ctx context.Context) ([]result, error) {
	s, err := b.buildSite(ctx)
	if err != nil {
		return nil, err
	}
	cold, warm := map[string][]built{}, map[string][]built{}
	for _, w := range ways {
		one, err := s.round(ctx, w, func() error { return s.push(ctx, w) })
		if err != nil {
			return nil, err
		}
		b.say("  %s cold: build %s, job %s, %d MB", w.name, one.build, one.job, one.pulled/1e6)
		cold[w.name] = append(cold[w.name], one)
	}
	for i := range min(b.n, warmRounds) {
		for j := range ways {
			w := ways[(i+j)%len(ways)]
			one, err := s.round(ctx, w, func() error { return s.again(ctx, w, i) })
			if err != nil {
				return nil, err
			}
			b.say("  %s warm: build %s, job %s, %d MB", w.name, one.build, one.job, one.pulled/1e6)
			warm[w.name] = append(warm[w.name], one)
		}
	}
	return buildResults(cold, warm), nil
}

// buildResults are the ratios of builds and of whole jobs, then what is behind
// them.
func buildResults(cold, warm map[string][]built) []result {
	var list []result
	for _, c := range []struct {
		name, ours, theirs string
		aim                float64
		least              bool
	}{
		{"dind_warm_vs_socket_warm", "dind", "socket", 1.2, false},
		{"seed_dind_vs_dind_warm", "seed_dind", "dind", 3, true},
		{"rootless_warm_vs_socket_warm", "rootless", "socket", 2, false},
	} {
		for suffix, of := range map[string]func(built) time.Duration{"": built.ofBuild, "_job": built.ofJob} {
			r := ratioOf(c.name+suffix, c.aim, each(warm[c.ours], of), each(warm[c.theirs], of))
			r.Least, r.By, r.With = c.least, c.ours, c.theirs
			list = append(list, r)
		}
	}
	for _, w := range ways {
		for when, samples := range map[string][]built{"cold": cold[w.name], "warm": warm[w.name]} {
			name := w.name + "_" + when
			var most int64
			for _, one := range samples {
				most = max(most, one.pulled)
			}
			build, job := spreadOf(each(samples, built.ofBuild)), spreadOf(each(samples, built.ofJob))
			list = append(list,
				result{Name: name + "_build_s", Value: build.Median / 1000, Hepta: build},
				result{Name: name + "_job_s", Value: job.Median / 1000, Hepta: job},
				result{Name: name + "_pulled_mb", Value: float64(most) / 1e6})
		}
	}
	return list
}

func (x built) ofBuild() time.Duration { return x.build }
func (x built) ofJob() time.Duration   { return x.job }

func each(samples []built, of func(built) time.Duration) []time.Duration {
	var list []time.Duration
	for _, one := range samples {
		list = append(list, of(one))
	}
	return list
}

// round begins a job and waits for its end.
func (s *buildSite) round(ctx context.Context, w way, begin func() error) (one built, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	before, err := s.sent(ctx)
	if err != nil {
		return one, err
	}
	if err := begin(); err != nil {
		return one, err
	}
	s.begun[w.name]++
	var job *gitlab.Job
	for job == nil || job.FinishedAt == nil {
		list, _, err := s.api.Jobs.ListProjectJobs("root/"+w.path(), nil, gitlab.WithContext(ctx))
		if err != nil {
			return one, fmt.Errorf("list jobs: %w", err)
		}
		if len(list) == s.begun[w.name] {
			job = list[0]
			for _, j := range list {
				if j.ID > job.ID {
					job = j
				}
			}
		}
		select {
		case <-ctx.Done():
			return one, fmt.Errorf("wait for job of %s: %w", w.name, context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
	trace, _, err := s.api.Jobs.GetTraceFile("root/"+w.path(), job.ID, gitlab.WithContext(ctx))
	if err != nil {
		return one, fmt.Errorf("read log: %w", err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(trace); err != nil {
		return one, fmt.Errorf("read log: %w", err)
	}
	if job.Status != "success" {
		return one, fmt.Errorf("the job of %s ended as %s:\n%s", w.name, job.Status, text.String())
	}
	for line := range strings.Lines(text.String()) {
		if ms, found := strings.CutPrefix(strings.TrimSpace(line), "build_ms "); found {
			n, err := strconv.Atoi(ms)
			if err != nil {
				return one, fmt.Errorf("read log: %w", err)
			}
			one.build = time.Duration(n) * time.Millisecond
		}
	}
	if one.build == 0 {
		return one, fmt.Errorf("the job of %s does not say how long it built", w.name)
	}
	after, err := s.sent(ctx)
	one.job, one.pulled = job.FinishedAt.Sub(*job.StartedAt), after-before
	return one, err
}

// path is the name of the way's project.
func (w way) path() string { return strings.ReplaceAll(w.name, "_", "-") }

// sent is what the forge, which holds the registry, has sent so far.
func (s *buildSite) sent(ctx context.Context) (int64, error) {
	stats, err := s.b.inner.ContainerStatsOneShot(ctx, stackName+"-heptapod")
	if err != nil {
		return 0, fmt.Errorf("read traffic of the forge: %w", err)
	}
	defer stats.Body.Close()
	var now container.StatsResponse
	if err := json.NewDecoder(stats.Body).Decode(&now); err != nil {
		return 0, fmt.Errorf("read traffic of the forge: %w", err)
	}
	var sum uint64
	for _, n := range now.Networks {
		sum += n.TxBytes
	}
	return int64(sum), nil
}
