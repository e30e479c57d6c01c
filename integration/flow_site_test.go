package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
)

// The names of the forge that the whole flow goes through, and its file.
const (
	labStack    = "lab"
	labForge    = "hg.lab.test"
	labRegistry = "registry.lab.test"
	labMonitor  = "monitor.lab.test"

	labYAML = `stack: lab
data: /srv/lab
network: lab
heptapod: {host: hg.lab.test, image: octobus/heptapod:17.8}
traefik: {image: traefik:v3.6.12}
tls: {mode: internal}
registry: registry.lab.test
runner: {image: gitlab/gitlab-runner:latest, check_interval: 1, drain_seconds: 5}
runners:
  - {name: dind, mode: dind, tags: [dind], concurrent: 2, image: "docker:26", docker: {pull_policy: if-not-present}}
  - {name: socket, mode: socket, tags: [socket], concurrent: 3, image: "docker:26", docker: {pull_policy: if-not-present}}
`
)

// site is a bare host for the scenarios that need a whole stack: an engine in
// a container, with every image of the stack.
type site struct {
	box    *sandbox.Sandbox
	docker *client.Client
	dir    string // of this machine: the socket, the program, hepta.yaml
	socket string // leads to the site's engine
	served io.Closer
	ports  map[string]string // where the site's ports are reached from here
}

// siteSlot holds a site, which the first test that takes the slot makes.
type siteSlot struct {
	name string
	once sync.Once
	site *site
	err  error
}

// siteSlots are all there are, and freeSites those that no test has.
var (
	siteSlots = []*siteSlot{{name: "hepta-test-site-1"}, {name: "hepta-test-site-2"}}
	freeSites = turnsOf(siteSlots...)
)

// onSite gives the test a site for itself, beside tests on other sites.
func onSite(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	return onSiteAlone(t)
}

// onSiteAlone is onSite for tests that set variables of the environment, which
// all tests share: no other test runs meanwhile.
func onSiteAlone(t *testing.T) *site {
	t.Helper()
	slot := freeSites.take(t)
	// The site outlives this test, and with it its context.
	slot.once.Do(func() { slot.site, slot.err = openSite(context.Background(), slot.name) })
	if slot.err != nil {
		t.Fatal(slot.err)
	}
	return slot.site
}

// closeSites ends the use of the sites; their containers go by their label.
func closeSites() error {
	var errs []error
	for _, slot := range siteSlots {
		if s := slot.site; s != nil {
			errs = append(errs, s.served.Close(), s.docker.Close(), os.RemoveAll(s.dir))
		}
	}
	return errors.Join(errs...)
}

func openSite(ctx context.Context, name string) (*site, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	base := outer.refs[images.Base].Local
	privileges, err := sandbox.Detect(ctx, outer.docker, base)
	if err != nil {
		return nil, err
	}
	inside := []int{80, 443, 5050, 8080, 8443}
	wanted := sandbox.Config{Name: name, Hostname: "site", Image: base, Labels: map[string]string{label: "site"}}
	for _, host := range []string{labForge, labRegistry, labMonitor, "refused.test", "versions.test", "hg.ways.test", "registry.ways.test", "hg.secret.test", "registry.secret.test"} {
		wanted.ExtraHosts = append(wanted.ExtraHosts, host+":127.0.0.1")
	}
	var published []string
	for _, p := range inside {
		published = append(published, fmt.Sprintf("127.0.0.1::%d/tcp", p))
	}
	config, host := wanted.Spec(privileges)
	c, err := started(ctx, testcontainers.ContainerRequest{
		Name: wanted.Name, Image: base, ExposedPorts: published,
		ConfigModifier:     func(c *container.Config) { *c = *config },
		HostConfigModifier: func(h *container.HostConfig) { *h = *host },
		WaitingFor:         wait.ForExec([]string{"docker", "version"}).WithPollInterval(100 * time.Millisecond).WithStartupTimeout(time.Minute),
	})
	if err != nil {
		return nil, fmt.Errorf("start site: %w", err)
	}
	s := &site{ports: map[string]string{}}
	if s.box, err = sandbox.Find(ctx, outer.docker, c.GetContainerID()); err != nil {
		return nil, err
	}
	for _, p := range inside {
		if s.ports[fmt.Sprint(p)], err = s.box.Published(ctx, p); err != nil {
			return nil, err
		}
	}
	if s.docker, err = s.box.Client(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "hepta-site-"); err != nil {
		return nil, err
	}
	s.socket = "unix://" + filepath.Join(s.dir, "docker.sock")
	if s.served, err = s.box.Serve(context.WithoutCancel(ctx), filepath.Join(s.dir, "docker.sock")); err != nil {
		return nil, err
	}
	return s, images.Copy(ctx, outer.docker, s.docker, refs(images.Base, images.Small, images.Traefik, images.HAProxy, images.Runner,
		images.Helper, images.DockerCLI, images.Dind, images.Heptapod, newerForge, images.Pebble)...)
}

// stack is what a hepta.yaml describes, after change, on the site. A failed
// test prints the logs of its containers.
func (s *site) stack(t *testing.T, yaml string, change ...func(*hepta.Config)) *hepta.Stack {
	t.Helper()
	cfg, err := hepta.Parse("hepta.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(cfg)
	}
	stack, err := hepta.New(cfg, hepta.WithDocker(s.docker))
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// lab is the stack of labYAML, up.
func (s *site) lab(t *testing.T, change ...func(*hepta.Config)) *hepta.Stack {
	t.Helper()
	stack := s.stack(t, labYAML, change...)
	s.explain(t, stack)
	up(t, stack)
	return stack
}

// up brings a stack up; scenarios share stacks and leave services out.
func up(t *testing.T, stack *hepta.Stack) *hepta.Plan {
	t.Helper()
	plan, err := stack.Up(t.Context(), hepta.UpOptions{RemoveOrphans: true})
	if err != nil {
		t.Fatalf("%s\n%s", fault.Describe(err), plan)
	}
	return plan
}

// plan is what up would do.
func plan(t *testing.T, stack *hepta.Stack) *hepta.Plan {
	t.Helper()
	p, err := stack.Plan(t.Context())
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	return p
}

// explain prints the last log lines of the stack's services when t has failed.
func (s *site) explain(t *testing.T, stack *hepta.Stack) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err := stack.Logs(ctx, hepta.LogOptions{Tail: 12}, func(l hepta.LogLine) { t.Logf("%s | %.200s", l.Service, l.Text) })
		if err != nil {
			t.Log("no logs:", err)
		}
	})
}

// removeAtEnd removes every container of a stack that a test has made, by its label.
func (s *site) removeAtEnd(t *testing.T, stack *hepta.Stack) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := stack.Down(ctx, hepta.DownOptions{Volumes: true, RemoveOrphans: true}); err != nil {
			t.Error(fault.Describe(err))
		}
	})
}

// life is what tells one run of a container from another.
type life struct{ ID, Started string }

// lives are those of the stack's containers, by service.
func (s *site) lives(t *testing.T, stack *hepta.Stack) map[string]life {
	t.Helper()
	found := map[string]life{}
	for _, service := range stack.Services() {
		i, err := s.docker.ContainerInspect(t.Context(), stack.Config().Stack+"-"+service)
		if err != nil {
			t.Fatal(err)
		}
		found[service] = life{i.ID, i.State.StartedAt}
	}
	return found
}

// client reaches what the stack publishes, trusting ca alone. Whatever host a
// URL names, its port is a port of the site.
func (s *site) client(t *testing.T, ca []byte) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate of an authority")
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, s.ports[port])
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// output runs a shell script in a stack's container.
func (s *site) output(t *testing.T, stack *hepta.Stack, service, script string) string {
	t.Helper()
	var out, errs bytes.Buffer
	code, err := stack.Exec(t.Context(), hepta.ExecOptions{Service: service, Cmd: []string{"sh", "-c", script}, Stdout: &out, Stderr: &errs})
	if err != nil || code != 0 {
		t.Fatalf("%s in %s: exit code %d, %v\n%s%s", script, service, code, err, out.String(), errs.String())
	}
	return out.String()
}

// onHost runs a shell script on the site itself, outside every container.
func (s *site) onHost(t *testing.T, script string) string {
	t.Helper()
	r, err := engine.New(outer.docker, nil, nil).Exec(t.Context(), s.box.ID, engine.ExecOptions{Cmd: []string{"sh", "-c", script}})
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("%s: exit code %d, %v\n%s%s", script, r.ExitCode, err, r.Stdout, r.Stderr)
	}
	return string(r.Stdout)
}

// program is the real hepta program, built once.
var program = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(outer.dir, "hepta")
	out, err := exec.Command("go", "build", "-o", bin, "../cmd/hepta").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build hepta: %w\n%s", err, out)
	}
	return bin, nil
})

// hepta runs the program with labYAML against an engine.
func (s *site) hepta(t *testing.T, host string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hepta.yaml"), []byte(labYAML), 0o644); err != nil {
		t.Fatal(err)
	}
	return s.heptaIn(t, dir, host, args...)
}

// heptaIn runs the program in a directory with a hepta.yaml.
func (s *site) heptaIn(t *testing.T, dir, host string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "DOCKER_") && !strings.HasPrefix(e, "DOCKER_CONFIG=")
	}), "DOCKER_HOST="+host)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// remove removes a container that a test has made, at its end.
func (s *site) remove(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		t.Error(err)
	}
}

// words are a container's last log lines.
func words(ctx context.Context, docker client.APIClient, id string) string {
	logs, err := docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "40"})
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		return err.Error()
	}
	return out.String()
}

// install builds a program of a directory beside this package and puts it into
// a directory of the site.
func (s *site) install(t *testing.T, name, dir string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	content, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	s.putAs(t, dir, name, 0o755, string(content))
}
