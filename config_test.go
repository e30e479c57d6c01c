package hepta

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/internal/yamlconfig"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// secrets writes the files that testdata/large.yaml names beside a copy of it.
func largeWithSecrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	yaml, err := os.ReadFile("testdata/large.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"hepta.yaml":     string(yaml),
		"smtp.secret":    "geheim\n",
		"glrt.secret":    "glrt-geheim\n",
		"users.htpasswd": "admin:$2y$05$" + strings.Repeat("a", 53) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "hepta.yaml")
}

func TestSmall(t *testing.T) {
	cfg, err := Load("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := cfg.normal()
	if got := n.traefik(); got.TLS.Mode != traefik.TLSACME || got.TLS.Email != "admin@example.org" || got.Stack != "hepta" {
		t.Errorf("traefik: %+v", got)
	}
	f := n.forge()
	if f.Host != "hg.example.org" || f.ExternalURL != "https://hg.example.org" || f.SSH.Port != 22 || f.Registry.ExternalURL != "https://registry.example.org" {
		t.Errorf("forge: %+v, registry %+v", f, f.Registry)
	}
	r := n.runners()
	if len(r.Runners) != 2 || r.Runners[1].Mode != runner.Socket || r.CAFile != "" || r.HostNames != nil {
		t.Errorf("runners: %+v", r)
	}
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
}

func TestLarge(t *testing.T) {
	cfg, err := Load(largeWithSecrets(t))
	if err != nil {
		t.Fatal(err)
	}
	n := cfg.normal()
	f := n.forge()
	if f.SMTP.Password.Reveal() != "geheim" || f.SSH.Port != 2223 || f.Services["prometheus"] || !strings.Contains(f.Ruby, "Europe/Rome") {
		t.Errorf("forge: %+v", f)
	}
	if got := n.traefik(); len(got.Dashboard.Users) != 1 || got.Dashboard.Host != "monitor.example.org" || got.Image != "traefik:v3.6" {
		t.Errorf("traefik: %+v", got)
	}
	r := n.runners()
	if x := r.Runners[0]; x.Concurrent != 4 || x.Image != "docker:28" || x.Docker["shm_size"] != (yamlconfig.Scalar{Text: "268435456", Value: 268435456}) {
		t.Errorf("first runner: %+v", x)
	}
	if x := r.Runners[1]; x.URL != "https://gitlab.example.com" || x.Token.Reveal() != "glrt-geheim" {
		t.Errorf("second runner: %+v", x)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s.opts.Host != "ssh://admin@vm-1" {
		t.Errorf("host %q", s.opts.Host)
	}
}

// What a program writes in Go comes out as what a person writes in YAML.
func TestGoAndYAMLAreOne(t *testing.T) {
	fromYAML, err := Parse("hepta.yaml", []byte("forge: hg.example.org\nregistry: registry.example.org\nrunners: [{name: dind, mode: dind, tags: [docker]}]\nheptapod: {ssh: 2222}\n"))
	if err != nil {
		t.Fatal(err)
	}
	inGo := &Config{
		Forge: Forge{Host: "hg.example.org"}, Registry: &Registry{Host: "registry.example.org"},
		Runners: []Runner{{Name: "dind", Mode: "dind", Tags: []string{"docker"}}}, Heptapod: Heptapod{SSH: SSH{Port: "2222"}},
	}
	if d := cmp.Diff(fromYAML, inGo, cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() })); d != "" {
		t.Error(d)
	}
}

func TestNormalLeavesItsSourceAlone(t *testing.T) {
	cfg := &Config{Forge: Forge{Host: "hg.example.org"}, ACME: &ACME{Email: "a@example.org"}, Runners: []Runner{{Name: "x"}},
		Registry: &Registry{Host: "r.example.org"}, Heptapod: Heptapod{SMTP: &SMTP{Address: "smtp.example.org"}}, Traefik: Traefik{Dashboard: &Dashboard{Host: "d.example.org"}}}
	_ = cfg.normal()
	if cfg.ACME == nil || cfg.Runners[0].Mode != "" || cfg.Heptapod.Host != "" || cfg.Heptapod.SMTP.Port != 0 || cfg.Stack != "" {
		t.Errorf("changed: %+v", cfg)
	}
}

func TestConfigProblems(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "heptapod.host: the forge's host name is missing",
		"forge: [x]":                           "hepta.yaml:1:8: forge: is a list, not a mapping (host, url, token_file, registry)",
		"forge: a.b\nheptapod: {host: c.d}":    `hepta.yaml:1:8: forge: "a.b" here and "c.d" in heptapod.host are two names for one forge`,
		"forge: a.b\nregistry: a.b":            `hepta.yaml:2:11: registry.host: "a.b" is the host name of heptapod.host already`,
		"forge: a.b\nregistry: {}":             "hepta.yaml:2:11: registry: takes a host name of its own, or a port on the forge's, one of the two",
		"forge: a.b\ntraefik: {http_port: 22}": "hepta.yaml: heptapod.ssh.port: port 22 is taken by traefik.http_port",
		"forge: a.b\nacme: {email: x@a.b}\ntls: {mode: off}":          "hepta.yaml:2:7: acme: contradicts tls.mode off",
		"forge: a.b\nacme: {}":                                        "hepta.yaml:2:7: acme.email: the ACME account has no address",
		"forge: a.b\nheptapod: {labels: {hepta.x: y}}":                "hepta.yaml:2:30: heptapod.labels.hepta.x: labels that begin with hepta. are hepta's own",
		"forge: a.b\nheptapod: {memory: 100m}":                        "hepta.yaml:2:20: heptapod.memory: 100 MiB are not enough",
		"forge: a.b\nheptapod: {smtp: {}}":                            "heptapod.smtp.address",
		"forge: a.b\nrunners: [{name: x, forge: {url: https://c.d}}]": "hepta.yaml:2:28: runners[0].forge: needs token_file",
		"forge: a.b\nrunners: [{name: x, run_untagged: no}]":          "hepta.yaml:2:11: runners[0].tags: a runner without tags that takes no untagged jobs would never work",
		"forge: a.b\nrunners: [{name: x, maximum_timeout: 5}]":        "hepta.yaml:2:38: runners[0].maximum_timeout: 5 is less than 600",
		"forge: a.b\ntraefik: {dashboard: {host: d.b}}":               "traefik.dashboard.users",
		"forge: a.b\ntls: {mode: files}":                              "hepta.yaml:2:6: tls.certificate",
		"forge: a.b\nacme: {email: x@a.b}\nregistry: {port: 5050}":    "registry.certificate: a registry on a port of its own needs a certificate",
		"forge: a.b\nregistry: {host: r.b, path: /srv/registry}":      "hepta.yaml:2:29: registry.path: /srv/registry is in no volume: every image in it would be lost with the container: name a directory below /var/opt/gitlab",
		"forge: a.b\nheptapod: {volumes: [\"/mnt/x:/etc\"]}":          "hepta.yaml:2:22: heptapod.volumes[0]: /etc is the forge's own",
		"forge: a.b\nnetwork: host":                                   `hepta.yaml:2:10: network: "host" is a network mode of the Engine, where containers do not find each other by name: name a network of your own, as in web`,
		"forge: a.b\nnetwork: none":                                   `hepta.yaml:2:10: network: "none" is a network mode`,
		"forge: a.b\nnetwork: bridge":                                 `hepta.yaml:2:10: network: "bridge" is a network mode`,
		"forge: a.b\nnetwork: default":                                `hepta.yaml:2:10: network: "default" is a network mode`,
		"forge: a.b\nnetwork: \"container:x\"":                        `hepta.yaml:2:10: network: "container:x" is not the name of a network`,
		"forge: " + strings.Repeat("a", 60) + ".long\n":               "hepta.yaml:1:8: forge: has 65 characters, and the host name of a container 64 at most",
		"heptapod: {host: " + strings.Repeat("a", 60) + ".long}\n":    "hepta.yaml:1:18: heptapod.host: has 65 characters",

		"forge: a.b\nrunners: [{name: x}]\nrunner: {session_server: {port: 8093}}":           "hepta.yaml:3:26: runner.session_server.host: is missing: give the name of the Docker host",
		"forge: a.b\nrunners: [{name: x}]\nrunner: {session_server: {host: c.d, port: 443}}": "runner.session_server.port: port 443 is taken by traefik.https_port",
	} {
		path := filepath.Join(t.TempDir(), "hepta.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		var wrong *ConfigError
		if !errors.As(err, &wrong) {
			t.Errorf("%q: got %v", text, err)
			continue
		}
		wrong.Name = "hepta.yaml"
		if len(wrong.Problems) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// An external forge knows no name of the runner's container.
func TestSessionServerForAForgeElsewhere(t *testing.T) {
	cfg := &Config{Forge: Forge{URL: "https://hg.example.org", Token: NewSecret("glpat-x")}, Runners: []Runner{{Name: "a"}}}
	cfg.Runner.SessionServer = &SessionServer{}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "runner.session_server.host: is missing") {
		t.Errorf("got %v", err)
	}
	cfg.Runner.SessionServer.Host = "vm-2.example.org"
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if got := cfg.normal().runners().SessionServer; got.Host != "vm-2.example.org" || got.Port != 8093 || got.Timeout != 1800 {
		t.Errorf("got %+v", got)
	}
}

// What the runner's room has to say is told at the line of the runner that it
// is about, a runner of another forge included.
func TestRunnerProblemsAreToldAtTheirLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hepta.yaml")
	for name, content := range map[string]string{
		"glrt.secret": "glrt-geheim\n",
		"hepta.yaml": `forge: hg.example.org
runners:
  - name: elsewhere
    forge:
      url: https://localhost
      token_file: glrt.secret
  - name: dind
    mode: dind
    docker:
      volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    settings:
      executor: shell
      token: x
  - {name: both, mode: socket, dind_image: "docker:28-dind", group: 1, project: 2}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(path)
	var wrong *ConfigError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
	got := map[string]int{}
	for _, p := range wrong.Problems {
		got[p.Path] = p.Line
	}
	want := map[string]int{
		"runners[0].forge.url": 5, "runners[1].docker.volumes[0]": 10, "runners[1].settings.executor": 12, "runners[1].settings.token": 13,
		"runners[2].dind_image": 14, "runners[2].group": 14,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A runner's own forge reaches the runner's room, and a token alone means the
// forge of the file.
func TestForgeOfARunner(t *testing.T) {
	cfg := &Config{Forge: Forge{Host: "hg.example.org"}, Runners: []Runner{
		{Name: "elsewhere", Forge: &RunnerForge{URL: "https://gitlab.example.com", Token: NewSecret("glrt-1")}},
		{Name: "given", Forge: &RunnerForge{Token: NewSecret("glrt-2")}},
		{Name: "made"},
	}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := cfg.normal().runners()
	if r.Forge.URL != "https://hg.example.org" {
		t.Errorf("the forge is %s", r.Forge.URL)
	}
	for i, want := range []struct{ url, token string }{{"https://gitlab.example.com", "glrt-1"}, {"", "glrt-2"}, {"", ""}} {
		if x := r.Runners[i]; x.URL != want.url || x.Token.Reveal() != want.token {
			t.Errorf("%s: got %q and a token %q, want %q and %q", x.Name, x.URL, x.Token.Reveal(), want.url, want.token)
		}
	}
}

// Parse opens no file, so it does not complain of what is in none.
func TestParseOpensNothing(t *testing.T) {
	cfg, err := Parse("hepta.yaml", []byte("forge: a.b\ntls: {mode: files, certificate: nowhere.crt, key: nowhere.key}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "tls.certificate") {
		t.Errorf("got %v", err)
	}
}

func TestRegistryHost(t *testing.T) {
	for text, want := range map[string]string{
		"forge: a.b":                                             "",
		"forge: a.b\nregistry: r.b":                              "r.b",
		"forge: a.b\nregistry: {port: 5050}":                     "a.b:5050",
		"forge: a.b\nregistry: r.b\ntraefik: {https_port: 8443}": "r.b:8443",
		"forge: a.b\nregistry: r.b\ntraefik: {http_port: 8080}\ntls: {mode: off}": "r.b:8080",
	} {
		cfg, err := Parse("", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.normal().registryHost(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestOddPorts(t *testing.T) {
	cfg := &Config{Forge: Forge{Host: "a.b"}, Registry: &Registry{Host: "r.b"}, Traefik: Traefik{HTTPSPort: "8443"}}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Forge().URL(); got != "https://a.b:8443" {
		t.Errorf("got %s", got)
	}
	if got := s.urls(heptapod.Service); got[1] != "https://r.b:8443" {
		t.Errorf("got %v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/small.yaml", "testdata/large.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("forge: a.b\nregistry: {port: 5050}\nheptapod: {ssh: 1, ports: [1]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("hepta.yaml", data)
		var wrong *ConfigError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatalf("%T: %v", err, err)
		}
		if err != nil {
			return
		}
		if _, err := New(cfg); err != nil && !errors.As(err, &wrong) {
			t.Fatalf("a configuration that is good alone cannot be composed: %v", err)
		}
	})
}

// With an authority of the stack's own, runners trust that and those of
// runner.ca; so does the Engine, and a registry with a certificate of its own
// can be of one of them.
func TestAuthoritiesOfRunners(t *testing.T) {
	c := &Config{Forge: Forge{Host: "a.b"}}
	c.Runner.CA = []byte("another authority")
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "runner.ca: there is no certificate") {
		t.Errorf("got %v", err)
	}
	other, err := pki.New("another", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := other.Issue([]string{"a.b"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []bool{false, true} {
		c := &Config{Forge: Forge{Host: "a.b"}, Registry: &Registry{Port: "5050", Certificate: pair, Key: pair}, Runners: []Runner{{Name: "dind"}}}
		want := []string{"runner-ca/ca.crt"}
		if given {
			c.Runner.CA = other.Root()
			want = []string{"/etc/docker/certs.d/a.b:5050/ca.crt", "runner-ca/ca.crt"}
		}
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range s.want.Files {
			if strings.HasSuffix(f.Path, "/ca.crt") && !strings.HasPrefix(f.Path, "ca/") {
				got = append(got, f.Path)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("runner.ca %t: authorities are written to %q, want %q", given, got, want)
		}
		notes := s.warnings(nil)
		if slices.ContainsFunc(notes, func(n string) bool {
			return strings.HasPrefix(n, "registry.certificate is of an authority that is not known here, \"another\"")
		}) == given {
			t.Errorf("runner.ca %t: the plan notes %q", given, notes)
		}
		if cfg := s.cfg.runners(); cfg.CAFile != "runner-ca/ca.crt" || cfg.CA != nil {
			t.Errorf("runner.ca %t: runners trust %s", given, cfg.CAFile)
		}
	}
	c = &Config{}
	c.Runner.CA = []byte("two")
	if got := string(c.authorities([]byte("one"))); got != "one\ntwo" {
		t.Errorf("got %q", got)
	}
}

// What looks like something else stays what was written, where the runner
// reads text.
func TestTextOfARunnerStaysAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hepta.yaml")
	yaml := `
forge: {url: "https://hg.example.org"}
runners:
  - name: p
    mode: plain
    forge: {token_file: token}
    docker: {user: 0100, hostname: 1.10, group_add: [0200], container_labels: {version: 2.10, at: 2026-01-31, big: 98765432109876543210, on: no}}
    settings: {cache: {s3: {accesskey: 0012, Insecure: yes}}, feature_flags: {FF_X: off}}
`
	for name, content := range map[string]string{file: yaml, filepath.Join(dir, "token"): "glrt-x"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	content, err := runner.ConfigTOML(cfg.normal().runners(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`user = "0100"`, `hostname = "1.10"`, `group_add = ["0200"]`, `version = "2.10"`, `at = "2026-01-31"`,
		`big = "98765432109876543210"`, `on = "no"`, `AccessKey = "0012"`, `Insecure = true`, `FF_X = false`,
	} {
		if !strings.Contains(string(content), line) {
			t.Errorf("%s is not in\n%s", line, content)
		}
	}
}

// A hepta.yaml that holds secrets in its own lines and that everybody can read
// is told at the first of them, with the command that ends it; one without
// secrets may be read by everybody.
func TestExposedConfigurationIsTold(t *testing.T) {
	const plain = "forge: hg.example.org\nacme: {email: admin@example.org}\nheptapod:\n  smtp: {address: smtp.example.org, user: hg, password_file: smtp.secret}\n"
	for name, c := range map[string]struct {
		more string
		at   string // path of the first secret; "" for none
		line int
	}{
		"none":        {"", "", 0},
		"gitlab_rb":   {"  gitlab_rb: |\n    gitlab_rails['time_zone'] = 'UTC'\n    gitlab_rails['ldap_password'] = 'x'\n", "heptapod.gitlab_rb", 5},
		"harmless":    {"  gitlab_rb: |\n    gitlab_rails['time_zone'] = 'UTC'\n    registry['token_expiry'] = 30\n", "", 0},
		"environment": {"runners:\n  - {name: r, environment: ['A=b', 'DEPLOY_TOKEN=x']}\n", "runners[0].environment", 6},
		"settings":    {"runners:\n  - {name: r, settings: {cache: {Type: s3, s3: {SecretKey: x}}}}\n", "runners[0].settings", 6},
		"env":         {"  env: {LDAP_PASSWORD: x}\n", "heptapod.env", 5},
		"flags":       {"traefik: {flags: ['--metrics.influxdb2.token=x']}\n", "traefik.flags", 5},
	} {
		for _, mode := range []fs.FileMode{0o644, 0o600} {
			dir := t.TempDir()
			file := filepath.Join(dir, "hepta.yaml")
			for path, text := range map[string]string{file: plain + c.more, filepath.Join(dir, "smtp.secret"): "x"} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			cfg, err := Load(file)
			if err != nil {
				t.Fatal(name, err)
			}
			got, want := strings.Join(cfg.Warnings, "\n"), ""
			if c.at != "" && mode == 0o644 {
				want = fmt.Sprintf("%s holds secrets and everybody on this machine can read it (mode 0644): chmod 600 %s", file, file)
			}
			if want == "" && got != "" || !strings.Contains(got, want) || !strings.Contains(got, c.at) && want != "" || want != "" && !strings.HasPrefix(got, fmt.Sprintf("%s:%d:", file, c.line)) {
				t.Errorf("%s, mode %04o: %q", name, mode, got)
			}
		}
	}
}

// A variable may be as large as Linux takes it: a DOCKER_AUTH_CONFIG with the
// accounts of several clouds has some thousand bytes.
func TestVariablesOfRealSize(t *testing.T) {
	yaml := func(size int) string {
		value := strings.Repeat("é", size/2)
		return "forge: hg.example.org\nheptapod:\n  env:\n    LDAP: '" + value + "'\nrunners:\n  - name: auth\n    environment: ['DOCKER_AUTH_CONFIG=" + value + "']\n"
	}
	if _, err := Parse("hepta.yaml", []byte(yaml(100_000))); err != nil {
		t.Error(err)
	}
	_, err := Parse("hepta.yaml", []byte(yaml(140_000)))
	if err == nil || !strings.Contains(err.Error(), "heptapod.env.LDAP: has 140000 bytes, more than 131071") ||
		!strings.Contains(err.Error(), "runners[0].environment[0]: has 140019 bytes, more than 131071") {
		t.Errorf("got %.300v", err)
	}
	_, err = Parse("hepta.yaml", []byte("forge: hg.example.org\nheptapod: {labels: {a: '"+strings.Repeat("é", 1000)+"'}}\n"))
	if err != nil {
		t.Errorf("a text of 1000 characters: %v", err)
	}
}

// Variables are a list of NAME=value or a mapping, and stay as they were written.
func TestVariablesAsAMapping(t *testing.T) {
	cfg, err := Parse("hepta.yaml", []byte(`
forge: hg.example.org
runner:
  environment: &proxy {HTTPS_PROXY: "http://proxy.corp.example:3128", NO_PROXY: "localhost,docker", LEVEL: 010, ON: yes}
runners:
  - {name: a, environment: *proxy}
  - {name: b, environment: ["A=1"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"HTTPS_PROXY=http://proxy.corp.example:3128", "NO_PROXY=localhost,docker", "LEVEL=010", "ON=yes"}
	for _, got := range [][]string{cfg.Runner.Environment, cfg.Runners[0].Environment, cfg.runners().Environment} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	for text, want := range map[string]string{
		"{A: [x]}":       "3:27: runner.environment[0]: is a list, not a single value",
		"{\"A B\": x}":   "3:24: runner.environment[0]: is not NAME=value",
		"{A: }":          "runner.environment[0]: has no value",
		"{<<: {A: x}}":   "",
		"{A: {B: ca}}":   "runner.environment[0]: is a mapping, not a single value",
		"{A: \"a\\nb\"}": "runner.environment[0]: has a line break in place 4",
	} {
		_, err := Parse("hepta.yaml", []byte("forge: hg.example.org\nrunners: [{name: a}]\nrunner: {environment: "+text+"}\n"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A variable that the forge must not get is refused with the way out, whatever
// its value is.
func TestVariablesWithTheirOwnKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hepta.yaml")
	const text = "forge: hg.example.org\nheptapod:\n  env:\n    GITLAB_OMNIBUS_CONFIG: |\n      gitlab_rails['time_zone'] = 'UTC'\n      nginx['enable'] = true\n    GITLAB_ROOT_PASSWORD: \"secret\\n\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	for _, want := range []string{
		":4:28: heptapod.env.GITLAB_OMNIBUS_CONFIG: gitlab.rb, which is written here, has the last word over it, and docker inspect shows it: move its lines to heptapod.gitlab_rb",
		":7:27: heptapod.env.GITLAB_ROOT_PASSWORD: an environment variable shows in docker inspect: set heptapod.root_password_file instead",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
