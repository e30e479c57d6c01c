package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/runner"
)

// entrance is a proxy of this machine that leads to the ports of the site by
// whatever name, for a program that has to reach the forge by its address.
func (s *site) entrance(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, port, err := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || err != nil {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", s.ports[port])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		if _, err := io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		ended := make(chan struct{})
		go func() {
			_, _ = io.Copy(there, here)
			_ = there.Close()
			close(ended)
		}()
		_, _ = io.Copy(here, there)
		_ = here.Close()
		<-ended
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return "http://" + listener.Addr().String()
}

// unplug puts the jobs of far-api on a network where the forge's name leads to
// nobody. Every up has to fail and say so, until it leads to the forge. There
// they stay.
func (s *site) unplug(t *testing.T, d *desk, yaml string) {
	t.Helper()
	ctx := t.Context()
	const island = "island"
	if _, err := s.docker.NetworkCreate(ctx, island, network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	plug := func(container string) (unplug func()) {
		if err := s.docker.NetworkConnect(ctx, island, container, &network.EndpointSettings{Aliases: []string{labForge}}); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := s.docker.NetworkDisconnect(context.WithoutCancel(ctx), island, container, true); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(func() {
		if err := s.docker.NetworkRemove(context.WithoutCancel(ctx), island); err != nil {
			t.Error(err)
		}
	})
	pull := plug("alone-runner") // it serves nothing
	d.write(t, hepta.DefaultFile, strings.Replace(yaml, "network_mode: lab", "network_mode: island", 1))
	for _, why := range []string{"its network settings changed", "not yet seen that its jobs reach forge and registry"} {
		if out, errs, code := d.run(t, "plan"); code != 2 || !strings.Contains(out, "see runner far-api") || !strings.Contains(out, why) {
			t.Errorf("plan: exit code %d\n%s%s", code, out, errs)
		}
		d.fails(t, []string{"up"}, "reach https://"+labForge, "a job of runner far-api cannot: ", "connection refused", "not reached from where jobs run")
	}
	d.fails(t, []string{"runner", "verify"}, "far-api", "a job of runner far-api cannot: ", "connection refused")
	pull()
	t.Cleanup(plug("lab-traefik"))
	d.do(t, "up")
	if out := d.do(t, "up"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("reached, the next up says\n%s", out)
	}
}

// A hepta.yaml that names an external forge brings up runners alone. The token
// may be of either kind, an API token or a registration token: the forge is
// asked which, and in both a job runs.
func TestRunnersForAnExternalForge(t *testing.T) {
	ctx := t.Context()
	s := onSiteAlone(t)
	lab := s.lab(t)
	api, err := lab.Forge().Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := lab.CACertificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	token, err := lab.Forge().Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTPS_PROXY", s.entrance(t))
	ruby := func(code string) string {
		return strings.TrimSpace(s.output(t, lab, "heptapod", "gitlab-rails runner '"+code+"'"))
	}
	for _, c := range []struct{ kind, token string }{
		{"api", token.Value.Reveal()},
		{"registration", ruby("puts Gitlab::CurrentSettings.runners_registration_token")},
	} {
		t.Run(c.kind, func(t *testing.T) {
			forgotten(t, api, "far-"+c.kind)
			yaml := fmt.Sprintf(`stack: alone
data: /srv/alone-%[1]s
network: lab
forge: {url: "https://%[2]s", token_file: token.secret}
runner: {image: gitlab/gitlab-runner:latest, check_interval: 1, drain_seconds: 5, ca: lab.crt}
runners:
  - {name: far-%[1]s, mode: plain, tags: [far-%[1]s], image: "docker:26", docker: {pull_policy: if-not-present, network_mode: lab}}
`, c.kind, labForge)
			d := s.desk(t, yaml)
			d.write(t, "token.secret", c.token)
			d.write(t, "lab.crt", string(ca))
			defer d.run(t, "down")
			d.do(t, "up")
			if out := d.do(t, "up"); !strings.Contains(out, "Nothing to do") {
				t.Errorf("the second up says\n%s", out)
			}
			if c.kind == "api" {
				s.unplug(t, d, yaml)
			}
			var found *gitlab.Runner
			list, _, err := api.Runners.ListAllRunners(nil, gitlab.WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				if r.Description == "far-"+c.kind {
					if found != nil {
						t.Errorf("made twice: %d and %d", found.ID, r.ID)
					}
					found = r
				}
			}
			if found == nil {
				t.Fatal("the forge has no such runner")
			}
			token := s.file(t, "/srv/alone-"+c.kind+"/runner", "config.toml")
			_, token, _ = strings.Cut(token, `token = "`)
			if got := strings.HasPrefix(token, "glrt-"); got != (c.kind == "api") {
				t.Errorf("a token of the new kind: %v", got)
			}
			d.works(t, lab, "far-"+c.kind, "echo far away", "far away")
			if diff := d.verdicts(t); len(diff) != 1 || diff[0] != "far-"+c.kind+" good" {
				t.Errorf("verdicts %q", diff)
			}
			if c.kind == "api" {
				d.stands(t, "far-api", runner.Online)
			}
		})
	}

	// A forge that allows no registration tokens says so, and so does hepta.
	t.Run("registration off", func(t *testing.T) {
		ruby("Gitlab::CurrentSettings.current_application_settings.update!(allow_runner_registration_token: false)")
		defer ruby("Gitlab::CurrentSettings.current_application_settings.update!(allow_runner_registration_token: true)")
		d := s.desk(t, fmt.Sprintf("stack: alone\ndata: /srv/alone-off\nnetwork: lab\nforge: {url: \"https://%s\", token_file: token.secret}\n"+
			"runner: {image: gitlab/gitlab-runner:latest, drain_seconds: 5, ca: lab.crt}\nrunners: [{name: off, mode: plain, tags: [off]}]\n", labForge))
		token := ruby("puts Gitlab::CurrentSettings.runners_registration_token")
		d.write(t, "token.secret", token)
		d.write(t, "lab.crt", string(ca))
		defer d.run(t, "down")
		out, errs, code := d.run(t, "up")
		if code != 1 || !strings.Contains(errs, "takes no registration tokens") || !strings.Contains(errs, "→ Give an API token") || strings.Contains(out+errs, token) {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
	})
}
