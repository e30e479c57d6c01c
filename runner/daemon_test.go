package runner

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// What the Docker host's networks and a mirror mean for the daemons of jobs.
func TestDaemonFlags(t *testing.T) {
	o := &converge.Observed{Networks: []converge.ObservedNetwork{
		{Name: "bridge", Gateway: "172.17.0.1", MTU: 1450}, {Name: "jobs", MTU: 1400}, {Name: "jumbo", MTU: 9000}, {Name: "web"},
	}}
	on := func(network string) map[string]any { return map[string]any{"network_mode": network} }
	const program = "/srv/hepta/runner/dockerd:/usr/local/sbin/dockerd:ro"
	for name, c := range map[string]struct {
		runner Runner
		mirror string
		flags  string
		mtu    any
	}{
		"bridge":          {Runner{Mode: Dind}, "", "--mtu=1450", int64(1450)},
		"a smaller one":   {Runner{Mode: Dind, Docker: on("jobs")}, "", "--mtu=1400", int64(1400)},
		"larger packets":  {Runner{Mode: Dind, Docker: on("jumbo")}, "", "", nil},
		"not known":       {Runner{Mode: Dind, Docker: on("web")}, "", "", nil},
		"no daemon there": {Runner{Mode: Plain}, "http://host-gateway:5088", "", int64(1450)},
		"mirror":          {Runner{Mode: Dind, Docker: on("jumbo")}, "http://host-gateway:5088", "--registry-mirror=http://172.17.0.1:5088 --insecure-registry=172.17.0.1:5088", nil},
		"external mirror": {Runner{Mode: Dind, Docker: on("jumbo")}, "https://mirror.example.org", "--registry-mirror=https://mirror.example.org", nil},
		"all, with a cache": {Runner{Mode: Dind, BuildCache: MinBuildCache}, "http://host-gateway:5088",
			"--mtu=1450 --registry-mirror=http://172.17.0.1:5088 --insecure-registry=172.17.0.1:5088", int64(1450)},
	} {
		c.runner.Name = "a"
		cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, Mirror: c.mirror, Runners: []Runner{c.runner}}.withDefaults()
		s, err := cfg.section(cfg.Runners[0], (&Runners{}).place(o)).normalized()
		if err != nil {
			t.Fatal(err)
		}
		flags, programs := "", 0
		env, _ := s.Set["environment"].([]any)
		for _, e := range env {
			if v, is := strings.CutPrefix(e.(string), "HEPTA_DOCKERD="); is {
				flags = v
			}
		}
		docker := s.Set["docker"].(map[string]any)
		for _, v := range docker["volumes"].([]any) {
			if v == program {
				programs++
			}
		}
		if flags != c.flags || programs != min(len(flags), 1) {
			t.Errorf("%s: %q, want %q; volumes %v", name, flags, c.flags, docker["volumes"])
		}
		if docker["network_mtu"] != c.mtu {
			t.Errorf("%s: network_mtu %v, want %v", name, docker["network_mtu"], c.mtu)
		}
	}
	// Before the Engine's networks are known there is nothing to say about them.
	if got := (Config{Mirror: "http://host-gateway:5088"}).daemonFlags(Runner{Mode: Dind}, (&Runners{}).place(&converge.Observed{})); len(got) > 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// A job that gives its daemon flags of its own, or a configuration file, has
// both: a daemon refuses to be told the same thing twice.
func TestDaemonTakesFlagsOfTheJob(t *testing.T) {
	const host = "--mtu=1450 --registry-mirror=http://172.17.0.1:5088 --insecure-registry=172.17.0.1:5088"
	const network = " --dns=192.0.2.53 --dns=192.0.2.54"
	const pools = " --default-address-pool=base=172.18.0.0/16,size=16 --default-address-pool=base=192.168.0.0/16,size=20"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dockerd"), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "daemon.json")
	for _, c := range []struct {
		name, file, args, added string
	}{
		{"nothing of its own", "{}", "--host=unix:///x", host + network + pools},
		{"packets of its own", "{}", "--mtu=1400", "--registry-mirror=http://172.17.0.1:5088 --insecure-registry=172.17.0.1:5088" + network + pools},
		{"the same in two words", "{}", "--mtu 1400 --debug", "--registry-mirror=http://172.17.0.1:5088 --insecure-registry=172.17.0.1:5088" + network + pools},
		{"a mirror of its own", "{}", "--registry-mirror=https://mirror.example.org --insecure-registry registry:5000", host + network + pools},
		{"in its file", `{"mtu": 1400, "registry-mirrors" : [], "data-root": "/x"}`, "--debug", "--insecure-registry=172.17.0.1:5088" + network + pools},
		{"an option for networks in its file", `{"default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}, "insecure-registries":[]}`, "--debug",
			"--mtu=1450 --registry-mirror=http://172.17.0.1:5088" + network + pools},
		{"name servers of its own", "{}", "--dns 10.0.0.1", host + pools},
		{"addresses of its own", "{}", "--default-address-pool=base=10.9.0.0/16,size=24", host + network},
		{"both in its file", `{"dns": ["10.0.0.1"], "default-address-pools": []}`, "--debug", host},
	} {
		if err := os.WriteFile(file, []byte(c.file), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, way := range [][]string{{"--config-file=" + file}, {"--config-file", file}} {
			args := append(way, strings.Fields(c.args)...)
			cmd := exec.CommandContext(t.Context(), "sh", append([]string{"dockerd.sh"}, args...)...)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HEPTA_DOCKERD=" + host + network + pools}
			out, err := cmd.CombinedOutput()
			if want := append(args, strings.Fields(c.added)...); err != nil || !slices.Equal(strings.Fields(string(out)), want) {
				t.Errorf("%s: %v\n%s\nwant %v", c.name, err, out, want)
			}
		}
	}
}

// A job says itself whether it works with its daemon over TLS: what it sets,
// for itself or for both, counts as on a runner that sets nothing.
func TestJobsFindTheirDaemon(t *testing.T) {
	certs := t.TempDir()
	if err := os.Mkdir(filepath.Join(certs, "client"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(certs, "client", "key.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := net.Listen("unix", filepath.Join(certs, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	const plain, tls = "tcp://docker:2375", "tcp://docker:2376"
	for _, c := range []struct {
		name             string
		env              []string
		host, verify, at string
	}{
		{"a daemon in the job itself", []string{"DOCKER_TLS_CERTDIR=" + certs, "SOCKET=" + own.Addr().String()}, "", "", ""},
		{"nothing", []string{"DOCKER_TLS_CERTDIR=" + certs}, tls, "1", certs + "/client"},
		{"without TLS", []string{"DOCKER_TLS_CERTDIR=", "DOCKER_HOST=" + plain}, plain, "", ""},
		{"without TLS, by the daemon's variable alone", []string{"DOCKER_TLS_CERTDIR=" + certs, "DOCKER_HOST=" + plain}, plain, "", ""},
		{"without TLS, without an address", []string{"DOCKER_TLS_CERTDIR="}, "", "", ""},
		{"no variable at all", nil, "", "", ""},
		{"an image that has looked itself", []string{"DOCKER_TLS_CERTDIR=" + certs, "DOCKER_HOST=" + tls, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/x"}, tls, "1", "/x"},
		{"a daemon that leaves no certificate", []string{"DOCKER_TLS_CERTDIR=" + certs + "/none"}, "", "", ""},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-eu")
		script := strings.Replace(findDaemon, "/var/run/docker.sock", `"${SOCKET:-/none}"`, 1)
		cmd.Stdin = strings.NewReader(script + "echo \"${DOCKER_HOST:-}|${DOCKER_TLS_VERIFY:-}|${DOCKER_CERT_PATH:-}\"\n")
		cmd.Env = c.env
		out, err := cmd.CombinedOutput()
		if want := c.host + "|" + c.verify + "|" + c.at + "\n"; err != nil || string(out) != want {
			t.Errorf("%s: %s, %v, want %s", c.name, out, err, want)
		}
	}
	for _, c := range []struct {
		name     string
		settings map[string]any
		tls      bool
		want     any
	}{
		{"alone", nil, true, strings.TrimSuffix(findDaemon, "\n")},
		{"beside one of the administrator's", map[string]any{"pre_build_script": "echo hello"}, true, findDaemon + "echo hello"},
		{"another shell", map[string]any{"shell": "pwsh"}, true, nil},
		{"without TLS", nil, false, nil},
	} {
		cfg := Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{{Name: "a", Mode: Dind, Settings: c.settings, TLS: &c.tls}}}.withDefaults()
		if got := cfg.section(cfg.Runners[0], place{}).Set["pre_build_script"]; got != c.want {
			t.Errorf("%s: pre_build_script %q, want %q", c.name, got, c.want)
		}
	}
}
