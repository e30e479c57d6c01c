package integration

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/crypto/bcrypt"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/pki"
)

// secretYAML is a stack with a secret in every place that takes one.
const secretYAML = `stack: secret
data: /srv/secret
network: secret
heptapod:
  host: hg.secret.test
  image: octobus/heptapod:17.8
  ssh: {via: none}
  root_password_file: root.secret
  smtp: {address: smtp.secret.test, user: hg, password_file: smtp.secret}
  gitlab_rb: |
    gitlab_rails['incoming_email_password'] = 'OWN_LINE'
traefik:
  image: traefik:v3.6.12
  http_port: 8080
  https_port: 8443
  dashboard: {host: monitor.secret.test, users_file: users.htpasswd}
tls: {mode: internal}
registry:
  host: registry.secret.test
  mirror: {image: "registry:3", remote: "http://upstream:5000", user: hub, password_file: hub.secret}
runner: {image: gitlab/gitlab-runner:latest, check_interval: 1, drain_seconds: 5, registration_token_file: registration.secret}
runners:
  - {name: one, mode: plain, tags: [one], image: "docker:26", docker: {pull_policy: if-not-present}}
`

// canary is a secret that nothing else is like, with what gets escaped.
func canary() string { return `c4+n"r/y&'` + rand.Text() }

// No secret of a stack may be seen by whoever may look at the Engine, at the
// processes of its host, at what hepta prints, writes and logs, or at the logs
// of containers and jobs; what holds one on the host is for root alone.
func TestSecretsOfARunningStack(t *testing.T) {
	ctx := t.Context()
	s := onSiteAlone(t)
	lab := s.lab(t)
	if err := images.Copy(ctx, outer.docker, s.docker, refs(images.Registry, images.Buildah)...); err != nil {
		t.Fatal(err)
	}
	s.upstreamOf(t, "secret")
	w := s.watch(t)
	d := &watched{desk: s.desk(t, ""), w: w}

	given := map[string]string{
		"smtp.secret": canary(), "hub.secret": canary(), "registration.secret": "GR" + rand.Text(), "root.secret": "Root-" + rand.Text(),
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("of the dashboard"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	given["users.htpasswd"] = "admin:" + string(hash)
	for file, text := range given {
		d.write(t, file, text+"\n")
		w.secret(t, file, strings.TrimPrefix(text, "admin:"))
	}
	w.absent("registration.secret") // this forge makes runners without it
	own := "own-" + rand.Text()
	w.secret(t, "a line of gitlab.rb", own)
	yaml := strings.Replace(secretYAML, "OWN_LINE", own, 1)
	d.write(t, hepta.DefaultFile, yaml)

	d.says(t, 2, "plan", "--json")
	d.says(t, 2, "plan", "--graph")
	d.says(t, 0, "--verbose", "--progress", "json", "up")
	cfg, err := hepta.Load(filepath.Join(d.dir, hepta.DefaultFile))
	if err != nil {
		t.Fatal(err)
	}
	stack, err := hepta.New(cfg, hepta.WithDocker(s.docker))
	if err != nil {
		t.Fatal(err)
	}
	s.explain(t, stack)
	s.removeAtEnd(t, stack)
	w.made(t, stack)
	w.made(t, lab)
	first := sectionToken(t, s.file(t, "/srv/secret/runner", "config.toml"), "one")
	w.secret(t, "the first token of runner one", first)

	// Another password, and a runner with a token that was made in the forge.
	api, err := stack.Forge().Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	made, _, err := api.Users.CreateUserRunner(&gitlab.CreateUserRunnerOptions{
		RunnerType: gitlab.Ptr("instance_type"), Description: gitlab.Ptr("given"), TagList: &[]string{"given"},
	}, gitlab.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	w.secret(t, "the token of runner given", made.Token)
	d.write(t, "given.secret", made.Token)
	w.absent("smtp.secret")
	w.secret(t, "the second password for mail", canary())
	d.write(t, "smtp.secret", w.secrets["the second password for mail"])
	yaml += "  - {name: given, mode: plain, tags: [given], image: \"docker:26\", forge: {token_file: given.secret}, docker: {pull_policy: if-not-present}}\n"
	d.write(t, hepta.DefaultFile, yaml)
	d.says(t, 2, "plan", "--json")
	d.says(t, 0, "--verbose", "--progress", "plain", "up")

	p := s.project(t, stack, "secret", git)
	const job = `%s: {tags: [%s], image: "docker:26", script: [env, "cat /proc/*/cmdline || true", "ls -laR /builds"]}
`
	p.push(t, https, map[string]string{".gitlab-ci.yml": fmt.Sprintf(job+job, "one", "one", "given", "given")})
	for name, job := range p.succeed(t, "one", "given") {
		w.saw("log of job "+name, p.trace(ctx, job))
	}

	for _, args := range [][]string{
		{"plan", "--json"}, {"status"}, {"status", "--json"}, {"logs"}, {"runner", "list", "--json"}, {"runner", "verify", "--json"},
		{"runner", "logs"}, {"--verbose", "runner", "rotate", "one"}, {"runner", "verify"}, {"ctl", "status"}, {"--verbose", "up"},
	} {
		d.says(t, 0, args...)
	}
	w.absent("the first token of runner one")
	w.secret(t, "the second token of runner one", sectionToken(t, s.file(t, "/srv/secret/runner", "config.toml"), "one"))
	ca, err := stack.CACertificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("registry", func(t *testing.T) {
		t.Setenv("HTTPS_PROXY", s.entrance(t))
		d.write(t, "ca.crt", string(ca))
		t.Setenv("SSL_CERT_FILE", filepath.Join(d.dir, "ca.crt"))
		t.Setenv("DOCKER_CONFIG", t.TempDir())
		root := []string{"--username", "root", "--token-file", "root.secret"}
		d.says(t, 0, append([]string{"--verbose", "registry", "check", "--json", "--repository", p.Path}, root...)...)
		d.says(t, 0, append([]string{"--verbose", "registry", "login"}, root...)...)
		d.says(t, 0, "--verbose", "registry", "list")
		d.write(t, "wrong.secret", "Wrong-"+rand.Text())
		w.secret(t, "a wrong password", strings.TrimSpace(d.text(t, "wrong.secret")))
		w.absent("a wrong password")
		d.says(t, 1, "--verbose", "registry", "login", "--username", "root", "--token-file", "wrong.secret")
	})
	t.Run("build", func(t *testing.T) {
		password, err := lab.Forge().RootPassword(ctx)
		if err != nil {
			t.Fatal(err)
		}
		loggedIn(t, lab, password.Reveal())
		image := s.project(t, lab, "secret-built", git)
		b := &watched{desk: s.desk(t, labYAML), w: w}
		w.secret(t, "a secret of a build", canary())
		w.absent("a secret of a build")
		b.write(t, "token", w.secrets["a secret of a build"])
		files := at(t, map[string]string{"busybox": busybox(t), "Dockerfile": `FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
RUN --mount=type=secret,id=token /bin/busybox cat /run/secrets/token
`})
		for mode, with := range buildImages {
			b.says(t, 0, "--verbose", "build", "--mode", string(mode), "--image", with, "--secret", "id=token,src=token",
				"--push", "--tag", labRegistry+"/"+image.Path+":"+string(mode), files.Dir)
		}
	})
	w.stack(t, stack)

	t.Run("what fails", func(t *testing.T) {
		// Ruby quotes the line that it does not understand.
		d.write(t, hepta.DefaultFile, strings.Replace(yaml, own+"'\n", own+"' )\n", 1))
		if said := d.says(t, 1, "--verbose", "--progress", "plain", "up"); !strings.Contains(said, "***' )") {
			t.Errorf("the line is not quoted:\n%s", w.without(said))
		}
		w.stack(t, stack)

		authority, err := pki.New("secret", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pair, err := authority.Issue([]string{"hg.secret.test"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		d.write(t, "registry.pem", string(pair))
		w.secret(t, "the registry's own key", keyOf(t, string(pair)))
		w.absent("the certificate's key of stack secret") // the proxy has a name less
		d.write(t, hepta.DefaultFile, strings.Replace(yaml, "  host: registry.secret.test\n", "  port: 5050\n  certificate: registry.pem\n  key: registry.pem\n", 1))
		d.says(t, 2, "plan", "--json")
		// The runners do not know who that certificate is of.
		d.tells(t, "--verbose", "--progress", "json", "up")
		w.stack(t, stack)
	})
	w.check(t, "/srv/secret", "/srv/lab")
}

// made are the secrets that a stack has made up and keeps on its host.
func (w *watch) made(t *testing.T, stack *hepta.Stack) {
	t.Helper()
	name, data := stack.Config().Stack, stack.Config().Data
	of := func(what string) string { return what + " of stack " + name }
	password, err := stack.Forge().RootPassword(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := stack.Forge().Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.secret(t, of("root's password"), password.Reveal())
	w.secret(t, of("the API token"), token.Value.Reveal())
	w.secret(t, of("the authority's key"), keyOf(t, w.s.file(t, data, "ca/ca.key")))
	w.secret(t, of("the certificate's key"), keyOf(t, w.s.file(t, data, "traefik/dynamic/leaf.pem")))
	for i, section := range strings.Split(w.s.file(t, data+"/runner", "config.toml"), "[[runners]]")[1:] {
		_, value, _ := strings.Cut(section, "token = \"")
		value, _, _ = strings.Cut(value, "\"")
		w.secret(t, of(fmt.Sprintf("the token of runner %d", i)), value)
		w.absent(of(fmt.Sprintf("the token of runner %d", i))) // it may be replaced
	}
	var sections map[string]map[string]any
	if err := json.Unmarshal([]byte(w.s.file(t, data, "heptapod/config/gitlab-secrets.json")), &sections); err != nil {
		t.Fatal("gitlab-secrets.json is no JSON")
	}
	for section, values := range sections {
		for key, value := range values {
			if text, ok := value.(string); ok && len(text) >= 16 {
				w.secret(t, of(section+"."+key), text)
			}
		}
	}
}

// sectionToken is the token of a runner in config.toml.
func sectionToken(t *testing.T, config, name string) string {
	t.Helper()
	_, section, found := strings.Cut(config, fmt.Sprintf("name = %q\n", name))
	_, section, also := strings.Cut(section, `token = "`)
	token, _, ended := strings.Cut(section, `"`)
	if !found || !also || !ended {
		t.Fatalf("config.toml has no token for %s", name)
	}
	return token
}

// watched is a desk where everything that the program prints is kept.
type watched struct {
	*desk
	w *watch
}

// says is a run that has to end with a code.
func (d *watched) says(t *testing.T, want int, args ...string) string {
	t.Helper()
	out, errs, code := d.run(t, args...)
	d.w.saw("hepta "+strings.Join(args, " "), out, errs)
	if code != want {
		t.Fatalf("hepta %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, want, d.w.without(out+errs))
	}
	return out + errs
}

// tells is a run that may end as it likes.
func (d *watched) tells(t *testing.T, args ...string) {
	t.Helper()
	out, errs, _ := d.run(t, args...)
	d.w.saw("hepta "+strings.Join(args, " "), out, errs)
}

func (d *watched) text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// upstreamOf is the upstream of mirrors, on a network of that name that is
// there before the stack that uses it.
func (s *site) upstreamOf(t *testing.T, name string) {
	t.Helper()
	id := s.upstream(t)
	made, err := s.docker.NetworkCreate(t.Context(), name, network.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.docker.NetworkDisconnect(context.Background(), made.ID, id, true); err != nil {
			t.Error(err)
		}
		if err := s.docker.NetworkRemove(context.Background(), made.ID); err != nil {
			t.Error(err)
		}
	})
	if err := s.docker.NetworkConnect(t.Context(), made.ID, id, &network.EndpointSettings{Aliases: []string{"upstream"}}); err != nil {
		t.Fatal(err)
	}
}
