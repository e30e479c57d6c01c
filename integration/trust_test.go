package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/registry"
)

const (
	trustRegistry = "hg.trust.test:5050"
	trustEngine   = "/etc/docker/certs.d/" + trustRegistry
)

// Wherever an authority is missing, hepta says who does not know it and what to
// do; with that done, everything works: a stack with an authority of its own
// and a registry whose certificate is of another one, then the same stack with
// certificates of somebody's alone.
func TestTrust(t *testing.T) {
	s := onSite(t)
	s.named(t, "hg.trust.test")
	authority, err := pki.New("somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue([]string{"hg.trust.test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	describe := func(files bool, ca []byte, modes ...string) *hepta.Stack {
		return s.stack(t, strings.ReplaceAll(waysYAML, "ways", "trust"), func(c *hepta.Config) {
			c.Registry = &hepta.Registry{Port: "5050", Certificate: pair, Key: pair}
			c.Runner.CA = ca
			if files {
				c.TLS = hepta.TLS{Mode: "files", Certificate: pair, Key: pair}
				c.Runner.ExtraHosts = []string{"hg.trust.test:host-gateway"}
			}
			c.Runners = nil
			for _, mode := range modes {
				c.Runners = append(c.Runners, hepta.Runner{Name: mode, Mode: mode, Tags: []string{mode}, Image: "docker:26", Docker: map[string]any{"pull_policy": "if-not-present"}})
			}
		})
	}
	// refused brings a stack up that somebody does not trust.
	refused := func(t *testing.T, stack *hepta.Stack, who ...string) {
		t.Helper()
		_, err := stack.Up(t.Context(), hepta.UpOptions{RemoveOrphans: true})
		if err == nil {
			t.Fatal("everybody trusts a certificate of nobody knows whom")
		}
		said := err.Error() + "\n" + fault.Describe(err)
		for _, want := range append(who, "x509: certificate signed by unknown authority", "runner: {ca: FILE}") {
			if !strings.Contains(said, want) {
				t.Errorf("it is not said: %s\n%s", want, said)
			}
		}
	}

	bare := describe(false, nil, "socket", "dind")
	s.explain(t, bare)
	s.removeAtEnd(t, bare)
	t.Run("the registry's authority is missing", func(t *testing.T) {
		refused(t, bare, "a job of runner ") // of those who do not trust it, the first
		if f := engineFinding(t, bare); f.OK || !strings.Contains(f.Remedy, trustEngine+"/ca.crt") {
			t.Errorf("the Engine is said to trust it: %+v", f)
		}
		if said := s.pull(t); !strings.Contains(said, "x509") {
			t.Errorf("the Engine pulls: %s", said)
		}
	})

	repaired := describe(false, authority.Root(), "socket", "dind")
	t.Run("repaired", func(t *testing.T) {
		up(t, repaired)
		if p := plan(t, repaired); !p.Empty() {
			t.Errorf("a second up would do\n%s", p)
		}
		p := s.project(t, repaired, "trusted", git)
		p.push(t, https, map[string]string{"word.txt": "trust", ".gitlab-ci.yml": buildYAML, "Dockerfile": "FROM scratch\nCOPY word.txt /word.txt\nCMD [\"/none\"]\n"})
		p.succeed(t, "in_dind", "by_socket", "look")
		if f := engineFinding(t, repaired); !f.OK {
			t.Errorf("the Engine is said not to reach it: %+v", f)
		}
	})

	t.Run("the Engine has lost it", func(t *testing.T) {
		r, err := engine.New(outer.docker, nil, nil).Exec(t.Context(), s.box.ID, engine.ExecOptions{Cmd: []string{"rm", trustEngine + "/ca.crt"}})
		if err != nil || r.ExitCode != 0 {
			t.Fatal(err, string(r.Stderr))
		}
		if said := s.pull(t); !strings.Contains(said, "x509") {
			t.Fatalf("without its authority the Engine pulls: %s", said)
		}
		if f := engineFinding(t, repaired); f.OK || !strings.Contains(f.Saw, "x509") || !strings.Contains(f.Remedy, trustEngine+"/ca.crt") {
			t.Errorf("registry check says %+v", f)
		}
		if p := plan(t, repaired); p.Empty() || !strings.Contains(p.String(), trustEngine+"/ca.crt") {
			t.Errorf("the plan does not say it:\n%s", p)
		}
		up(t, repaired)
		if said := s.pull(t); strings.Contains(said, "x509") || said == "" {
			t.Errorf("with it the Engine says %s", said)
		}
		if f := engineFinding(t, repaired); !f.OK {
			t.Errorf("registry check says %+v", f)
		}
	})

	t.Run("certificates of somebody's alone", func(t *testing.T) {
		another, err := pki.New("another", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		// What one runner cannot reach is told before the next one looks.
		wrong := describe(true, another.Root(), "dind")
		if p := plan(t, wrong); !slices.ContainsFunc(p.Notes, func(n string) bool {
			return strings.HasPrefix(n, "tls.certificate is of an authority that is not known here")
		}) {
			t.Errorf("the plan notes %q", p.Notes)
		}
		refused(t, wrong, "reach https://hg.trust.test:8443", "a job of runner dind cannot", "the runner of runner dind cannot", "a job's Docker daemon of runner dind cannot")
		files := describe(true, authority.Root(), "socket", "dind")
		up(t, files)
		if p := plan(t, files); !p.Empty() {
			t.Errorf("a second up would do\n%s", p)
		}
		if f := engineFinding(t, files); !f.OK {
			t.Errorf("registry check says %+v", f)
		}
	})
}

// named gives the site a name that leads to it by its address: what leads to
// 127.0.0.1 an Engine trusts without an authority.
func (s *site) named(t *testing.T, name string) {
	t.Helper()
	i, err := outer.docker.ContainerInspect(t.Context(), s.box.ID)
	if err != nil {
		t.Fatal(err)
	}
	var address string
	for _, n := range i.NetworkSettings.Networks {
		address = n.IPAddress
	}
	r, err := engine.New(outer.docker, nil, nil).Exec(t.Context(), s.box.ID, engine.ExecOptions{Cmd: []string{"sh", "-c", `echo "$0 $1" >>/etc/hosts`, address, name}})
	if err != nil || r.ExitCode != 0 || address == "" {
		t.Fatal(err, address, string(r.Stderr))
	}
}

// engineFinding is what registry check says about the Engine.
func engineFinding(t *testing.T, stack *hepta.Stack) registry.Finding {
	t.Helper()
	report, err := stack.CheckRegistry(t.Context(), hepta.RegistryCheck{})
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	for _, f := range report.Findings {
		if strings.Contains(f.Check, "Engine") {
			return f
		}
	}
	t.Fatalf("nothing is said about the Engine: %+v", report.Findings)
	return registry.Finding{}
}

// pull is what the site's Engine says when it pulls an image that is not there.
func (s *site) pull(t *testing.T) string {
	t.Helper()
	r, err := s.docker.ImagePull(t.Context(), trustRegistry+"/root/none:1", image.PullOptions{})
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	return "it pulls"
}
