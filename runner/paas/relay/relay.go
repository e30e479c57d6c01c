package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner/paas"
)

// Relay runs one job. The zero value of each field that is not required is its
// default.
type Relay struct {
	Config []byte   // runner.toml: the first of its [[runners]] is the runner; required
	Job    paas.Job // as the coordinator gave it; required
	Runner string   // the stock runner's program; default gitlab-runner
	Dir    string   // keeps that the job was begun, over a restart of the container; required

	// Address is the IP address of this machine at which containers of jobs
	// reach it, for artifacts; default that of the default route.
	Address string
	Output  io.Writer    // what the runner says; default: nowhere
	Log     *slog.Logger // default: silent

	// PickUp bounds how long the runner takes to ask for the job, 2 min; Slack
	// how far it may overrun the job's own time limit, 15 min; CleanUp how long
	// it may clean up when the job is over, 2 min; Patience how long the forge
	// may be out of reach for what the relay itself has to say, 1 h.
	PickUp, Slack, CleanUp, Patience time.Duration
}

// Outcome is how the job ended in the forge.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed" // by its script, or as the runner says
	Gone      Outcome = "gone"   // canceled, taken away or over before
)

// ErrBroken is that of a job that could not be run to its end here. The forge
// was told that it failed.
var ErrBroken = errors.New("the job failed with its host")

func (r Relay) withDefaults() Relay {
	for _, d := range []struct {
		field     *time.Duration
		otherwise time.Duration
	}{{&r.PickUp, 2 * time.Minute}, {&r.Slack, 15 * time.Minute}, {&r.CleanUp, 2 * time.Minute}, {&r.Patience, time.Hour}} {
		if *d.field == 0 {
			*d.field = d.otherwise
		}
	}
	if r.Runner == "" {
		r.Runner = "gitlab-runner"
	}
	if r.Output == nil {
		r.Output = io.Discard
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	return r
}

// Run runs the job and returns when it is over and the runner has ended. When
// ctx is done the job fails, and the forge is told within seconds.
func (r Relay) Run(ctx context.Context) (Outcome, error) {
	r = r.withDefaults()
	s, err := readSection(r.Config)
	if err != nil {
		return "", err
	}
	f, err := newForge(s, r.Job, r.Patience, r.Log)
	if err != nil {
		return "", err
	}
	if err := f.trust(s); err != nil {
		return f.breakDown(ctx, "The host cannot run the job: "+err.Error())
	}
	switch standing, err := f.accept(ctx); {
	case err != nil:
		return "", err
	case standing == paas.Over:
		r.Log.Info("the job is over already")
		return Gone, nil
	case standing == paas.Canceling:
		if _, err := f.breakDown(ctx, "The job was canceled before it started."); !errors.Is(err, ErrBroken) {
			return "", err
		}
		return Gone, nil
	}
	why, err := r.begin(ctx, f)
	if err != nil {
		why = "The host cannot run the job: " + err.Error()
	}
	if why != "" {
		return f.breakDown(ctx, why)
	}
	return r.run(ctx, s, f)
}

// begin notes that the job is begun from here on. The text is why it must not
// be: a job of which nobody knows how far it got is not run a second time.
func (r Relay) begin(ctx context.Context, f *forge) (why string, err error) {
	const again = "The host was restarted while the job ran. The job is not run a second time."
	note := filepath.Join(r.Dir, fmt.Sprintf("job-%d.begun", r.Job.ID))
	file, err := os.OpenFile(note, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return again, nil
	}
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil {
		return "", fmt.Errorf("note that the job is begun: %w", err)
	}
	// The container may be another one on the same machine, or the machine another.
	if written, err := f.traced(ctx); err != nil || !written {
		return "", err
	}
	return again, nil
}

// run gives the job to the runner and waits for its end.
func (r Relay) run(ctx context.Context, s section, f *forge) (Outcome, error) {
	c, err := serve(r, s, f)
	if err != nil {
		return f.breakDown(ctx, "The host cannot run the job: "+err.Error())
	}
	defer c.close()
	p, err := start(r, c)
	if err != nil {
		return f.breakDown(ctx, "The runner does not start: "+err.Error())
	}
	defer p.forget()
	why := r.watch(ctx, c, p)
	// What the runner said last, and could not deliver, is still the truth.
	if outcome, err := c.deliver(ctx); outcome != "" || err != nil {
		return outcome, err
	}
	return f.breakDown(ctx, why)
}

// watch waits until the job is over, or cannot be any more; the text is then why.
// The runner has ended afterwards.
func (r Relay) watch(ctx context.Context, c *coordinator, p *process) (why string) {
	limit := time.NewTimer(r.PickUp)
	defer limit.Stop()
	picked := c.picked
	why = "The runner did not ask for the job."
	for {
		select {
		case <-picked:
			picked = nil
			limit.Reset(c.limit + r.Slack)
			why = "The runner did not end the job in time."
			continue
		case <-c.over:
			p.quit(r.CleanUp)
			return ""
		case <-p.ended:
			return "The runner ended before the job did: " + p.state()
		case <-limit.C:
		case <-ctx.Done():
			why = "The host was stopped while the job ran."
		}
		p.kill(quickly)
		return why
	}
}

// quickly is how long a runner may take to end that is not waited for: hosts
// are stopped within ten seconds.
const quickly = 4 * time.Second

// broken is the error of a job that the relay itself had to end.
func broken(id int64, why string) error {
	return &fault.Error{Op: "run job", What: fmt.Sprint(id), Why: why, Err: ErrBroken}
}
