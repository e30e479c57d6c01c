package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/images"
)

// Jobs, and services of jobs, whose image bears the forge's own labels and
// those of a router before it, change nothing while they run, in every mode
// that is not given the socket: each request is answered by the forge, and
// status shows the forge. What carries the stack's proof is published meanwhile.
func TestHostileJobs(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	modes := []string{"dind", "plain", "rootless"}
	stack := s.lab(t, func(c *hepta.Config) {
		for _, mode := range modes[1:] {
			r := c.Runners[0]
			r.Name, r.Mode, r.Tags = mode, mode, []string{mode}
			c.Runners = append(slices.Clone(c.Runners), r)
		}
	})
	s.hostileImage(t, "hostile:1")
	ask := s.asker(t, stack)
	answer := ask(t)
	before, err := stack.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}

	p := s.project(t, stack, "hostile", git)
	var ci strings.Builder
	for _, mode := range modes {
		fmt.Fprintf(&ci, `%s:
  image: hostile:1
  tags: [%s]
  services: [{name: "hostile:1", alias: helper, command: [sleep, "900"]}]
  script:
    - echo "it has begun"
    - i=0; while [ $i -lt 900 ]; do i=$((i + 1)); sleep 1; done
`, mode, mode)
	}
	p.push(t, https, map[string]string{".gitlab-ci.yml": ci.String()})
	t.Cleanup(func() { p.cancelAll(t) })
	for _, mode := range modes {
		eventually(t, 2*time.Minute, "the job "+mode+" runs", func() bool {
			return strings.Contains(p.trace(ctx, p.job(t, mode)), "it has begun")
		})
	}
	if got := s.bearing(t, "hostile:1"); got < 2*len(modes) {
		t.Errorf("%d containers of the image run, want a job and a service in each of %v", got, modes)
	}
	// Another container by the stack's label alone: as earlier releases published.
	s.beside(t, "old", map[string]string{converge.LabelStack: labStack, "traefik.enable": "true", "traefik.http.routers.old.rule": "Host(`old.lab.test`)"})
	// When the proxy publishes what has come last, it has seen all others.
	labels := map[string]string{}
	out, errs, code := s.hepta(t, s.socket, "labels", "--port", "8000", "--json", "wiki.lab.test")
	if err := json.Unmarshal([]byte(out), &labels); code != 0 || err != nil {
		t.Fatalf("labels: exit code %d, %v\n%s", code, err, errs)
	}
	s.beside(t, "wiki", labels)
	curl := func(host string) string {
		return strings.TrimSpace(s.onHost(t, fmt.Sprintf("curl -sk -o /dev/null -w '%%{http_code}' --resolve %[1]s:443:127.0.0.1 https://%[1]s/", host)))
	}
	eventually(t, time.Minute, "the wiki is published", func() bool { return curl("wiki.lab.test") == "200" })

	for range 40 {
		if got := ask(t); got != answer {
			t.Fatalf("a request was answered by %s, before it was %s", got, answer)
		}
	}
	if got := curl("old.lab.test"); got != "404" {
		t.Errorf("what has no proof is published: %s", got)
	}
	now, err := stack.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, now, cmpopts.IgnoreFields(hepta.ServiceStatus{}, "Detail"), cmpopts.IgnoreFields(hepta.Status{}, "Notes")); d != "" {
		t.Errorf("status is not what it was:\n%s", d)
	}
	notes := strings.Join(now.Notes, "\n")
	if !strings.Contains(notes, "container "+t.Name()+"-old:") || strings.Contains(notes, t.Name()+"-wiki") {
		t.Errorf("notes:\n%s", notes)
	}
	if changes := plan(t, stack); !changes.Empty() {
		t.Errorf("something is to be done:\n%s", changes)
	}
}

// hostileImage is the image of jobs with every label of the forge but the
// proof, and with those of a router that wants each of its requests.
func (s *site) hostileImage(t *testing.T, name string) {
	t.Helper()
	forge, err := s.docker.ContainerInspect(t.Context(), labStack+"-heptapod")
	if err != nil {
		t.Fatal(err)
	}
	labels := maps.Clone(forge.Config.Labels)
	delete(labels, converge.LabelProof)
	maps.Copy(labels, map[string]string{
		"traefik.http.routers.hostile.rule":                                    "Host(`" + labForge + "`)",
		"traefik.http.routers.hostile.priority":                                "100000",
		"traefik.http.routers.hostile.entrypoints":                             "websecure",
		"traefik.http.routers.hostile.tls":                                     "true",
		"traefik.http.routers.hostile.service":                                 "hostile",
		"traefik.http.routers.hostile.middlewares":                             "hostile",
		"traefik.http.services.hostile.loadbalancer.server.port":               "8000",
		"traefik.http.middlewares.hostile.headers.customresponseheaders.Taken": "yes",
	})
	made, err := s.docker.ContainerCreate(t.Context(), &container.Config{Image: "docker:26"}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove(t, made.ID)
	config := &container.Config{Labels: labels}
	if _, err := s.docker.ContainerCommit(t.Context(), made.ID, container.CommitOptions{Reference: name, Config: config}); err != nil {
		t.Fatal(err)
	}
}

// asker gives a function that asks the forge once, by a new connection, and
// says who has answered what.
func (s *site) asker(t *testing.T, stack *hepta.Stack) func(*testing.T) string {
	ca, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := s.client(t, ca)
	client.Timeout = 20 * time.Second
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(t *testing.T) string {
		t.Helper()
		client.CloseIdleConnections()
		r, err := client.Get("https://" + labForge + "/users/sign_in")
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s, %d bytes, taken: %q", r.Status, len(body), r.Header.Get("Taken"))
	}
}

// bearing is the number of running containers of an image, by whatever name
// they were made from it.
func (s *site) bearing(t *testing.T, name string) int {
	t.Helper()
	image, err := s.docker.ImageInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.docker.ContainerList(t.Context(), container.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(slices.DeleteFunc(list, func(c container.Summary) bool { return c.ImageID != image.ID }))
}

// beside runs a web server on the stack's network with these labels, named
// after the test.
func (s *site) beside(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	made, err := s.docker.ContainerCreate(t.Context(), &container.Config{Image: outer.refs[images.Base].Local, Labels: labels,
		Entrypoint: []string{"python3", "-m", "http.server", "8000"}, WorkingDir: "/srv"}, &container.HostConfig{NetworkMode: labStack}, nil, nil, t.Name()+"-"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.remove(t, made.ID) })
	if err := s.docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
}

// cancelAll cancels the jobs of a project, after the test and its context.
func (p *project) cancelAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list, _, err := p.api.Jobs.ListProjectJobs(p.Path, nil, gitlab.WithContext(ctx))
	if err != nil {
		t.Error(err)
	}
	for _, j := range list {
		if _, _, err := p.api.Jobs.CancelJob(p.Path, j.ID, gitlab.WithContext(ctx)); err != nil {
			t.Error(err)
		}
	}
}
