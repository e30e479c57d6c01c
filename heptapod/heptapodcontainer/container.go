package heptapodcontainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/testcontainers/testcontainers-go"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/engine"
)

// Container is a forge that runs, with what was asked for beside it. It is
// safe for concurrent use.
type Container struct {
	testcontainers.Container
	place    place
	password string
	runners  []*started

	mu    sync.Mutex
	token string
}

// URL is the forge's address, without a final slash: for the test, for jobs
// and for other containers.
func (c *Container) URL(ctx context.Context) (string, error) {
	if c.place.url == "" {
		return "", errors.New("look up the forge's address: the forge was not started")
	}
	return c.place.url, ctx.Err()
}

// RootPassword is the password of root.
func (c *Container) RootPassword() string { return c.password }

// Token is an API token of root. The first call boots Rails in the container,
// which takes a minute or two with the real image; later ones give the same
// token.
func (c *Container) Token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == "" {
		token, err := heptapod.MintToken(ctx, c.run)
		if err != nil {
			return "", err
		}
		c.token = token.Value.Reveal()
	}
	return c.token, nil
}

// Client is a client of the REST API with the rights of root.
func (c *Container) Client(ctx context.Context) (*gitlab.Client, error) {
	address, err := c.URL(ctx)
	if err != nil {
		return nil, err
	}
	token, err := c.Token(ctx)
	if err != nil {
		return nil, err
	}
	return heptapod.NewClient(address, heptapod.NewSecret(token), nil)
}

// CloneURL is where hg and git clone a project (root/things) from and push it
// to, by HTTP, as root. It holds root's password.
func (c *Container) CloneURL(project string) string {
	u, err := url.Parse(c.place.url)
	if err != nil {
		return ""
	}
	u.User = url.UserPassword("root", c.password)
	return u.JoinPath(project).String()
}

// SSHCloneURL is the same by ssh, for the keys of the forge's users. It is
// empty without WithSSH.
func (c *Container) SSHCloneURL(project string) string {
	if c.place.ssh == "" {
		return ""
	}
	return "ssh://git@" + c.place.ssh + "/" + strings.TrimLeft(project, "/")
}

// Registry is the host and port of the container registry as the Engine of
// the forge knows it. It is empty without WithRegistry.
func (c *Container) Registry() string { return c.place.registry }

// RegistryEndpoint is the host and port of the container registry for programs
// that speak to it themselves, by plain HTTP. It is empty without WithRegistry.
func (c *Container) RegistryEndpoint() string {
	u, err := url.Parse(c.place.url)
	_, port, splitErr := net.SplitHostPort(c.place.registry)
	if err != nil || splitErr != nil {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Terminate removes the forge, its runners and what these have started. The
// forge is killed, unless an option gives it a testcontainers.StopTimeout: do
// that where its volumes are to outlive it.
func (c *Container) Terminate(ctx context.Context, opts ...testcontainers.TerminateOption) error {
	var errs []error
	for _, r := range c.runners {
		errs = append(errs, r.terminate(ctx, opts...))
	}
	if c.Container != nil {
		errs = append(errs, c.Container.Terminate(ctx, append([]testcontainers.TerminateOption{testcontainers.StopTimeout(0)}, opts...)...))
	}
	return errors.Join(errs...)
}

// run runs a command in the container, with input.
func (c *Container) run(ctx context.Context, cmd []string, stdin []byte) (stdout, stderr []byte, code int, err error) {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("make docker client: %w", err)
	}
	defer docker.Close()
	r, err := engine.New(docker, nil, nil).Exec(ctx, c.GetContainerID(), engine.ExecOptions{Cmd: cmd, Stdin: bytes.NewReader(stdin)})
	return r.Stdout, r.Stderr, r.ExitCode, err
}

// authorize gives root the ssh keys.
func (c *Container) authorize(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	client, err := c.Client(ctx)
	if err != nil {
		return err
	}
	for i, key := range keys {
		title := fmt.Sprintf("heptapodcontainer %d", i+1)
		_, _, err := client.Users.AddSSHKey(&gitlab.AddSSHKeyOptions{Title: &title, Key: &key}, gitlab.WithContext(ctx))
		if err != nil {
			return fmt.Errorf("give root ssh key %d: %w", i+1, err)
		}
	}
	return nil
}
