package heptapodcontainer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/heptaup/hepta/heptapod"
)

const (
	bootTimeout  = 20 * time.Minute
	attempts     = 5    // to publish ports that were free a moment before
	registryPort = 5050 // inside the container
	configDir    = "/etc/gitlab"
	shmSize      = 256 << 20
)

// lean leaves out what a test does without, for memory's sake. Every release
// knows these settings.
const lean = `gitlab_rails['usage_ping_enabled'] = false
puma['worker_processes'] = 0
sidekiq['concurrency'] = 5
`

// Run starts a forge from an image and waits until it serves, with what the
// options ask for. A container that was made is returned with the error too:
// hand it to testcontainers.CleanupContainer or TerminateContainer first.
//
// Of this package's own and of testcontainers' options a later one wins over
// an earlier one, and all win over the defaults. With WithReuseByName the
// forge that is there keeps its address, password, registry and ssh.
func Run(ctx context.Context, img string, opts ...testcontainers.ContainerCustomizer) (*Container, error) {
	s, err := settled(opts)
	if err != nil {
		return nil, fmt.Errorf("run heptapod: %w", err)
	}
	if s.host == "" {
		if s.host, err = findHost(ctx); err != nil {
			return nil, fmt.Errorf("run heptapod: %w", err)
		}
	}
	c, err := s.start(ctx, img, opts)
	if err == nil {
		err = c.complete(ctx, s)
	}
	if err != nil {
		return c, fmt.Errorf("run heptapod: %w", err)
	}
	return c, nil
}

func findHost(ctx context.Context) (string, error) {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return "", fmt.Errorf("make docker client: %w", err)
	}
	defer docker.Close()
	return hostAddress(ctx, docker)
}

// start starts the forge alone. The Engine may find that another process took
// a port in the meantime; then others are tried.
func (s settings) start(ctx context.Context, img string, opts []testcontainers.ContainerCustomizer) (*Container, error) {
	for attempt := 1; ; attempt++ {
		p, err := s.place()
		if err != nil {
			return nil, err
		}
		defaults, err := s.request(img, p)
		if err != nil {
			return nil, err
		}
		all := append(defaults, opts...)
		all = append(all, p.published(), rewound(attempt))
		made, err := testcontainers.Run(ctx, img, all...)
		var c *Container
		if made != nil {
			c = &Container{Container: made, place: p, password: s.password}
		}
		if !portTaken(err) || attempt == attempts {
			return c, err
		}
		if err := testcontainers.TerminateContainer(made); err != nil {
			return c, err
		}
	}
}

// complete adds to a forge that serves what needs its API.
func (c *Container) complete(ctx context.Context, s settings) error {
	if err := c.recall(ctx); err != nil {
		return err
	}
	if !c.IsRunning() {
		if len(s.keys)+len(s.runners) > 0 {
			return errors.New("add runners and ssh keys: the forge is not to be started, and they need it")
		}
		return nil
	}
	if err := c.authorize(ctx, s.keys); err != nil {
		return err
	}
	for i, r := range s.runners {
		if err := c.addRunner(ctx, r, i+1); err != nil {
			return err
		}
	}
	return nil
}

// place is where a forge is to be found.
type place struct {
	url      string
	ssh      string // host:port, "" without ssh
	registry string // host:port for the Engine, "" without registry
}

// Labels of the container, by which it is known again when it is reused.
const (
	labelURL      = "heptapodcontainer.url"
	labelSSH      = "heptapodcontainer.ssh"
	labelRegistry = "heptapodcontainer.registry"
)

func (p place) labels() map[string]string {
	return map[string]string{labelURL: p.url, labelSSH: p.ssh, labelRegistry: p.registry}
}

// place picks ports.
func (s settings) place() (place, error) {
	ports, err := s.pick(3)
	if err != nil {
		return place{}, err
	}
	p := place{url: "http://" + net.JoinHostPort(s.host, strconv.Itoa(ports[0]))}
	if s.ssh {
		p.ssh = net.JoinHostPort(s.host, strconv.Itoa(ports[1]))
	}
	if s.registry {
		p.registry = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[2]))
	}
	return p, nil
}

// ports are the published ports by those inside the container.
func (p place) ports() map[nat.Port]string {
	ports := map[nat.Port]string{"80/tcp": portOf(strings.TrimPrefix(p.url, "http://"))}
	if p.ssh != "" {
		ports["22/tcp"] = portOf(p.ssh)
	}
	if p.registry != "" {
		ports[nat.Port(strconv.Itoa(registryPort)+"/tcp")] = portOf(p.registry)
	}
	return ports
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// request are the defaults, which the caller's options come after.
func (s settings) request(img string, p place) ([]testcontainers.ContainerCustomizer, error) {
	rb, err := s.gitlabRB(img, p)
	if err != nil {
		return nil, err
	}
	var exposed []string
	for port := range p.ports() {
		exposed = append(exposed, string(port))
	}
	return []testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(exposed...),
		testcontainers.WithLabels(p.labels()),
		testcontainers.WithFiles(
			file(passwordPath(), s.password+"\n"),
			file(path.Join(configDir, "gitlab.rb"), rb),
		),
		testcontainers.WithConfigModifier(func(c *container.Config) {
			// The image's own looks once a minute.
			c.Healthcheck = &container.HealthConfig{
				Test:     []string{"CMD", "/opt/gitlab/bin/gitlab-healthcheck", "--fail", "--max-time", "10"},
				Interval: 10 * time.Second, Timeout: 30 * time.Second, StartPeriod: bootTimeout, Retries: 5,
			}
		}),
		testcontainers.WithWaitStrategyAndDeadline(bootTimeout, &until{
			ready: "the forge serves", timeout: bootTimeout, every: 250 * time.Millisecond, ask: serves,
		}),
	}, nil
}

func file(name, content string) testcontainers.ContainerFile {
	return testcontainers.ContainerFile{Reader: strings.NewReader(content), ContainerFilePath: name, FileMode: 0o600}
}

// passwordPath is where gitlab.rb reads root's password.
func passwordPath() string {
	return path.Join(configDir, strings.TrimPrefix(heptapod.FileRootPassword, "heptapod/config/"))
}

func (s settings) gitlabRB(img string, p place) (string, error) {
	cfg := heptapod.Config{
		Image: img, Host: s.host, ExternalURL: p.url, Plain: true,
		SSH:          heptapod.SSH{Off: !s.ssh},
		Services:     map[string]bool{"prometheus_monitoring": false},
		RootPassword: heptapod.NewSecret(s.password),
		Ruby:         lean + s.ruby,
	}
	if s.ssh {
		port, err := strconv.Atoi(portOf(p.ssh))
		if err != nil {
			return "", fmt.Errorf("read port of ssh: %w", err)
		}
		cfg.SSH.Port = port
	}
	if s.registry {
		cfg.Registry = &heptapod.Registry{ExternalURL: "http://" + p.registry, NginxPort: registryPort}
	}
	return heptapod.GitlabRB(cfg)
}

// serves asks the API for its version: it wants a token, and says so once
// Rails is there. A container that is reused has an address of its own.
func serves(ctx context.Context, target wait.StrategyTarget) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	inspect, err := target.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("inspect forge: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, inspect.Config.Labels[labelURL]+"/api/v4/version", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("%s answers %s", req.URL, resp.Status)
	}
	return nil
}

// published binds the ports, whatever else the caller changes in the host's
// configuration: the forge knows itself by them.
func (p place) published() testcontainers.CustomizeRequestOption {
	return func(req *testcontainers.GenericContainerRequest) error {
		theirs := req.HostConfigModifier
		req.HostConfigModifier = func(h *container.HostConfig) {
			h.ShmSize = shmSize
			h.PortBindings = nat.PortMap{}
			for inside, port := range p.ports() {
				h.PortBindings[inside] = []nat.PortBinding{{HostPort: port}}
			}
			if theirs != nil {
				theirs(h)
			}
		}
		return nil
	}
}

// rewound lets a further attempt read the caller's files once more.
func rewound(attempt int) testcontainers.CustomizeRequestOption {
	return func(req *testcontainers.GenericContainerRequest) error {
		if attempt == 1 {
			return nil
		}
		for _, f := range req.Files {
			if f.Reader == nil {
				continue
			}
			s, ok := f.Reader.(io.Seeker)
			if !ok {
				return fmt.Errorf("copy %s once more, for other ports: its reader cannot go back", f.ContainerFilePath)
			}
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("copy %s once more, for other ports: %w", f.ContainerFilePath, err)
			}
		}
		return nil
	}
}

// recall takes address and password from the container when it is one that an
// earlier Run has made.
func (c *Container) recall(ctx context.Context) error {
	inspect, err := c.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("inspect forge: %w", err)
	}
	labels := inspect.Config.Labels
	if labels[labelURL] == c.place.url {
		return nil
	}
	if labels[labelURL] == "" {
		return errors.New("reuse container: it was not started by this package")
	}
	c.place = place{url: labels[labelURL], ssh: labels[labelSSH], registry: labels[labelRegistry]}
	r, err := c.CopyFileFromContainer(ctx, passwordPath())
	if err != nil {
		return fmt.Errorf("read root password: %w", err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read root password: %w", err)
	}
	c.password = strings.TrimSpace(string(text))
	return nil
}
