package heptapodcontainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/heptaup/hepta/runner"
)

const (
	runnerTimeout = 2 * time.Minute
	runnerConfig  = "/etc/gitlab-runner/config.toml"
	engineSocket  = "/var/run/docker.sock"
)

// RunnerOption changes a runner of WithRunner.
type RunnerOption func(*runner.Config, *runner.Runner)

// WithTags gives the runner tags. It then takes no jobs without one.
func WithTags(tags ...string) RunnerOption {
	return func(_ *runner.Config, r *runner.Runner) { r.Tags = append(r.Tags, tags...) }
}

// WithMode says how jobs build images. By default they build none: runner.Plain.
func WithMode(mode runner.Mode) RunnerOption {
	return func(_ *runner.Config, r *runner.Runner) { r.Mode = mode }
}

// WithJobImage sets the image of jobs that name none.
func WithJobImage(image string) RunnerOption {
	return func(_ *runner.Config, r *runner.Runner) { r.Image = image }
}

// WithHelperImage sets the image that fetches sources and keeps artifacts; by
// default the runner picks the one of its release.
func WithHelperImage(image string) RunnerOption {
	return func(c *runner.Config, _ *runner.Runner) { c.HelperImage = image }
}

// WithRunnerConfig changes anything.
func WithRunnerConfig(change func(*runner.Config, *runner.Runner)) RunnerOption {
	return change
}

// WithRunner starts a runner beside the forge that serves all of its projects
// with containers on the same Engine; "" stands for runner.DefaultImage. Run
// returns once it has asked for jobs. Each use adds one.
func WithRunner(image string, opts ...RunnerOption) Option {
	return func(s *settings) error {
		s.runners = append(s.runners, runnerSettings{cmp.Or(image, runner.DefaultImage), opts})
		return nil
	}
}

type runnerSettings struct {
	image string
	opts  []RunnerOption
}

// started is a runner's container, and the token by which it is known.
type started struct {
	testcontainers.Container
	token string
}

// addRunner creates a runner in the forge and starts it. It is among those of
// c from the moment on in which there is something to remove.
func (c *Container) addRunner(ctx context.Context, s runnerSettings, number int) error {
	cfg := runner.Config{Image: s.image, CheckInterval: 1, Socket: testcontainers.MustExtractDockerSocket(ctx), Forge: runner.Forge{URL: c.place.url}}
	r := runner.Runner{Name: fmt.Sprintf("runner-%d", number), Mode: runner.Plain}
	for _, o := range s.opts {
		o(&cfg, &r)
	}
	untagged := len(r.Tags) == 0
	if r.RunUntagged != nil {
		untagged = *r.RunUntagged
	}
	client, err := c.Client(ctx)
	if err != nil {
		return err
	}
	api := runner.NewAPI(client)
	made, err := api.CreateRunner(ctx, runner.Attributes{
		Description: r.Name, Tags: r.Tags, RunUntagged: untagged, Locked: r.Locked, Paused: r.Paused,
		AccessLevel: r.AccessLevel, MaximumTimeout: r.MaximumTimeout, Group: r.Group, Project: r.Project,
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", r.Name, err)
	}
	r.Token = made.Token
	cfg.Runners = []runner.Runner{r}
	toml, err := runner.ConfigTOML(cfg, "host-gateway")
	if err != nil {
		return fmt.Errorf("start %s: %w", r.Name, err)
	}
	ctr, err := testcontainers.Run(ctx, s.image,
		testcontainers.WithLabels(map[string]string{labelURL: c.place.url}),
		testcontainers.WithFiles(file(runnerConfig, string(toml))),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.Binds = append(h.Binds, cfg.Socket+":"+engineSocket)
		}),
		testcontainers.WithWaitStrategyAndDeadline(runnerTimeout, &until{
			ready: r.Name + " asks for jobs", timeout: runnerTimeout, every: 250 * time.Millisecond,
			ask: func(ctx context.Context, _ wait.StrategyTarget) error { return contacted(ctx, api, made.ID) },
		}),
	)
	if ctr != nil {
		c.runners = append(c.runners, &started{ctr, made.Token.Reveal()})
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", r.Name, err)
	}
	return nil
}

func contacted(ctx context.Context, api runner.API, id int64) error {
	status, err := api.RunnerStatus(ctx, id)
	if err == nil && !status.Contacted {
		err = errors.New("the forge has not heard of it")
	}
	return err
}

// terminate removes the runner, and then the containers and volumes of its
// jobs.
func (r *started) terminate(ctx context.Context, opts ...testcontainers.TerminateOption) error {
	if err := r.Terminate(ctx, opts...); err != nil {
		return fmt.Errorf("remove runner: %w", err)
	}
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("make docker client: %w", err)
	}
	defer docker.Close()
	return sweep(ctx, docker, shortTokens(r.token))
}

var tokenPrefix = regexp.MustCompile(`^glrt-(t\d_)?`)

// shortTokens are what runners show of their token on what they start. Old ones
// show the first eight letters, prefix and all; that is left out where it says
// too little to tell one runner from another.
func shortTokens(token string) []string {
	prefix := tokenPrefix.FindString(token)
	rest := token[len(prefix):]
	short := []string{rest[:min(9, len(rest))], rest[:min(8, len(rest))]}
	if len(prefix) <= 5 {
		short = append(short, token[:min(8, len(token))])
	}
	return slices.DeleteFunc(slices.Compact(short), func(s string) bool { return len(s) < 8 })
}

// sweep removes the containers of jobs, which bear their runner's label, and
// the volumes, which bear it or are named after the runner.
func sweep(ctx context.Context, docker client.APIClient, runners []string) error {
	const label = "com.gitlab.gitlab-runner.runner.id"
	var errs []error
	for _, short := range runners {
		labelled := filters.NewArgs(filters.Arg("label", label+"="+short))
		containers, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled})
		errs = append(errs, err)
		for _, c := range containers {
			errs = append(errs, gone(docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})))
		}
		volumes, err := docker.VolumeList(ctx, volume.ListOptions{})
		errs = append(errs, err)
		for _, v := range volumes.Volumes {
			if v.Labels[label] == short || strings.HasPrefix(v.Name, "runner-"+short+"-project-") {
				errs = append(errs, gone(docker.VolumeRemove(ctx, v.Name, true)))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove what jobs left: %w", err)
	}
	return nil
}

// gone is err, unless it says that what was to go is not there.
func gone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
