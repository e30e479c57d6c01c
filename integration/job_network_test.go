package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/runner"
)

// A job that stays with its service until it is cancelled.
const stayingYAML = `stay:
  image: docker:26
  tags: [%s]
  services: [%s]
  script:
    - until %s; do sleep 1; done
    - echo "it has begun"
    - while true; do sleep 1; done
`

// A job with a service that looks for the containers of another job, by names and
// addresses.
const lookingYAML = `look:
  image: docker:26
  tags: [%s]
  services: [%s]
  script:
    - until %s; do sleep 1; done
    - for name in %s; do if getent hosts $name; then echo "resolves $name"; fi; done
    - for address in %s; do if curl -s -o /dev/null --connect-timeout 3 http://$address/; then echo "reaches $address"; fi; done
    - echo "it has looked"
`

// jobNetworks gives the name of a runner image that supports job networks, on the
// site.
func (s *site) jobNetworks(t *testing.T) string {
	t.Helper()
	made, err := images.Ensure(t.Context(), outer.docker, say, images.RunnerNetworks)
	if err != nil {
		t.Fatal(err)
	}
	const name = "gitlab/gitlab-runner:networks"
	if err := images.Copy(t.Context(), outer.docker, s.docker, made[images.RunnerNetworks].As(name)); err != nil {
		t.Fatal(err)
	}
	return name
}

// Two jobs of two projects run at once, each with a service: neither reaches the
// other's, by name or by address, and they share no network on which one could
// answer in place of the other, or of the mirror. Where the configuration turns
// job networks off, the same addresses answer.
func TestJobsDoNotReachOtherProjects(t *testing.T) {
	s := onSite(t)
	image := s.jobNetworks(t)
	off := false
	stack := s.lab(t, func(c *hepta.Config) {
		c.Runner.Image, c.Runner.JobNetworks = image, true
		for _, r := range []hepta.Runner{
			{Name: "plain", Mode: "plain"},
			{Name: "open", Mode: "dind", TLS: &off},
			{Name: "shared", Mode: "plain", Settings: map[string]any{"feature_flags": map[string]any{"FF_NETWORK_PER_BUILD": false}}},
		} {
			r.Tags, r.Concurrent, r.Image, r.Docker = []string{r.Name}, 2, "docker:26", map[string]any{"pull_policy": "if-not-present"}
			c.Runners = append(c.Runners, r)
		}
	})
	if changes := plan(t, stack); !changes.Empty() {
		t.Errorf("something is to be done:\n%s", changes)
	}
	web := func(alias string) string {
		return fmt.Sprintf(`{name: "hepta/small:1", alias: %s, command: [httpd, -f, -p, "8080"]}`, alias)
	}
	const (
		askFirst  = "curl -s -o /dev/null http://first:8080/"
		askSecond = "curl -s -o /dev/null http://second:8080/"
		daemon    = `{name: "docker:26-dind", alias: docker}`
		askDaemon = "docker version"
	)
	for _, c := range []struct {
		tag              string
		service1, ready1 string // of the first job, and the command that shows that it answers
		service2, ready2 string // of the second
		name             string // of the first job's service, which the second job's has not
		port             int
		isShared         bool
	}{
		{tag: "plain", service1: web("first"), ready1: askFirst, service2: web("second"), ready2: askSecond, name: "first", port: 8080},
		{tag: "open", service1: daemon, ready1: askDaemon, service2: daemon, ready2: askDaemon, port: 2375},
		{tag: "shared", service1: web("first"), ready1: askFirst, service2: web("second"), ready2: askSecond, port: 8080, isShared: true},
	} {
		t.Run(c.tag, func(t *testing.T) {
			first := s.project(t, stack, "first-"+c.tag, git)
			first.push(t, https, map[string]string{".gitlab-ci.yml": fmt.Sprintf(stayingYAML, c.tag, c.service1, c.ready1)})
			t.Cleanup(func() {
				if t.Failed() {
					first.cancelAll(t)
				}
			})
			var job *gitlab.Job
			eventually(t, 3*time.Minute, "the first job has its service", func() bool {
				job = first.job(t, "stay")
				return job.ID != 0 && strings.Contains(first.trace(t.Context(), job), "\nit has begun")
			})
			names, addresses, networks := []string{c.name}, []string{}, map[string]bool{}
			for _, x := range s.ofJob(t, job.ID) {
				names = append(names, strings.TrimPrefix(x.Name, "/"), x.ID[:12])
				for _, n := range x.NetworkSettings.Networks {
					networks[n.NetworkID] = true
					addresses = append(addresses, fmt.Sprintf("%s:%d", n.IPAddress, c.port))
				}
			}
			if len(addresses) < 2 || len(networks) != 1 {
				t.Fatalf("the first job has the addresses %q on %d networks", addresses, len(networks))
			}

			second := s.project(t, stack, "second-"+c.tag, git)
			second.push(t, https, map[string]string{".gitlab-ci.yml": fmt.Sprintf(lookingYAML, c.tag, c.service2, c.ready2,
				strings.Join(names, " "), strings.Join(addresses, " "))})
			look := second.succeed(t, "look")["look"]
			second.says(t, look, "it has looked")
			trace := second.trace(t.Context(), look)
			reaches := slices.ContainsFunc(strings.Split(trace, "\n"), func(line string) bool {
				return strings.HasPrefix(line, "reaches ") || strings.HasPrefix(line, "resolves ")
			})
			if reaches != c.isShared {
				t.Errorf("it reaches the first job's containers: %v\n%s", reaches, trace)
			}

			first.cancelAll(t)
			eventually(t, time.Minute, "the first job's containers are gone", func() bool { return len(s.ofJob(t, job.ID)) == 0 })
			if c.isShared {
				return
			}
			eventually(t, time.Minute, "the first job's network is gone", func() bool {
				list, err := s.docker.NetworkList(t.Context(), network.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return !slices.ContainsFunc(list, func(n network.Summary) bool { return networks[n.ID] })
			})
		})
	}
}

// A pipeline that builds an image on one that only the mirror can give, in a
// daemon, and then one on that, in BuildKit. Each image shows the name servers of
// its build.
const jobNetworkBuildsYAML = `daemon:
  stage: build
  image: docker:26
  tags: [dind]
  services: ["docker:26-dind"]
  variables: {DOCKER_TLS_CERTDIR: /certs}
  script:
    - docker run --rm kept:1 grep nameserver /etc/resolv.conf
    - echo "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin $CI_REGISTRY
    - docker build -t $CI_REGISTRY_IMAGE:daemon .
    - docker push $CI_REGISTRY_IMAGE:daemon
buildkit:
  stage: test
  image: {name: %s, entrypoint: [""]}
  tags: [rootless]
  before_script:
    - mkdir -p ~/.docker
    - printf '{"auths":{"%%s":{"auth":"%%s"}}}' "$CI_REGISTRY" "$(printf %%s "$CI_REGISTRY_USER:$CI_REGISTRY_PASSWORD" | base64 | tr -d '\n')" >~/.docker/config.json
  script:
    - printf 'FROM %%s:daemon\nRUN cp /etc/resolv.conf resolv.txt\n' $CI_REGISTRY_IMAGE >Dockerfile
    - buildctl-daemonless.sh build --frontend dockerfile.v0 --local context=. --local dockerfile=. --output type=image,name=$CI_REGISTRY_IMAGE:buildkit,push=true
`

// Builds in job networks reach what builds elsewhere reach: a daemon the mirror
// and the forge's registry, although by addresses that it could have given to its
// own containers; BuildKit in a rootless job the registry. What they start asks the
// host's name servers.
func TestBuildsInJobNetworks(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	image := s.jobNetworks(t)
	if err := images.Copy(ctx, outer.docker, s.docker, refs(images.Registry, images.BuildKit)...); err != nil {
		t.Fatal(err)
	}
	s.lab(t)
	s.upstream(t)
	stack := s.lab(t, func(c *hepta.Config) {
		c.Runner.Image, c.Runner.JobNetworks = image, true
		c.Registry.Mirror = &hepta.Mirror{Image: "registry:3", Remote: "http://upstream:5000"}
		c.Runners = append(c.Runners, hepta.Runner{Name: "rootless", Mode: "rootless", Tags: []string{"rootless"}, Concurrent: 2,
			Docker: map[string]any{"pull_policy": "if-not-present"}})
	})
	var facts struct {
		NameServers []string `json:"name_servers"`
	}
	if err := json.Unmarshal([]byte(s.output(t, stack, "runner", "cat /etc/gitlab-runner/host.json")), &facts); err != nil || len(facts.NameServers) == 0 {
		t.Fatalf("%+v, %v", facts, err)
	}
	wanted := "nameserver " + facts.NameServers[0]

	p := s.project(t, stack, "job-network-builds", git)
	word := "word of " + p.Path + "\n"
	p.push(t, https, map[string]string{"word.txt": word, ".gitlab-ci.yml": fmt.Sprintf(jobNetworkBuildsYAML, runner.BuildKitImage),
		"Dockerfile": "FROM kept:1\nWORKDIR /app\nCOPY word.txt first.txt\nRUN cp first.txt word.txt && cp /etc/resolv.conf resolv.txt\n"})
	p.says(t, p.succeed(t, "daemon", "buildkit")["daemon"], wanted)
	for _, tag := range []string{"daemon", "buildkit"} {
		p.holds(t, tag, word)
		if got := p.pulled(t, tag, "app/resolv.txt"); !strings.Contains(got, wanted) {
			t.Errorf("a step of the build %s asks %s", tag, got)
		}
	}
}

// ofJob are the containers of a job that run.
func (s *site) ofJob(t *testing.T, id int64) (list []container.InspectResponse) {
	t.Helper()
	found, err := s.docker.ContainerList(t.Context(), container.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", fmt.Sprintf("com.gitlab.gitlab-runner.job.id=%d", id)))})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		if full, err := s.docker.ContainerInspect(t.Context(), c.ID); err == nil {
			list = append(list, full)
		}
	}
	return list
}
