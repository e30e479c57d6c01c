package hepta

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pki"
)

// An external forge leaves nothing but its runners to bring up.
func TestExternalForge(t *testing.T) {
	dir := t.TempDir()
	certificate, _ := pair(t, "hg.example.org")
	for name, text := range map[string]string{
		"hepta.yaml": `docker: {host: tcp://vm-2:2376, certs: vm-2}
forge: {url: https://hg.example.org/, token_file: forge.token, registry: registry.example.org}
runner: {ca: ca.crt}
runners: [{name: dind, mode: dind, tags: [docker]}]
`,
		"forge.token": "glpat-" + canary + "\n", "ca.crt": string(certificate),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(filepath.Join(dir, "hepta.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := "tcp://vm-2:2376?certs=" + filepath.Join(dir, "vm-2"); s.opts.Host != want {
		t.Errorf("the Engine is at %s, want %s", s.opts.Host, want)
	}
	plan, err := converge.Up(&s.want, &converge.Observed{Networks: []converge.ObservedNetwork{{Name: "bridge", Gateway: "172.17.0.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/external.plan", plan.String())
	(&held{t: t}).plan("the plan", plan)
	if got := s.Services(); !slices.Equal(got, []string{"runner"}) {
		t.Errorf("services: %v", got)
	}
	r := s.cfg.runners()
	if r.Forge.URL != "https://hg.example.org" || r.Forge.Token.Reveal() != "glpat-"+canary || len(r.HostNames)+len(r.After) > 0 {
		t.Errorf("runners: %+v", r)
	}
	if address, err := s.registryURL(); err != nil || address != "https://registry.example.org" || s.forge.URL() != "https://hg.example.org" {
		t.Errorf("registry %s of forge %s, %v", address, s.forge.URL(), err)
	}
	if _, err := s.CACertificate(t.Context()); err == nil || !strings.Contains(err.Error(), "forge is external") {
		t.Errorf("authority: %v", err)
	}
}

func TestForgeElsewhereProblems(t *testing.T) {
	t.Setenv("HEPTA_TEST_TOKEN", "glpat-x")
	t.Setenv("HEPTA_TEST_GLRT", "glrt-x")
	for text, want := range map[string]string{
		"forge: {url: https://c.d}":                       "hepta.yaml:1:14: forge.url: without runners there is nothing to bring up",
		"forge: {url: https://c.d}\nrunners: [{name: x}]": "runners[0]: has to be made in the forge: give forge.token_file",
		"forge: {url: https://c.d, token_file: env:HEPTA_TEST_TOKEN}\nrunners: [{name: x}]\nheptapod: {ssh: 22}": "hepta.yaml:3:11: heptapod: belongs to a forge of this file",
		"forge: {url: https://c.d, token_file: env:HEPTA_TEST_GLRT}\nrunners: [{name: x}]":                       `hepta.yaml:1:39: forge.token_file: a token that begins with glrt- is the one of a runner that is made already: give it to that runner`,
		"forge: {url: https://c.d, token_file: env:HEPTA_TEST_NONE}\nrunners: [{name: x}]":                       "hepta.yaml:1:39: forge.token_file: read variable HEPTA_TEST_NONE: it is not set",
		"forge: {url: https://c.d, token_file: env:HEPTA_TEST_TOKEN}\nrunners: [{name: x}]\nrunner: {ca: env:X}": "runner.ca: read ",
		"forge: {host: a.b, token_file: env:HEPTA_TEST_TOKEN}":                                                   "hepta.yaml:1:32: forge.token_file: is for an external forge",
		"forge: a.b\ndocker: {host: ssh://vm-1, certs: x}":                                                       "docker.certs: is for docker.host with tcp://",
	} {
		path := filepath.Join(t.TempDir(), "hepta.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.Contains(strings.TrimPrefix(err.Error(), filepath.Dir(path)+"/"), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// A key that lies beside the certificate of an authority is given to no runner.
func TestKeyBesideAnAuthorityGoesNowhere(t *testing.T) {
	dir := t.TempDir()
	authority, err := pki.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := authority.Issue([]string{"forge.example"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, yaml := range []string{
		"forge: {url: https://forge.example}\nrunner: {ca: both.pem}\nrunners: [{name: a, mode: plain, forge: {token_file: token}}]\n",
		"forge: forge.example\nrunner: {ca: both.pem}\nheptapod: {smtp: {address: mail.example, ca: both.pem}}\nrunners: [{name: a, mode: plain}]\n",
	} {
		for name, text := range map[string]string{"hepta.yaml": yaml, "both.pem": string(bundle), "token": "glrt-given"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg, err := Load(filepath.Join(dir, "hepta.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(s.cfg.authorities(nil)); strings.Contains(text, "PRIVATE KEY") || !strings.Contains(text, "BEGIN CERTIFICATE") {
			t.Errorf("authorities of runners: %s", text)
		}
		for _, f := range s.want.Files {
			if strings.Contains(string(f.Content), "PRIVATE KEY") && !f.Secret {
				t.Errorf("%s has the key", f.Path)
			}
		}
	}
}
