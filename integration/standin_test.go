package integration

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
	"golang.org/x/crypto/ssh"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/images"
)

// heptapod-docker 1.3, 1.4, 1.6: the order of a boot, the token by Rails.
func TestStandinBoots(t *testing.T) {
	besideSites(t)
	s := startForge(t, images.Heptapod, forgeVolumes(t), map[string]string{"GITLAB_OMNIBUS_CONFIG": behindProxy, "GITLAB_ROOT_PASSWORD": rootPassword})

	want := []string{heptapod.PhaseReconfigure, heptapod.PhaseMigrations, heptapod.PhaseServices, heptapod.PhaseWeb}
	var phases []string
	eventually(t, 20*time.Second, "the log shows every phase", func() bool {
		phases = nil
		for line := range strings.Lines(s.log(t)) {
			if p := heptapod.Phase(line); p != "" && !slices.Contains(phases, p) {
				phases = append(phases, p)
			}
		}
		return len(phases) >= len(want)
	})
	if !slices.Equal(phases, want) {
		t.Errorf("phases %q, want %q", phases, want)
	}
	status, body := s.get(t, "http://hg.test/api/v4/version", "PRIVATE-TOKEN", s.token(t))
	if status != http.StatusOK || !strings.Contains(body, `"`+images.DefaultHeptapodVersion+`"`) {
		t.Errorf("version: %d %s", status, body)
	}
	if status, _ := s.get(t, "http://nobody.test/users/sign_in"); status != http.StatusOK {
		t.Errorf("a host that is nobody's gets %d, want the forge", status)
	}
	// 1.5: the health is for the whitelist alone.
	if status, _ := s.get(t, "http://hg.test/-/readiness"); status != http.StatusNotFound {
		t.Errorf("readiness from outside: %d, want 404", status)
	}
	if code, out := s.run(t, "curl", "-fsS", "http://localhost/-/readiness?all=1"); code != 0 {
		t.Errorf("readiness from inside: exit code %d: %s", code, out)
	}
	if code, _ := s.run(t, "test", "-e", "/etc/gitlab/initial_root_password"); code == 0 {
		t.Error("a password that was supplied is stored")
	}
}

// heptapod-docker 4: the registry behind the forge's tokens.
func TestStandinServesItsRegistry(t *testing.T) {
	besideSites(t)
	ctx := t.Context()
	s := startForge(t, images.Heptapod, forgeVolumes(t), map[string]string{"GITLAB_OMNIBUS_CONFIG": behindProxy, "GITLAB_ROOT_PASSWORD": rootPassword})
	project := strings.NewReader(`{"name": "things"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hg.test/api/v4/projects", project)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("PRIVATE-TOKEN", s.token(t))
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("create project: %s", resp.Status)
	}

	ref, err := name.NewTag("registry.test/root/things:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	as := func(password string) []remote.Option {
		return []remote.Option{remote.WithContext(ctx), remote.WithTransport(s.http.Transport),
			remote.WithAuth(&authn.Basic{Username: "root", Password: password})}
	}
	if err := remote.Write(ref, image, as("wrong")...); err == nil {
		t.Error("a wrong password pushes an image")
	}
	if err := remote.Write(ref, image, as(rootPassword)...); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run(t, "gitlab-ctl", "registry-garbage-collect", "-m"); code != 0 {
		t.Errorf("collect garbage: exit code %d: %s", code, out)
	}
	eventually(t, 20*time.Second, "the registry is back", func() bool {
		status, _ := s.get(t, "http://registry.test/v2/")
		return status == http.StatusUnauthorized
	})
	pulled, err := remote.Image(ref, as(rootPassword)...)
	if err != nil {
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pulled.Digest(); err != nil || got != want {
		t.Errorf("pulled %v, %v; want %v", got, err, want)
	}
	if code, _ := s.run(t, "gitlab-ctl", "stop", "registry"); code != 0 {
		t.Errorf("stop registry: exit code %d", code)
	}
	if status, _ := s.get(t, "http://registry.test/v2/"); status != http.StatusBadGateway {
		t.Errorf("stopped registry: %d, want 502", status)
	}
	if code, out := s.run(t, "gitlab-ctl", "status"); code == 0 || !strings.Contains(out, "down: registry: ") {
		t.Errorf("status: exit code %d: %s", code, out)
	}
}

// login opens an ssh connection as git and returns what the forge answers, and
// the host's key.
func (s *standin) login(t *testing.T, key ssh.Signer) (output string, host ssh.PublicKey, err error) {
	t.Helper()
	c, err := ssh.Dial("tcp", s.ssh, &ssh.ClientConfig{
		User: "git", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: 10 * time.Second,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		HostKeyCallback:   func(_ string, _ net.Addr, k ssh.PublicKey) error { host = k; return nil },
	})
	if err != nil {
		return "", host, err
	}
	defer c.Close()
	session, err := c.NewSession()
	if err != nil {
		return "", host, err
	}
	defer session.Close()
	out, err := session.CombinedOutput("hg -R root/nothing serve --stdio")
	return string(out), host, err
}

// heptapod-docker 1.2, 1.4: what is on the volumes outlives the container, the
// ssh host keys among it; ssh goes by the keys of the forge's users.
func TestStandinKeepsWhatIsOnItsVolumes(t *testing.T) {
	besideSites(t)
	volumes := forgeVolumes(t)
	env := map[string]string{"GITLAB_OMNIBUS_CONFIG": behindProxy, "GITLAB_ROOT_PASSWORD": rootPassword}
	s := startForge(t, images.Heptapod, volumes, env)
	token := s.token(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if out, _, err := s.login(t, key); err == nil {
		t.Errorf("a key of nobody was let in: %s", out)
	}
	body, err := json.Marshal(map[string]string{"title": "test", "key": string(ssh.MarshalAuthorizedKey(key.PublicKey()))})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hg.test/api/v4/user/keys", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("PRIVATE-TOKEN", token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("add key: %s", resp.Status)
	}
	var out string
	var before ssh.PublicKey
	eventually(t, time.Minute, "the key logs in", func() bool { // sshd starts beside the web
		out, before, err = s.login(t, key)
		_, exited := err.(*ssh.ExitError)
		return exited
	})
	if out == "" {
		t.Error("the forge says nothing about a repository that is not there")
	}

	stopped := time.Now()
	grace := 60 * time.Second
	if err := s.Stop(t.Context(), &grace); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(stopped); took > grace/2 {
		t.Errorf("stopping took %s", took)
	}
	state, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.ExitCode != 0 {
		t.Errorf("exit code %d, want 0\n%s", state.ExitCode, s.log(t))
	}
	if err := s.Terminate(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Another password now changes nothing.
	env["GITLAB_ROOT_PASSWORD"] = "another one"
	s = startForge(t, images.Heptapod, volumes, env)
	if status, _ := s.get(t, "http://hg.test/api/v4/user", "PRIVATE-TOKEN", token); status != http.StatusOK {
		t.Errorf("the token of the first container: %d", status)
	}
	var after ssh.PublicKey
	eventually(t, time.Minute, "the key of the first container logs in", func() bool { // sshd starts beside the web
		_, after, err = s.login(t, key)
		_, exited := err.(*ssh.ExitError)
		return exited
	})
	if !bytes.Equal(before.Marshal(), after.Marshal()) {
		t.Error("the ssh host key changed")
	}

	// 6, no. 9: without the old secrets encrypted columns are unreadable.
	if code, out := s.run(t, "rm", "/etc/gitlab/gitlab-secrets.json"); code != 0 {
		t.Fatal(out)
	}
	if err := s.Terminate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = startForge(t, images.Heptapod, volumes, env)
	if status, _ := s.get(t, "http://hg.test/api/v4/runners/all", "PRIVATE-TOKEN", token); status != http.StatusInternalServerError {
		t.Errorf("runners after the secrets were lost: %d, want 500", status)
	}
}

// What makes the image's container end, and the words it ends with.
func TestStandinRefuses(t *testing.T) {
	besideSites(t)
	data := forgeVolumes(t)
	env := map[string]string{"GITLAB_OMNIBUS_CONFIG": behindProxy, "GITLAB_ROOT_PASSWORD": rootPassword}
	if err := startForge(t, images.Heptapod, data, env).Terminate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		image    images.Name
		volumes  []mount.Mount
		settings string
		password string
		want     []string
	}{
		{"a short password", images.Heptapod, nil, behindProxy, "short", []string{"too short", "8 characters"}},
		{"a removed setting", images.HeptapodAt("18.0.0"), nil, behindProxy + "gitlab_shell['migration'] = { enabled: true }", rootPassword,
			[]string{"Removed configurations found in gitlab.rb. Aborting reconfigure.", "gitlab_shell['migration']"}},
		{"an unknown section", images.Heptapod, nil, behindProxy + "nginxx['listen_port'] = 80", rootPassword,
			[]string{"unsupported config key 'nginxx'", "There was an error running gitlab-ctl reconfigure"}},
		{"a syntax error", images.Heptapod, nil, behindProxy + "nginx['listen_port' = 80", rootPassword, []string{"SyntaxError"}},
		{"a URL without a scheme", images.Heptapod, nil, "external_url 'hg.test'", rootPassword, []string{"must include a schema and FQDN"}},
		{"a skipped stop", images.HeptapodAt("18.0.0"), data, behindProxy, rootPassword,
			[]string{"upgrading from 17.8 to 18.0", "upgrade to the latest 17.11.x version first"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, tt.image, tt.volumes, map[string]string{"GITLAB_OMNIBUS_CONFIG": tt.settings, "GITLAB_ROOT_PASSWORD": tt.password})
			r.WaitingFor = wait.ForExit().WithExitTimeout(time.Minute)
			c, err := started(t.Context(), r)
			testcontainers.CleanupContainer(t, c)
			if err != nil {
				t.Fatal(err)
			}
			state, err := c.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			log := containerLog(t, c.GetContainerID())
			if state.ExitCode != 1 {
				t.Errorf("exit code %d, want 1", state.ExitCode)
			}
			for _, w := range tt.want {
				if !strings.Contains(log, w) {
					t.Errorf("the log does not say %q:\n%s", w, log)
				}
			}
			if strings.Contains(log, "gitlab Reconfigured!") {
				t.Error("the log says that all is well")
			}
		})
	}
}

// gitlab.rb has the last word over the environment, and a change there is taken
// over by a reconfigure. heptapod-docker 0.
func TestStandinReconfigures(t *testing.T) {
	besideSites(t)
	s := startForge(t, images.Heptapod, forgeVolumes(t), map[string]string{"GITLAB_OMNIBUS_CONFIG": behindProxy, "GITLAB_ROOT_PASSWORD": rootPassword})
	token := s.token(t)
	rb := "external_url 'https://other.test'\nnginx['listen_port'] = 80\nnginx['listen_https'] = false\nregistry['enable'] = false\n"
	if err := s.CopyToContainer(t.Context(), []byte(rb), "/etc/gitlab/gitlab.rb", 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run(t, "gitlab-ctl", "reconfigure"); code != 0 || !strings.Contains(out, "gitlab Reconfigured!") {
		t.Fatalf("reconfigure: exit code %d: %s", code, out)
	}
	if _, out := s.run(t, "gitlab-ctl", "status"); strings.Contains(out, "registry") {
		t.Errorf("the registry was switched off, status shows it:\n%s", out)
	}
	_, body := s.get(t, "http://other.test/api/v4/user", "PRIVATE-TOKEN", token)
	if !strings.Contains(body, `"https://other.test/root"`) {
		t.Errorf("the forge does not know its new URL: %s", body)
	}
	if code, out := s.run(t, "gitlab-ctl", "stop", "puma"); code != 0 || !strings.HasPrefix(out, "ok: down: puma: ") {
		t.Errorf("stop puma: exit code %d: %s", code, out)
	}
	if status, _ := s.get(t, "http://other.test/users/sign_in"); status != http.StatusBadGateway {
		t.Errorf("without puma: %d, want 502", status)
	}
	if code, out := s.run(t, "gitlab-rails", "runner", "puts User.first.username"); code != 0 || strings.TrimSpace(out) != "root" {
		t.Errorf("Rails without puma: exit code %d: %s", code, out)
	}
	if code, out := s.run(t, "gitlab-ctl", "restart"); code != 0 {
		t.Errorf("restart: exit code %d: %s", code, out)
	}
	if status, _ := s.get(t, "http://other.test/users/sign_in"); status != http.StatusOK {
		t.Errorf("after the restart: %d", status)
	}
	bad := rb + fmt.Sprintf("git_data_dirs({ 'default' => { 'path' => %q } })\n", "/data")
	if err := s.CopyToContainer(t.Context(), []byte(bad), "/etc/gitlab/gitlab.rb", 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run(t, "gitlab-ctl", "check-config", "--version=18.0.0"); code == 0 || !strings.Contains(out, "git_data_dirs") {
		t.Errorf("check-config: exit code %d: %s", code, out)
	}
	if code, out := s.run(t, "gitlab-ctl", "check-config", "--version=17.11.0"); code != 0 {
		t.Errorf("check-config: exit code %d: %s", code, out)
	}
}

// heptapod-docker 7.1, 7.2: a backup of the data, without /etc/gitlab.
func TestStandinBacksUp(t *testing.T) {
	besideSites(t)
	s := startForge(t, images.Heptapod, forgeVolumes(t), map[string]string{"GITLAB_OMNIBUS_CONFIG": behindProxy, "GITLAB_ROOT_PASSWORD": rootPassword})
	before := s.token(t)
	code, out := s.run(t, "gitlab-backup", "create")
	if code != 0 {
		t.Fatalf("create: exit code %d: %s", code, out)
	}
	_, list := s.run(t, "sh", "-c", "cd /var/opt/gitlab/backups && stat -c '%U %a %n' *")
	id, ok := strings.CutSuffix(strings.TrimSpace(list), "_"+images.DefaultHeptapodVersion+"_gitlab_backup.tar")
	id, owned := strings.CutPrefix(id, "git 600 ")
	if !ok || !owned {
		t.Fatalf("backups: %q", list)
	}
	id += "_" + images.DefaultHeptapodVersion
	if _, files := s.run(t, "tar", "-tf", "/var/opt/gitlab/backups/"+id+"_gitlab_backup.tar"); strings.Contains(files, "gitlab-secrets.json") {
		t.Error("the backup holds the secrets")
	}

	after := s.token(t)
	if code, out := s.run(t, "gitlab-backup", "restore", "BACKUP="+id, "GITLAB_ASSUME_YES=1"); code != 0 {
		t.Fatalf("restore: exit code %d: %s", code, out)
	}
	if status, _ := s.get(t, "http://hg.test/api/v4/user", "PRIVATE-TOKEN", before); status != http.StatusOK {
		t.Errorf("a token from before the backup: %d", status)
	}
	if status, _ := s.get(t, "http://hg.test/api/v4/user", "PRIVATE-TOKEN", after); status != http.StatusUnauthorized {
		t.Errorf("a token from after the backup: %d, want 401", status)
	}
	if code, out := s.run(t, "gitlab-backup", "restore", "BACKUP=nothing", "GITLAB_ASSUME_YES=1"); code == 0 || !strings.Contains(out, "does not exist") {
		t.Errorf("restore of nothing: exit code %d: %s", code, out)
	}
	if code, out := s.run(t, "gitlab-ctl", "backup-etc"); code != 0 || !strings.Contains(out, "/etc/gitlab/config_backup/gitlab_config_") {
		t.Errorf("backup-etc: exit code %d: %s", code, out)
	}
}
