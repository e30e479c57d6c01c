package try

import (
	"context"
	"fmt"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/progress"
)

// The names in demo/hepta.yaml.
const (
	forgeHost    = "hg.hepta.test"
	registryHost = "registry.hepta.test"
)

// config describes the forge of the trial.
func (o Options) config() (*hepta.Config, error) {
	cfg, err := hepta.Parse("hepta.yaml", configuration())
	if err != nil {
		return nil, err
	}
	if o.Image != "" {
		cfg.Heptapod.Image = o.Image
	}
	return cfg, cfg.Validate()
}

// up runs the very same up as on a real host.
func (t *trial) up(ctx context.Context) error {
	stack, err := hepta.New(t.cfg, hepta.WithDocker(t.inner), hepta.WithProgress(t.Sink))
	if err != nil {
		return err
	}
	t.stack = stack
	_, err = t.stack.Up(ctx, hepta.UpOptions{})
	return err
}

// push makes the project, hands the jobs a base image and pushes the example.
func (t *trial) push(ctx context.Context) error {
	api, err := t.stack.Forge().Client(ctx)
	if err != nil {
		return err
	}
	made, _, err := api.Projects.CreateProject(&gitlab.CreateProjectOptions{
		Name: gitlab.Ptr("worked-example"), Path: gitlab.Ptr("worked-example"),
		Visibility: gitlab.Ptr(gitlab.PrivateVisibility),
	}, gitlab.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("create project: %w", err)
	}
	password, err := t.stack.Forge().RootPassword(ctx)
	if err != nil {
		return err
	}
	base := registryHost + "/" + made.PathWithNamespace + "/base:1"
	if err := t.pushImage(ctx, t.made[images.Small].Local, base, password.Reveal()); err != nil {
		return err
	}
	if _, _, err := api.ProjectVariables.CreateVariable(made.ID, &gitlab.CreateProjectVariableOptions{
		Key: gitlab.Ptr("BASE_IMAGE"), Value: gitlab.Ptr(base),
	}, gitlab.WithContext(ctx)); err != nil {
		return fmt.Errorf("set variable BASE_IMAGE: %w", err)
	}
	ca, err := t.stack.CACertificate(ctx)
	if err != nil {
		return err
	}
	url := "https://" + forgeHost + "/" + made.PathWithNamespace
	t.summary.URLs["forge"] = "https://" + forgeHost
	t.summary.URLs["project"] = url
	t.summary.URLs["registry"] = "https://" + registryHost
	if at, err := t.box.Published(ctx, 443); err == nil {
		t.summary.URLs["reached_at"] = "https://" + at
	}
	return pusher{
		docker: t.inner, image: t.made[images.Base].Local, stack: t.name(),
		url: url, host: forgeHost, user: "root", password: password.Reveal(), ca: ca,
	}.push(ctx)
}

// jobs follows the pipeline to its end, telling each job's log as it grows.
func (t *trial) jobs(ctx context.Context) error {
	api, err := t.stack.Forge().Client(ctx)
	if err != nil {
		return err
	}
	logs := map[int64]*jobLog{}
	poll := time.NewTicker(time.Second)
	defer poll.Stop()
	appear := time.Now().Add(time.Minute)
	for {
		list, _, err := api.Jobs.ListProjectJobs(project, nil, gitlab.WithContext(ctx))
		if err != nil {
			return fmt.Errorf("list jobs: %w", err)
		}
		if len(list) == 0 && time.Now().After(appear) {
			return fmt.Errorf("the push made no pipeline within a minute")
		}
		ended := len(list) > 0
		for _, job := range list {
			l := logs[int64(job.ID)]
			if l == nil {
				l = &jobLog{name: job.Name, sink: t.Sink}
				logs[int64(job.ID)] = l
			}
			done := over(job.Status)
			ended = ended && done
			if l.ended || job.Status == "created" || job.Status == "pending" {
				continue
			}
			trace, _, err := api.Jobs.GetTraceFile(project, job.ID, gitlab.WithContext(ctx))
			if err != nil {
				return fmt.Errorf("read log of job %s: %w", job.Name, err)
			}
			if err := l.show(trace, done); err != nil {
				return fmt.Errorf("read log of job %s: %w", job.Name, err)
			}
			if done {
				l.ended = true
				t.summary.Jobs = append(t.summary.Jobs, Job{
					Name: job.Name, Mode: strings.TrimPrefix(job.Name, "build_"),
					Status: job.Status, Seconds: job.Duration,
				})
				t.Sink.Send(progress.Event{Kind: "job", Resource: "job " + job.Name, State: progress.Done, Text: job.Status})
			}
		}
		if ended {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-poll.C:
		}
	}
	for _, job := range t.summary.Jobs {
		if job.Status != "success" {
			return fmt.Errorf("job %s ended as %s: its log is above", job.Name, job.Status)
		}
	}
	return nil
}

func over(status string) bool {
	return status == "success" || status == "failed" || status == "canceled" || status == "skipped"
}
