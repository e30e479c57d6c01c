package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
)

// htpasswd lets nobody in.
const htpasswd = "admin:$2y$05$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// change is one edit of hepta.yaml and all that may come of it.
type change struct {
	name string
	edit func(*hepta.Config)
	// plan are the operations without those that only go with them, as
	// "kind name: cause", sorted.
	plan []string
	// anew are the services that get a new container; all others have to go on
	// running.
	anew []string
}

// The edits, each upon the one before.
var changes = []change{{
	name: "the tag of an image",
	edit: func(c *hepta.Config) { c.Traefik.Image = "traefik:v3.6" },
	plan: []string{"create container lab-traefik: image changed traefik:v3.6.12 → traefik:v3.6"},
	anew: []string{"traefik"},
}, {
	name: "a label",
	edit: func(c *hepta.Config) { c.Runner.Labels = map[string]string{"org.example.team": "builders"} },
	plan: []string{"create container lab-runner: label org.example.team added"},
	anew: []string{"runner"},
}, {
	name: "a line of gitlab.rb",
	edit: func(c *hepta.Config) { c.Heptapod.GitlabRB = "gitlab_rails['time_zone'] = 'Europe/Rome'\n" },
	plan: []string{
		"run in container lab-heptapod: heptapod/config/gitlab.rb changed",
		"write file heptapod/config/gitlab.rb: content changed",
	},
}, {
	name: "a dashboard",
	edit: func(c *hepta.Config) {
		c.Traefik.Dashboard = &hepta.Dashboard{Host: labMonitor, Users: []string{htpasswd}}
	},
	plan: []string{
		"call issue certificate: host names changed: +monitor.lab.test",
		"create container lab-traefik: command with --api=true --api.dashboard=true; network lab changed " +
			"hg.lab.test,lab-traefik,registry.lab.test → hg.lab.test,lab-traefik,monitor.lab.test,registry.lab.test",
		"write file /etc/docker/certs.d/registry.lab.test/ca.crt: follows certificate",
		"write file runner-ca/ca.crt: follows certificate",
		"write file traefik/dynamic/hepta.yaml: content changed (+15 −0 lines)",
		"write file traefik/dynamic/leaf.pem: follows certificate",
		"write file traefik/dynamic/users.htpasswd: not there",
	},
	anew: []string{"traefik"},
}, {
	name: "a published port",
	edit: func(c *hepta.Config) { c.Heptapod.SSH.Port = "2222" },
	plan: []string{
		"create container lab-heptapod: port 22 → 2222",
		"write file heptapod/config/gitlab.rb: content changed",
	},
	anew: []string{"heptapod"},
}, {
	name: "one more runner",
	edit: func(c *hepta.Config) {
		c.Runners = append(slices.Clone(c.Runners), hepta.Runner{Name: "third", Mode: "plain", Tags: []string{"third"}, Image: "docker:26"})
	},
	plan: []string{
		"call create runner third: no token for it in runner/config.toml",
		"call see runner third online: it is new",
		"write file runner/config.toml: content changed",
		"write file runner/hepta.json: follows runner third",
	},
}, {
	name: "a setting of a runner",
	edit: func(c *hepta.Config) {
		c.Runners = slices.Clone(c.Runners)
		c.Runners[0].Environment = []string{"WORD=x"}
	},
	plan: []string{
		"call tell runner dind: its section of runner/config.toml changed",
		"write file runner/config.toml: content changed",
	},
}, {
	name: "one runner less",
	edit: func(c *hepta.Config) {
		c.Runners = slices.DeleteFunc(slices.Clone(c.Runners), func(r hepta.Runner) bool { return r.Name == "third" })
	},
	plan: []string{
		"call delete runner third: no longer described",
		"write file runner/config.toml: content changed",
		"write file runner/hepta.json: content changed (+0 −31 lines)",
	},
}}

// A change has to touch what it is about and nothing else, the plan has to
// say so beforehand, and afterwards nothing may be left to do.
func TestChangesTouchWhatTheyAreAbout(t *testing.T) {
	s := onSite(t)
	edits := make([]func(*hepta.Config), 0, len(changes))
	for _, c := range changes {
		edits = append(edits, c.edit)
		t.Run(c.name, func(t *testing.T) {
			before := s.lives(t, s.lab(t, edits[:len(edits)-1]...))
			stack := s.stack(t, labYAML, edits...)
			s.explain(t, stack)
			foreseen := plan(t, stack)
			if diff := cmp.Diff(c.plan, causes(foreseen)); diff != "" {
				t.Errorf("plan (-want +got):\n%s\n%s", diff, foreseen)
			}
			done := up(t, stack)
			if diff := cmp.Diff(foreseen.String(), done.String()); diff != "" {
				t.Errorf("up did otherwise than planned (-plan +up):\n%s", diff)
			}
			for service, l := range s.lives(t, stack) {
				if anew := slices.Contains(c.anew, service); anew != (l.ID != before[service].ID) || !anew && l != before[service] {
					t.Errorf("%s: %v, was %v; want it anew: %v", service, l, before[service], anew)
				}
			}
			if left := plan(t, stack); !left.Empty() {
				t.Errorf("something is left to do:\n%s", left)
			}
			s.agree(t, stack)
		})
	}
}

// causes are the operations that lead to others, each with its cause. To wait
// for what is there already is no change.
func causes(p *hepta.Plan) []string {
	told := []string{}
	groups := map[string]bool{}
	for _, o := range p.Operations {
		if o.Group != "" && groups[o.Group] || strings.HasPrefix(o.Text(), "wait ") {
			continue
		}
		groups[o.Group] = true
		told = append(told, fmt.Sprintf("%s: %s", strings.TrimSuffix(o.Text(), "_next"), o.Cause))
	}
	slices.Sort(told)
	return told
}

// agree checks that forge and runner know the runners that are described.
func (s *site) agree(t *testing.T, stack *hepta.Stack) {
	t.Helper()
	var want []string
	for _, r := range stack.Config().Runners {
		want = append(want, r.Name)
	}
	slices.Sort(want)
	api, err := stack.Forge().Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := api.Runners.ListAllRunners(nil, gitlab.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var forge []string
	for _, r := range list {
		forge = append(forge, r.Description)
	}
	slices.Sort(forge)
	if !slices.Equal(forge, want) {
		t.Errorf("the forge has the runners %q, want %q", forge, want)
	}
	if got := strings.Count(s.output(t, stack, "runner", "cat /etc/gitlab-runner/config.toml"), "[[runners]]"); got != len(want) {
		t.Errorf("config.toml has %d runners, want %d", got, len(want))
	}
}
