package integration

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta"
)

// A job that names an image, or a service, that its runner does not allow has
// to fail and say so; one that names another has to work.
func TestGuardRails(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t, func(c *hepta.Config) {
		c.Runners = append(c.Runners, hepta.Runner{Name: "guarded", Mode: "dind", Tags: []string{"guarded"}, Concurrent: 3, Image: "docker:26",
			AllowedImages: []string{"docker:*"}, AllowedServices: []string{"docker:*-dind"}, Docker: map[string]any{"pull_policy": "if-not-present"}})
	})
	p := s.project(t, stack, "guarded", git)
	p.push(t, https, map[string]string{".gitlab-ci.yml": `default: {tags: [guarded], image: "docker:26"}
allowed: {services: ["docker:26-dind"], variables: {DOCKER_TLS_CERTDIR: /certs}, script: [echo allowed]}
with_image: {image: "hepta/small:1", script: [echo let in]}
with_service: {services: ["hepta/small:1"], script: [echo let in]}
`})
	jobs := p.jobs(t)
	for name, want := range map[string]string{"allowed": "success", "with_image": "failed", "with_service": "failed"} {
		if jobs[name] == nil {
			t.Fatalf("there is no job %s", name)
		}
		log := p.trace(t.Context(), jobs[name])
		if jobs[name].Status != want || strings.Contains(log, "\nlet in") || want == "failed" && !strings.Contains(log, "hepta/small:1") {
			t.Errorf("job %s ended as %s:\n%s", name, jobs[name].Status, log)
		}
	}
}
