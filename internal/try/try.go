// Package try shows the whole product at work on any machine with Docker: in a
// sandbox engine it brings a forge up, pushes the worked example with hg, lets
// two runners build it and pulls both images back.
package try

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/sandbox"
)

// DefaultName is the sandbox's container and volume.
const DefaultName = "hepta-try"

const (
	labelTrial = "hepta.try"
	project    = "root/worked-example"
)

// Options say how a trial is run. The zero value is a trial that leaves only
// its images behind.
type Options struct {
	Host  string // Docker Engine; "" as docker itself finds it
	Name  string // of the sandbox; default DefaultName
	Image string // a real Heptapod image instead of the stand-in
	Keep  bool   // leave the sandbox running
	Sink  progress.Sink
}

func (o Options) name() string {
	if o.Name == "" {
		return DefaultName
	}
	return o.Name
}

// trial is one run of Run.
type trial struct {
	Options
	docker  client.APIClient // the machine's engine
	inner   client.APIClient // the sandbox's engine
	cfg     *hepta.Config
	box     *sandbox.Sandbox
	stack   *hepta.Stack
	made    map[images.Name]images.Ref
	given   *images.Ref // the image of Options.Image
	summary Summary
}

// Run runs a trial in a fresh sandbox; what an earlier trial left is removed
// first. The Summary is complete as far as the trial came, also when there is
// an error. Without Keep the sandbox is removed again, whatever happens.
func Run(ctx context.Context, o Options) (summary *Summary, err error) {
	started := time.Now()
	t := &trial{Options: o, summary: Summary{Event: "summary", Jobs: []Job{}, Images: []Image{}, URLs: map[string]string{}}}
	defer func() {
		t.summary.Seconds = time.Since(started).Round(100 * time.Millisecond).Seconds()
		t.summary.OK = err == nil
		if err != nil {
			t.summary.Error = err.Error()
		}
	}()
	if t.cfg, err = o.config(); err != nil {
		return &t.summary, err
	}
	docker, err := engine.Dial(ctx, o.Host)
	if err != nil {
		return &t.summary, err
	}
	defer docker.Close()
	t.docker = docker
	release, err := alone(docker.DaemonHost(), o.name())
	if err != nil {
		return &t.summary, err
	}
	defer release()
	defer t.leave(ctx)

	type step struct {
		name string
		do   func(context.Context) error
	}
	steps := []step{
		{"prepare images", t.prepare},
		{"start sandbox", t.enter},
		{"bring the forge up", t.up},
		{"push with hg", t.push},
		{"run the jobs", t.jobs},
		{"pull the images back", t.pull},
	}
	if t.Keep {
		steps = append(steps, step{"put hepta into the sandbox", t.equip})
	}
	for _, step := range steps {
		if err := t.step(ctx, step.name, step.do); err != nil {
			return &t.summary, err
		}
	}
	return &t.summary, nil
}

func (t *trial) step(ctx context.Context, name string, do func(context.Context) error) error {
	t.Sink.Send(progress.Event{Kind: "step", State: progress.Info, Text: name})
	err := do(ctx)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%s: %w: %w", name, cause, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}
