package integration

import (
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
	"github.com/heptaup/hepta/integration/images"
)

// A job that stays with its service until it is cancelled.
const keeperYAML = `keep:
  image: docker:26
  tags: [%s]
  services: [%s]
  script:
    - until %s; do sleep 1; done
    - echo "it has begun"
    - while true; do sleep 1; done
`

// A job of another project, with a service of its own, that looks for that of
// the first by names and addresses.
const visitorYAML = `visit:
  image: docker:26
  tags: [%s]
  services: [%s]
  script:
    - until %s; do sleep 1; done
    - for name in %s; do if getent hosts $name; then echo "resolves $name"; fi; done
    - for address in %s; do if curl -s -o /dev/null --connect-timeout 3 http://$address/; then echo "reaches $address"; fi; done
    - echo "looked around"
`

// Two jobs of two projects run at once, each with a service: neither finds the
// other's, by name or by address, and they share no network on which one could
// take the address of another, or of the mirror. Where somebody has decided
// against networks of their own the same addresses answer.
func TestJobsDoNotReachOtherProjects(t *testing.T) {
	s := onSite(t)
	made, err := images.Ensure(t.Context(), outer.docker, say, images.RunnerNetworks)
	if err != nil {
		t.Fatal(err)
	}
	const program = "gitlab/gitlab-runner:networks"
	if err := images.Copy(t.Context(), outer.docker, s.docker, made[images.RunnerNetworks].As(program)); err != nil {
		t.Fatal(err)
	}
	off := false
	stack := s.lab(t, func(c *hepta.Config) {
		c.Runner.Image = program
		for _, r := range []hepta.Runner{
			{Name: "plain", Mode: "plain"},
			{Name: "open", Mode: "dind", TLS: &off},
			{Name: "shared", Mode: "plain", Settings: map[string]any{"feature_flags": map[string]any{"FF_NETWORK_PER_BUILD": false}}},
		} {
			r.Tags, r.Concurrent, r.Image, r.Docker = []string{r.Name}, 2, "docker:26", map[string]any{"pull_policy": "if-not-present"}
			c.Runners = append(c.Runners, r)
		}
	})
	const shop = `{name: "hepta/small:1", alias: %s, command: [httpd, -f, -p, "8080"]}`
	daemon := `{name: "docker:26-dind", alias: docker}`
	for _, c := range []struct {
		tag, keeper, visitor, own, asked, visited string
		port                                      int
		shared                                    bool
	}{
		{tag: "plain", keeper: fmt.Sprintf(shop, "shop"), own: "curl -s -o /dev/null http://shop:8080/",
			visitor: fmt.Sprintf(shop, "stall"), visited: "curl -s -o /dev/null http://stall:8080/", asked: "shop", port: 8080},
		{tag: "open", keeper: daemon, own: "docker version", visitor: daemon, visited: "docker version", port: 2375},
		{tag: "shared", keeper: fmt.Sprintf(shop, "shop"), own: "curl -s -o /dev/null http://shop:8080/",
			visitor: fmt.Sprintf(shop, "stall"), visited: "curl -s -o /dev/null http://stall:8080/", port: 8080, shared: true},
	} {
		t.Run(c.tag, func(t *testing.T) {
			keeper := s.project(t, stack, "keeper-"+c.tag, git)
			keeper.push(t, https, map[string]string{".gitlab-ci.yml": fmt.Sprintf(keeperYAML, c.tag, c.keeper, c.own)})
			var job *gitlab.Job
			eventually(t, 3*time.Minute, "the first job has its service", func() bool {
				job = keeper.job(t, "keep")
				return job.ID != 0 && strings.Contains(keeper.trace(t.Context(), job), "\nit has begun")
			})
			names, addresses, networks := []string{c.asked}, []string{}, map[string]bool{}
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

			visitor := s.project(t, stack, "visitor-"+c.tag, git)
			visitor.push(t, https, map[string]string{".gitlab-ci.yml": fmt.Sprintf(visitorYAML, c.tag, c.visitor, c.visited,
				strings.Join(names, " "), strings.Join(addresses, " "))})
			visit := visitor.succeed(t, "visit")["visit"]
			visitor.says(t, visit, "looked around")
			reached := slices.ContainsFunc(strings.Split(visitor.trace(t.Context(), visit), "\n"), func(line string) bool {
				return strings.HasPrefix(line, "reaches ") || strings.HasPrefix(line, "resolves ")
			})
			if reached != c.shared {
				t.Errorf("it reaches the first job's: %v\n%s", reached, visitor.trace(t.Context(), visit))
			}

			if _, _, err := keeper.api.Jobs.CancelJob(keeper.Path, job.ID, gitlab.WithContext(t.Context())); err != nil {
				t.Fatal(err)
			}
			eventually(t, time.Minute, "the first job's containers are gone", func() bool { return len(s.ofJob(t, job.ID)) == 0 })
			if c.shared {
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
