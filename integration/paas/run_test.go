package paas

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/integration/stage"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/runner/paas"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// hepta is the program that the hosts have, too.
var hepta = sync.OnceValues(func() (string, error) {
	return images.Program(context.Background(), outer.Docker, stage.Say, "hepta")
})

// manager is `hepta paas run`.
type manager struct {
	t     *testing.T
	file  string
	env   []string
	cmd   *exec.Cmd
	said  bytes.Buffer
	ended chan struct{}
}

// manage starts a manager with a configuration.
func manage(t *testing.T, config string, env ...string) *manager {
	t.Helper()
	m := &manager{t: t, file: filepath.Join(t.TempDir(), "paas.toml"), env: env}
	if err := os.WriteFile(m.file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("the manager:\n%s", m.said.String())
		}
	})
	m.start()
	return m
}

func (m *manager) start() {
	m.t.Helper()
	program, err := hepta()
	if err != nil {
		m.t.Fatal(err)
	}
	m.cmd = exec.Command(program, "paas", "run", "--logging-level", "DEBUG", m.file)
	m.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_SSL_CAINFO=") }), m.env...)
	m.cmd.Stdout, m.cmd.Stderr = &m.said, &m.said
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	cmd, ended := m.cmd, make(chan struct{})
	m.ended = ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
}

// kill is kill -9.
func (m *manager) kill() {
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// stop is what systemd does.
func (m *manager) stop() {
	m.t.Helper()
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		m.t.Fatal("the manager does not stop")
	}
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		m.t.Errorf("the manager ended with %d", code)
	}
}

// settled waits until a job is over and no host is left.
func settled(t *testing.T, f *forge, job string, hosts func() int) {
	t.Helper()
	eventually(t, 4*time.Minute, "the job ends", func() bool {
		switch f.job(job).Status {
		case "success", "failed", "canceled":
			return true
		}
		return false
	})
	eventually(t, time.Minute, "the host is removed", func() bool { return hosts() == 0 })
}

// The whole way: the manager takes the job, a host is made at Clever Cloud, the
// runner on it runs the job, the host goes. One host and one push for the job.
func TestManagerAtCleverCloud(t *testing.T) {
	for name, waits := range map[string]bool{"legacy": false, "two-phase": true} {
		t.Run(name, func(t *testing.T) {
			docker := machines(t)
			f := openForge(t, waits)
			c, ca := openCloud(t, docker)
			_, text := config(t, f, "clever-docker", clever(c))
			m := manage(t, text, "SSL_CERT_FILE="+ca)
			word(f, buildYAML)
			settled(t, f, "build", func() int { return len(c.Alive()) })
			green(t, f)
			ledger := c.Ledger()
			if len(ledger) != 1 || ledger[0].Pushes != 1 {
				t.Errorf("hosts ever: %+v", ledger)
			}
			m.stop()
			usual(t, c)
		})
	}
}

// usual checks that one host was made and removed by the calls that
// heptapod-paas-runner makes. Beyond them there are looks only.
func usual(t *testing.T, c *clevertest.Cloud) {
	t.Helper()
	below := "/organisations/" + clevertest.Organisation + "/applications"
	of := below + "/" + c.Ledger()[0].ID
	count := map[string]int{}
	for _, call := range c.Calls() {
		count[call]++
	}
	for _, call := range []string{"POST " + below, "PUT " + of + "/env", "DELETE " + of} {
		if count[call] != 1 {
			t.Errorf("%s: %d times", call, count[call])
		}
		delete(count, call)
	}
	for _, call := range []string{"GET /products/instances", "GET /products/flavors", "GET " + of} {
		if count[call] == 0 {
			t.Errorf("%s: never", call)
		}
		delete(count, call)
	}
	for call := range count {
		if !strings.HasPrefix(call, "GET "+below) {
			t.Errorf("unusual: %s", call)
		}
	}
}

// Killed while the job runs on its host, the manager finds both again.
func TestManagerIsKilled(t *testing.T) {
	docker := machines(t)
	f := openForge(t, true)
	c, ca := openCloud(t, docker)
	_, text := config(t, f, "clever-docker", clever(c))
	m := manage(t, text, "SSL_CERT_FILE="+ca)
	word(f, strings.Replace(buildYAML, "  script:\n", "  script:\n    - echo begun\n    - while [ ! -e /cache/go ]; do sleep 1; done\n", 1))
	eventually(t, 4*time.Minute, "the job runs", func() bool { return strings.Contains(f.trace("build"), "\nbegun") })
	m.kill()
	release(t, docker)
	eventually(t, 4*time.Minute, "the job ends without its manager", func() bool { return f.job("build").Status == "success" })
	if len(c.Alive()) != 1 {
		t.Errorf("hosts: %+v", c.Alive())
	}
	m.start()
	settled(t, f, "build", func() int { return len(c.Alive()) })
	green(t, f)
	if n := len(c.Ledger()); n != 1 {
		t.Errorf("%d hosts ever", n)
	}
	m.stop()
}

// release lets the job's script go on, by a file in its cache.
func release(t *testing.T, docker *client.Client) {
	t.Helper()
	for _, c := range containers(t.Context(), t, docker) {
		if !slices.ContainsFunc(c.Names, func(name string) bool { return strings.Contains(name, "-build-") || strings.HasSuffix(name, "-build") }) {
			continue
		}
		e, err := docker.ContainerExecCreate(t.Context(), c.ID, container.ExecOptions{Cmd: []string{"sh", "-c", "mkdir -p /cache && touch /cache/go"}})
		if err == nil {
			err = docker.ContainerExecStart(t.Context(), e.ID, container.ExecStartOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the job has no container")
}

// A job that is canceled in the forge ends on its host, and the host goes.
func TestCancelReachesTheHost(t *testing.T) {
	docker := machines(t)
	f := openForge(t, false)
	c, ca := openCloud(t, docker)
	_, text := config(t, f, "clever-docker", clever(c))
	m := manage(t, text, "SSL_CERT_FILE="+ca)
	word(f, "build:\n  image: hepta/small:1\n  script: [echo begun, 'while sleep 1; do echo on; done']\n")
	eventually(t, 4*time.Minute, "the job runs", func() bool { return strings.Contains(f.trace("build"), "\nbegun") })
	f.cancel(f.job("build").ID)
	settled(t, f, "build", func() int { return len(c.Alive()) })
	if s := f.job("build").Status; s != "canceled" {
		t.Errorf("the job is %s", s)
	}
	m.stop()
}

// The state file of heptapod-paas-runner, with a job that runs on its host and
// one whose host is to be removed: both are taken over, and what is left is a
// file that the original reads.
func TestStateOfTheOriginalIsTakenOver(t *testing.T) {
	docker := machines(t)
	f := openForge(t, false)
	c, ca := openCloud(t, docker)
	t.Setenv("GIT_SSL_CAINFO", ca)
	r, text := config(t, f, "clever-docker", clever(c))
	word(f, buildYAML)
	p := &paas.CleverCloud{Clever: *r.Clever, HTTP: c.Client(), Organisation: func(context.Context, string) (paas.Organisation, error) {
		return paas.Organisation{ID: r.Clever.Organisation, Token: r.Clever.Token}, nil
	}}
	coordinator, job, rec := take(t, f, r)
	h := handOver(t, p, coordinator, r, job, rec)
	leaving := c.Plant(paas.HostName(r.Short(), 77))
	state := fmt.Sprintf(`{"launched": [{"runner_name": %[1]q, "job_id": %[2]d, "token": %[3]q, "trace_offset": 0, "expected_weight": 13.45,
  "paas_resource": {"id": %[4]q, "gitlab_namespace": null, "weight": 13.45, "launched": true, "deploy_url": %[5]q}}],
 "pending": [],
 "to_decommission": [{"runner_name": %[1]q, "job_id": 77, "token": "64_over", "trace_offset": 0, "expected_weight": 13.45,
  "paas_resource": {"id": %[6]q, "gitlab_namespace": null, "weight": 13.45, "launched": true, "deploy_url": "https://push.example.com/x.git"}}],
 "standby_resources": []}`, r.Short(), job.ID, job.Token.Reveal(), h.ID, h.DeployURL, leaving.ID)
	cfg, _, err := paas.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.StateFile, []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	m := manage(t, text, "SSL_CERT_FILE="+ca)
	settled(t, f, "build", func() int { return len(c.Alive()) })
	green(t, f)
	if n := len(c.Ledger()); n != 2 {
		t.Errorf("%d hosts ever", n)
	}
	m.stop()
	data, err := os.ReadFile(cfg.StateFile)
	if err != nil {
		t.Fatal(err)
	}
	var left map[string]json.RawMessage
	if err := json.Unmarshal(data, &left); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"launched", "pending", "to_decommission", "standby_resources"} {
		if string(left[list]) != "[]" {
			t.Errorf("%s: %s", list, left[list])
		}
	}
}

// Hosts that are containers of an engine, from end to end with the manager, and
// nothing of hosts and jobs is left on the engine.
func TestManagerOnAnEngine(t *testing.T) {
	docker := machines(t)
	f := openForge(t, true)
	_, text := config(t, f, "local-docker", fmt.Sprintf("host = %q\n", "unix://"+outer.socket))
	m := manage(t, text)
	word(f, buildYAML)
	settled(t, f, "build", func() int { return len(containers(t.Context(), t, docker)) })
	green(t, f)
	m.stop()
	bare(t, docker)
}
