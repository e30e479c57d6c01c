package runner

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/converge"
)

var update = flag.Bool("update", false, "write the golden files anew")

// presets are configurations and the config.toml that each makes.
func presets() map[string]Config {
	token := NewSecret("glrt-given")
	forge := Forge{URL: "https://hg.example.org/"}
	return map[string]Config{
		"dind":     {Forge: forge, Runners: []Runner{{Name: "dind", Mode: Dind, Token: token}}},
		"socket":   {Forge: forge, Runners: []Runner{{Name: "socket", Mode: Socket, Token: token, Concurrent: 4}}},
		"plain":    {Forge: forge, HelperImage: "helper:1", Runners: []Runner{{Name: "plain", Mode: Plain, Token: token, Image: "alpine:3"}}},
		"rootless": {Forge: forge, Runners: []Runner{{Name: "rootless", Mode: Rootless, Token: token}}},
		"dind-plain": {Forge: forge, Runners: []Runner{{Name: "dind", Mode: Dind, Token: token, TLS: new(bool), DindImage: DefaultDindImage,
			AllowedImages: []string{"docker:*", "registry.example.org/ci/**"}, AllowedServices: []string{"docker:*-dind"}}}},
		"build-cache": {Forge: forge, Runners: []Runner{{Name: "dind", Mode: Dind, Token: token, BuildCache: 20 << 30}, {Name: "rootless", Mode: Rootless, Token: token, BuildCache: 10 << 30}}},
		"internal-ca": {
			Stack: "lab", Data: "/srv/lab", Forge: forge, CAFile: "ca/ca.crt", RegistryHosts: []string{"registry.example.org", "registry.example.org:8443"},
			HostNames: []string{"hg.example.org", "registry.example.org"},
			Runners: []Runner{
				{Name: "dind", Mode: Dind, Token: token, DindImage: DefaultDindImage},
				{Name: "socket", Mode: Socket, Token: token},
				{Name: "elsewhere", Mode: Plain, Token: token, URL: "https://gitlab.example.com"},
			},
		},
		"mirror-ca": {
			Stack: "lab", Data: "/srv/lab", Forge: forge, CAFile: "ca/ca.crt", RegistryHosts: []string{"registry.example.org"}, Mirror: "https://mirror.lan.example.org/",
			Runners: []Runner{{Name: "dind", Mode: Dind, Token: token}, {Name: "plain", Mode: Plain, Token: token}},
		},
		"further-keys": {
			Forge: forge, Concurrent: 9, CheckInterval: 1, HostNames: []string{"hg.example.org"},
			Runners: []Runner{{
				Name: "dind", Mode: Dind, Token: token, Environment: []string{"TZ=UTC", "QUOTE=a \"b\" \\ c"},
				Settings: map[string]any{"request_concurrency": 2, "feature_flags": map[string]any{"FF_NETWORK_PER_BUILD": true},
					"cache": map[string]any{"Type": "s3", "s3": map[string]any{"ServerAddress": "s3.example.org"}}},
				Docker: map[string]any{"shm_size": 268435456, "volumes": []any{"/cache", "/opt/models:/models:ro"}, "extra_hosts": []any{"db:10.0.0.9"},
					"privileged": false, "services_privileged": true, "pull_policy": []any{"if-not-present"},
					"sysctls": map[string]any{"net.core.somaxconn": "1024"}},
			}},
		},
	}
}

// bridge is a host whose default network is Docker's usual one.
var bridge = &converge.Observed{Networks: []converge.ObservedNetwork{{Name: "web", Gateway: "172.18.0.1"}, {Name: "bridge", Gateway: "172.17.0.1"}}}

func TestRenderSection(t *testing.T) {
	for name, cfg := range presets() {
		t.Run(name, func(t *testing.T) {
			r, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.mergeConfig(bridge, nil)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".toml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			again, err := r.mergeConfig(bridge, got)
			if err != nil || string(again) != string(got) {
				t.Errorf("merging again: %v\n%s", err, cmp.Diff(string(got), string(again)))
			}
		})
	}
}

// What a mode needed goes when the mode changes; what people added stays.
func TestModeChanges(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a", Mode: Dind, DindImage: DefaultDindImage, Environment: []string{"A=1"}, Docker: map[string]any{"shm_size": 1}})
	m.must(runners(t, cfg))
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], "[runners.docker]\n", "[runners.docker]\n    # by hand\n    dns = [\"9.9.9.9\"]\n", 1)
	cfg.Runners[0] = Runner{Name: "a", Mode: Plain}
	m.must(runners(t, cfg))
	got := m.files[FileConfig]
	for _, gone := range []string{"environment", "/certs", "services", "shm_size", "privileged = true"} {
		if strings.Contains(got, gone) {
			t.Errorf("%s is still there:\n%s", gone, got)
		}
	}
	if !strings.Contains(got, "    # by hand\n    dns = [\"9.9.9.9\"]\n") {
		t.Errorf("a key made by hand is gone:\n%s", got)
	}
}

// What a job's image brings of labels by which the proxy or hepta know containers
// has no meaning, whatever the runner's own keys say.
func TestContainerLabels(t *testing.T) {
	cfg := Config{Stack: "lab", Forge: Forge{URL: "https://hg.test"}, Runners: []Runner{{Name: "a", Mode: Plain, Token: NewSecret("glrt-x"),
		Docker: map[string]any{"Container_Labels": map[string]any{"team": "ci", "traefik.http.routers.x.rule": "Host(`x`)"}}}}}
	text, err := ConfigTOML(cfg, "")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Runners []struct {
			Docker struct {
				Labels map[string]string `toml:"container_labels"`
			}
		}
	}
	if err := toml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"team": "ci", "traefik.http.routers.x.rule": "Host(`x`)", "traefik.enable": "false",
		"hepta.stack": "", "hepta.service": "", "hepta.proof": "", "hepta.lock.owner": "", "hepta.job": "lab"}
	if diff := cmp.Diff(want, got.Runners[0].Docker.Labels); diff != "" {
		t.Error(diff)
	}
	for _, key := range []string{"traefik.enable", "Traefik.Enable", "hepta.stack", "hepta.proof", "hepta.other", "com.gitlab.gitlab-runner.job.id"} {
		cfg.Runners[0].Docker = map[string]any{"container_labels": map[string]any{key: "x"}}
		if _, err := ConfigTOML(cfg, ""); err == nil || !strings.Contains(err.Error(), "runners[a].docker.container_labels."+key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A job may do what building takes, and nothing that changes the machine, whoever
// it is inside a namespace of its own.
func TestRootlessProfile(t *testing.T) {
	var profile struct {
		DefaultAction string
		Syscalls      []struct {
			Names    []string
			Action   string
			ErrnoRet int
			Args     []any
			Includes struct{ Caps []string }
		}
	}
	line := rootlessSeccomp()
	if err := json.Unmarshal([]byte(line), &profile); err != nil || strings.ContainsAny(line, "\n\t") {
		t.Fatalf("%v in %s", err, line)
	}
	actions := map[string][]string{} // of a system call, without a capability of the container
	for _, rule := range profile.Syscalls {
		if len(rule.Includes.Caps) > 0 {
			continue
		}
		for _, name := range rule.Names {
			actions[name] = append(actions[name], fmt.Sprint(rule.Action, " ", rule.ErrnoRet))
		}
	}
	if profile.DefaultAction != "SCMP_ACT_ERRNO" {
		t.Errorf("what no rule names is %s", profile.DefaultAction)
	}
	for _, needed := range []string{"unshare", "clone", "clone3", "setns", "mount", "umount2", "pivot_root", "chroot", "sethostname", "setuid", "openat"} {
		if diff := cmp.Diff([]string{"SCMP_ACT_ALLOW 0"}, actions[needed]); diff != "" {
			t.Errorf("%s: %s", needed, diff)
		}
	}
	for _, dangerous := range []string{"bpf", "kexec_load", "init_module", "open_by_handle_at", "perf_event_open", "userfaultfd", "io_uring_setup", "fsopen", "fsconfig", "swapon", "reboot"} {
		if len(actions[dangerous]) > 0 {
			t.Errorf("%s: %v", dangerous, actions[dangerous])
		}
	}
	for _, absent := range []string{"add_key", "keyctl", "request_key"} {
		if diff := cmp.Diff([]string{"SCMP_ACT_ERRNO 38"}, actions[absent]); diff != "" { // ENOSYS
			t.Errorf("%s: %s", absent, diff)
		}
	}
}

func TestHostWithoutDefaultNetwork(t *testing.T) {
	if got := (&Runners{}).place(&converge.Observed{}).gateway; got != "host-gateway" {
		t.Errorf("got %s", got)
	}
}

func TestConcurrency(t *testing.T) {
	for _, c := range []struct{ cfg, want int }{{0, 6}, {1, 1}, {20, 20}} {
		cfg := Config{Concurrent: c.cfg, Runners: []Runner{{Concurrent: 5}, {}}}.withDefaults()
		if cfg.Concurrent != c.want {
			t.Errorf("%d gives %d, want %d", c.cfg, cfg.Concurrent, c.want)
		}
	}
	if cfg := (Config{Runners: []Runner{{}, {}}}).withDefaults(); cfg.Concurrent != 3 {
		t.Errorf("two runners of one job each: %d", cfg.Concurrent)
	}
}

func TestContainer(t *testing.T) {
	r, err := New(Config{
		Stack: "lab", Image: "gitlab/gitlab-runner:v18.0.0", CAFile: "ca/ca.crt", HostNames: []string{"hg.example.org"}, DrainSeconds: 60,
		Socket: "/run/user/1000/docker.sock", Labels: map[string]string{"team": "ci"}, After: []string{"container:heptapod", "task:token"},
		Forge: Forge{URL: "https://hg.example.org", Token: NewSecret("x")}, Runners: []Runner{{Name: "a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := r.resources().Containers[0]
	c.Ready.Check = nil
	want := converge.Container{
		Service: "runner", Name: "lab-runner", Image: "gitlab/gitlab-runner:v18.0.0", Entrypoint: []string{"gitlab-runner"},
		Cmd:    []string{"run", "--config", "/etc/gitlab-runner/config.toml"},
		Labels: map[string]string{"team": "ci"},
		Mounts: []converge.Mount{
			{Source: "runner", Target: "/etc/gitlab-runner", Kind: converge.Data},
			{Source: "/run/user/1000/docker.sock", Target: "/var/run/docker.sock", Kind: converge.HostPath},
			{Source: "ca", Target: "/etc/hepta/ca", Kind: converge.Data, ReadOnly: true},
		},
		Networks: []converge.Attachment{{Network: "web"}}, ExtraHosts: []string{"hg.example.org:host-gateway"},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"}, ReadOnly: true, Tmpfs: []string{"/tmp"}, PidsLimit: 4096,
		Restart: "unless-stopped", StopSignal: "SIGQUIT", StopTimeout: time.Minute, LogMaxSize: "10m", LogMaxFiles: 3,
		After: []converge.Ref{"container:heptapod", "task:token"}, Ready: converge.Ready{Settle: 2 * time.Second, Timeout: 90 * time.Second},
		Listen: converge.Listen{Lines: 500, Within: 2 * time.Hour},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestConfigTOML(t *testing.T) {
	cfg := Config{Forge: Forge{URL: "http://hg.test"}, Runners: []Runner{{Name: "one", Mode: Plain}}}
	if _, err := ConfigTOML(cfg, ""); err == nil || !strings.Contains(err.Error(), "runner one has no token") {
		t.Errorf("without a token: %v", err)
	}
	cfg.Runners[0].Token = NewSecret("glrt-x")
	got, err := ConfigTOML(cfg, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"concurrent = 2", `url = "http://hg.test"`, `token = "glrt-x"`, "privileged = false"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
}

// Runners since 18 warn at each reload where one request at a time is all that
// a runner may have under way. A value of the user's, in hepta.yaml or in the
// file, counts before ours.
func TestRequestConcurrency(t *testing.T) {
	cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{{Name: "a", Token: NewSecret("glrt-given")}}}
	has := func(m *machine, want string) {
		t.Helper()
		if text := m.files[FileConfig]; strings.Count(text, "request_concurrency") != 1 || !strings.Contains(text, "  limit = 1\n  request_concurrency = "+want+"\n") {
			t.Errorf("not %s:\n%s", want, text)
		}
	}
	m := newMachine(t)
	up := func(settings map[string]any) {
		t.Helper()
		cfg.Runners[0].Settings = settings
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		m.must(r)
	}
	up(nil)
	has(m, "2")
	up(map[string]any{"Request_Concurrency": 5})
	has(m, "5")
	up(nil)
	has(m, "2")
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], "request_concurrency = 2", "request_concurrency = 3", 1)
	up(nil)
	has(m, "3")
}

// Images that bring their authorities in a directory of their own, as kaniko's
// do, keep these and gain the stack's; so do directories that hepta.yaml names.
func TestAuthoritiesOfImages(t *testing.T) {
	cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, CAFile: "ca/ca.crt", Runners: []Runner{
		{Name: "a", Token: NewSecret("glrt-given")}, {Name: "b", Token: NewSecret("glrt-given"), Environment: []string{"SSL_CERT_DIR=/opt/certs", "A=1"}},
		{Name: "c", Token: NewSecret("glrt-given"), Environment: []string{"SSL_CERT_DIR=/etc/gitlab-runner/certs:/x"}}}}
	for i, want := range [][]string{
		{"SSL_CERT_DIR=/etc/ssl/certs:/etc/pki/tls/certs:/kaniko/ssl/certs:/etc/gitlab-runner/certs"},
		{"SSL_CERT_DIR=/opt/certs:/etc/gitlab-runner/certs", "A=1"},
		{"SSL_CERT_DIR=/etc/gitlab-runner/certs:/x"},
	} {
		full := cfg.withDefaults()
		if diff := cmp.Diff(want, full.section(full.Runners[i], place{}).Set["environment"]); diff != "" {
			t.Error(diff)
		}
	}
}

// The runner writes its file itself, when it registers or renews a token, and
// spells values its own way: there is nothing to do about that.
func TestValuesThatTheRunnerSpellsItsWay(t *testing.T) {
	cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{{Name: "a", Mode: Dind, DindImage: "docker:28-dind", Token: NewSecret("glrt-given"),
		Settings: map[string]any{"prepare_timeout": "1h"}, Docker: map[string]any{"pull_policy": "if-not-present"}}}}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	m.must(r)
	for was, is := range map[string]string{
		`pull_policy = "if-not-present"`: `pull_policy = ["if-not-present"]`, `prepare_timeout = "1h"`: `prepare_timeout = "1h0m0s"`,
		`services = [{ name = "docker:28-dind" }]`: `services = [{ name = "docker:28-dind", alias = "", command = [] }]`,
	} {
		if !strings.Contains(m.files[FileConfig], was) {
			t.Fatalf("%s is not in\n%s", was, m.files[FileConfig])
		}
		m.files[FileConfig] = strings.Replace(m.files[FileConfig], was, is, 1)
	}
	m.settled(r)
	cfg.Runners[0].Docker = map[string]any{"pull_policy": "always"}
	if r, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	m.must(r)
	if !strings.Contains(m.files[FileConfig], `pull_policy = "always"`) || !strings.Contains(m.files[FileConfig], `prepare_timeout = "1h0m0s"`) {
		t.Error(m.files[FileConfig])
	}
}

// An image called docker has that name in jobs; only others need the alias.
func TestAliasOfTheDaemon(t *testing.T) {
	for image, want := range map[string]any{"docker:28-dind": nil, "docker": nil, "registry.example.org/docker:28": "docker", "docker.io/library/docker:28": "docker", "my/docker:dind": "docker", "docker@sha256:" + strings.Repeat("a", 64): "docker"} {
		cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{{Name: "a", Mode: Dind, DindImage: image, Token: NewSecret("glrt-given")}}}.withDefaults()
		daemon := cfg.section(cfg.Runners[0], place{}).Set["docker"].(map[string]any)["services"].([]any)[0].(map[string]any)
		if daemon["alias"] != want {
			t.Errorf("%s: alias %v", image, daemon["alias"])
		}
	}
}
