package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// paasMeasures are of the manager of on-demand runners, in a process of its own.
func paasMeasures() []measure {
	return []measure{
		{"paas_load", nil, (*bench).paasLoad},
		{"idle_requests_per_runner_minute", nil, (*bench).paasIdle},
	}
}

const (
	paasRunners = 50
	paasAtOnce  = 200
	// paasMinimum is what no job can do without: to be asked for, accepted, its
	// host created, given an environment, looked at and pushed to, its end to be
	// learnt, its host deleted.
	paasMinimum = 8
)

// paasRun is a manager at work.
type paasRun struct {
	cloud  *paasCloud
	tokens []string
	server *http.Server
	cmd    *exec.Cmd
	said   *bytes.Buffer
}

// paasStart starts a manager whose time runs scale times as fast.
func (b *bench) paasStart(ctx context.Context, scale float64, hold time.Duration, atOnce int) (*paasRun, error) {
	dir, err := b.work()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "paasload")
	if _, err := os.Stat(program); err != nil {
		if program, err = build(ctx, dir, "github.com/heptaup/hepta/integration/bench/paasload"); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &paasRun{cloud: newPaasCloud(scale, time.Duration(float64(hold)/scale)), said: &bytes.Buffer{}}
	r.server = &http.Server{Handler: r.cloud, ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(l) }() // ends by Close
	var config strings.Builder
	state, err := os.MkdirTemp(dir, "state-")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&config, "concurrent = %d\npaas_max_concurrent_provisioning = %d\ncheck_interval = %g\njob_progress_poll_interval = %g\nstate_file = %q\n",
		atOnce, atOnce, 3/scale, 30/scale, filepath.Join(state, "state.json"))
	for i := range paasRunners {
		r.tokens = append(r.tokens, fmt.Sprintf("glrt-runner%03dxxxx", i))
		fmt.Fprintf(&config, "[[runners]]\nname = \"r%d\"\nurl = \"http://%s\"\ntoken = %q\nexecutor = \"clever-docker\"\ncc_orga_id = \"o\"\ncc_token = \"t\"\ncc_api_url = \"http://%s/v2\"\ncc_deployment_repo_wait_step = %g\n",
			i, l.Addr(), r.tokens[i], l.Addr(), 2/scale)
	}
	file := filepath.Join(state, "paas.toml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return nil, err
	}
	r.cmd = exec.CommandContext(ctx, program, "-config", file, "-scale", fmt.Sprint(scale))
	r.cmd.Stderr = r.said
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	return r, nil
}

// stop ends the manager and tells what must not have happened.
func (r *paasRun) stop() error {
	err := r.cmd.Process.Signal(syscall.SIGTERM)
	if wait := r.cmd.Wait(); wait != nil {
		err = fmt.Errorf("%w: %s", wait, r.said)
	}
	_ = r.server.Close() // of the manager that has ended
	r.cloud.mu.Lock()
	defer r.cloud.mu.Unlock()
	for _, text := range r.cloud.trouble {
		err = errors.Join(err, errors.New(text))
	}
	return err
}

// peak is the most memory that the manager has had, in MiB.
func (r *paasRun) peak() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the kernel does not tell the memory of a process")
}

// paasJobs lets a fresh manager do so many jobs.
func (b *bench) paasJobs(ctx context.Context, scale float64, n int) (over, peak float64, err error) {
	r, err := b.paasStart(ctx, scale, 50*time.Second, paasAtOnce)
	if err != nil {
		return 0, 0, err
	}
	done := r.cloud.add(n, r.tokens)
	select {
	case <-done:
	case <-ctx.Done():
		return 0, 0, errors.Join(ctx.Err(), r.stop())
	case <-time.After(20 * time.Minute):
		return 0, 0, errors.Join(fmt.Errorf("%d jobs are not done in 20 minutes", n), r.stop())
	}
	calls, _ := r.cloud.counted()
	b.say("  %d jobs: %s", n, r.cloud.kinds(n))
	peak, err = r.peak()
	return float64(calls)/float64(n) - paasMinimum, peak, errors.Join(err, r.stop())
}

// paasLoad lets a manager do 500 jobs, and others 500 and 10 000 jobs with less
// care for time: their memory is what counts.
func (b *bench) paasLoad(ctx context.Context) ([]result, error) {
	over, _, err := b.paasJobs(ctx, 10, 500)
	if err != nil {
		return nil, err
	}
	_, small, err := b.paasJobs(ctx, 50, 500)
	if err != nil {
		return nil, err
	}
	_, large, err := b.paasJobs(ctx, 50, 10_000)
	if err != nil {
		return nil, err
	}
	b.say("  at most %.1f MiB with 500 jobs, %.1f MiB with 10 000", small, large)
	return []result{
		{Name: "requests_over_minimum_per_job", Value: math.Max(over, 0), Aim: 5},
		{Name: "rss_growth_500_to_10000", Value: large / small, Aim: 1.5},
	}, nil
}

// paasIdle counts what a manager asks when there is nothing to do, of a forge
// that holds requests for 50 s.
func (b *bench) paasIdle(ctx context.Context) ([]result, error) {
	const scale, minutes = 10, 4
	r, err := b.paasStart(ctx, scale, 50*time.Second, 50)
	if err != nil {
		return nil, err
	}
	count := func(wait time.Duration) (int, error) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		calls, empty := r.cloud.counted()
		return calls + empty, nil
	}
	// The beginning, when all ask for the first time, does not count.
	before, err := count(time.Minute / scale)
	after := 0
	if err == nil {
		after, err = count(minutes * time.Minute / scale)
	}
	if err := errors.Join(err, r.stop()); err != nil {
		return nil, err
	}
	return []result{{Name: "idle_requests_per_runner_minute", Value: float64(after-before) / paasRunners / minutes}}, nil
}
