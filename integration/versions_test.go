package integration

import (
	"context"
	"strings"
	"testing"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

const versionsYAML = `stack: versions
data: /srv/versions
network: versions
heptapod: {host: versions.test, ssh: {via: none}}
traefik: {image: traefik:v3.6.12, http_port: 8080}
tls: {mode: off}
`

// An image that the data must not be started by is refused by plan and by up,
// while the forge goes on; and no image named means the one that is there.
func TestVersionsOfAForge(t *testing.T) {
	s := onSite(t)
	at := func(image string) *hepta.Stack {
		return s.stack(t, versionsYAML, func(c *hepta.Config) { c.Heptapod.Image = image })
	}
	older, newer := at("octobus/heptapod:17.8"), at("octobus/heptapod:17.9")
	s.removeAtEnd(t, older)
	s.explain(t, older)
	up(t, older)
	refused := func(t *testing.T, stack *hepta.Stack, words ...string) {
		t.Helper()
		before := s.lives(t, older)
		if p, err := stack.Plan(t.Context()); err == nil {
			t.Errorf("planned\n%s", p)
		} else {
			for _, w := range words {
				if !strings.Contains(fault.Describe(err), w) {
					t.Errorf("the plan does not say %q:\n%s", w, fault.Describe(err))
				}
			}
		}
		s.refuses(t, stack, words...)
		if after := s.lives(t, older); after["heptapod"] != before["heptapod"] || after["traefik"] != before["traefik"] {
			t.Errorf("it is not what it was: %v, was %v", after, before)
		}
	}

	t.Run("a skipped stop", func(t *testing.T) {
		refused(t, at("octobus/heptapod:18.2.0"), "GitLab 17.8.1", "octobus/heptapod:17.11, octobus/heptapod:18.2.0", "Nothing was stopped")
	})
	t.Run("the next release, interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cfg := newer.Config()
		impatient, err := hepta.New(&cfg, hepta.WithDocker(s.docker), hepta.WithProgress(func(e hepta.Event) {
			if e.State == progress.Running && e.Kind == string(converge.WaitContainer) && strings.Contains(e.Resource, "heptapod") {
				cancel()
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = impatient.Up(ctx, hepta.UpOptions{}); err == nil || !strings.Contains(fault.Describe(err), "versions-heptapod_next was not undone") {
			t.Errorf("got %s", fault.Describe(err))
		}
		old, err := s.docker.ContainerInspect(t.Context(), "versions-heptapod")
		if err != nil || old.State.Running {
			t.Errorf("the old forge: %+v, %v", old.State, err)
		}
		next, err := s.docker.ContainerInspect(t.Context(), "versions-heptapod_next")
		if err != nil || !next.State.Running {
			t.Fatalf("the new forge: %v", err)
		}
		up(t, newer)
		if got := s.lives(t, newer)["heptapod"]; got.ID != next.ID || got.Started != next.State.StartedAt {
			t.Errorf("it was not gone on with: %v", got)
		}
		if got := s.output(t, newer, "heptapod", "cat /var/opt/gitlab/gitlab-rails/VERSION"); got != "17.9.0\n" {
			t.Errorf("the data are of %q", got)
		}
	})
	t.Run("settings that no start survives", func(t *testing.T) {
		before := s.lives(t, newer)["heptapod"]
		s.refuses(t, s.stack(t, versionsYAML, func(c *hepta.Config) {
			c.Heptapod.Image, c.Heptapod.GitlabRB, c.Heptapod.Env = "octobus/heptapod:17.9", "nginxx['listen_port'] = 80\n", map[string]string{"NOTE": "other"}
		}), "unsupported config key 'nginxx'")
		if after := s.lives(t, newer)["heptapod"]; after.ID != before.ID {
			t.Errorf("it is %v, was %v", after, before)
		}
		if p := plan(t, newer); !p.Empty() {
			t.Errorf("it is not as it was:\n%s", p)
		}
		if status, err := newer.Status(t.Context()); err != nil || !status.OK() {
			t.Errorf("status %+v, %v", status, err)
		}
	})
	t.Run("back", func(t *testing.T) {
		refused(t, older, "GitLab 17.9.0", "older code")
		refused(t, at("octobus/heptapod:16.0"), "GitLab 17.9.0", "older code")
	})
	t.Run("back by a name that does not tell", func(t *testing.T) {
		if err := s.docker.ImageTag(t.Context(), "octobus/heptapod:17.8", "octobus/heptapod:latest"); err != nil {
			t.Fatal(err)
		}
		before := s.lives(t, newer)
		s.refuses(t, at("octobus/heptapod:latest"), "GitLab 17.9.0", "older code")
		if after := s.lives(t, newer); after["heptapod"] != before["heptapod"] {
			t.Errorf("the forge was touched: %v, was %v", after, before)
		}
	})
	t.Run("no image named", func(t *testing.T) {
		up(t, newer) // what a refused one has left goes
		if p := plan(t, at("")); !p.Empty() {
			t.Errorf("another one was taken:\n%s", p)
		}
		if _, err := newer.Down(t.Context(), hepta.DownOptions{}); err != nil {
			t.Fatal(fault.Describe(err))
		}
		s.refuses(t, older, "GitLab 17.9.0", "older code")
		s.bare(t, older)
		up(t, at(""))
		if i, err := s.docker.ContainerInspect(t.Context(), "versions-heptapod"); err != nil || i.Config.Image != "octobus/heptapod:17.9" {
			t.Errorf("after down it is %v, %v", i.Config, err)
		}
	})
}
