package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/docker/docker/client"
	"github.com/gofrs/flock"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/sandbox"
)

const (
	label   = "hepta.bench"
	boxName = "hepta-bench"
)

// bench is what the measures share. Each part is made when the first measure
// needs it.
type bench struct {
	options
	out io.Writer

	lock    *flock.Flock
	dir     string // of this run, removed at the end
	outer   *client.Client
	box     *sandbox.Sandbox
	inner   *client.Client // of the nested Engine, over socket
	socket  string         // what both programs are pointed at
	relayed bool           // socket leads through the outer Engine's API
	relay   io.Closer

	hepta, compose, plain string // programs

	small, changed string // images that differ in nothing but their id
	stack          *hepta.Stack
	config         string // hepta.yaml
	peerProject    string // compose.yaml of the same forge
	web            *http.Client
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

// sink tells what takes long, without the steps in between.
func (b *bench) sink() progress.Sink {
	return func(e progress.Event) {
		if e.State == progress.Failed || e.Kind == "program" && e.Current == 0 || e.Kind == "image" {
			b.say("  %s: %s", e.Resource, e.Text)
		}
	}
}

// work is the run's directory.
func (b *bench) work() (string, error) {
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "hepta-bench-")
		if err != nil {
			return "", fmt.Errorf("make directory: %w", err)
		}
		b.dir = dir
	}
	return b.dir, nil
}

// engine connects to the machine's Engine and starts the nested one.
func (b *bench) engine(ctx context.Context) error {
	if b.inner != nil {
		return nil
	}
	if err := b.alone(ctx); err != nil {
		return err
	}
	var err error
	if b.outer, err = engine.Dial(ctx, ""); err != nil {
		return err
	}
	b.say("prepare images (minutes when it is the first time)")
	made, err := images.Ensure(ctx, b.outer, b.sink(), images.Base)
	if err != nil {
		return err
	}
	if err := sandbox.Sweep(ctx, b.outer, label); err != nil {
		return err
	}
	b.say("start the nested engine")
	b.box, err = sandbox.Start(ctx, b.outer, sandbox.Config{
		Name: boxName, Hostname: boxName, Image: made[images.Base].Local, Labels: map[string]string{label: boxName},
		ExtraHosts: []string{forgeHost + ":127.0.0.1", registryHost + ":127.0.0.1"},
		Publish:    []sandbox.Port{{HostIP: "127.0.0.1", Container: 443}},
		Args:       []string{"--host=unix://" + insideSocket},
	})
	if err != nil {
		return err
	}
	return b.reach(ctx)
}

// alone waits until no other run is under way on this machine: each removes
// what it finds of others, and two would measure each other.
func (b *bench) alone(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find cache directory: %w", err)
	}
	dir := filepath.Join(cache, "hepta")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	b.lock = flock.New(filepath.Join(dir, label+".lock"))
	free, err := b.lock.TryLock()
	if err == nil && !free {
		b.say("waiting for another run to end")
		_, err = b.lock.TryLockContext(ctx, time.Second)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", label, err)
	}
	return nil
}

// insideSocket is a second socket of the nested Engine. It lies in the volume
// that holds the Engine's data: a directory of this machine where the outer
// Engine is local.
const insideSocket = "/var/lib/docker/bench.sock"

// reach finds the shortest way to the nested Engine.
func (b *bench) reach(ctx context.Context) error {
	volume, err := b.outer.VolumeInspect(ctx, b.box.Volume)
	if err != nil {
		return fmt.Errorf("find the nested engine's volume: %w", err)
	}
	b.socket = filepath.Join(volume.Mountpoint, filepath.Base(insideSocket))
	if b.inner, err = engine.Dial(ctx, "unix://"+b.socket); err == nil {
		info, err := b.inner.Info(ctx)
		if err == nil && info.Name == boxName {
			return nil
		}
		b.inner.Close()
	}
	dir, err := b.work()
	if err != nil {
		return err
	}
	b.socket, b.relayed = filepath.Join(dir, "docker.sock"), true
	if b.relay, err = b.box.Serve(context.WithoutCancel(ctx), b.socket); err != nil {
		return err
	}
	b.inner, err = engine.Dial(ctx, "unix://"+b.socket)
	return err
}

// programs builds hepta and its plain stack, stripped, and compose.
func (b *bench) programs(ctx context.Context) error {
	if b.hepta != "" {
		return nil
	}
	dir, err := b.work()
	if err != nil {
		return err
	}
	b.say("build the programs")
	if b.compose, err = images.Program(ctx, b.outer, b.sink(), images.Compose); err != nil {
		return err
	}
	if b.plain, err = build(ctx, dir, "github.com/heptaup/hepta/integration/bench/stack"); err != nil {
		return err
	}
	b.hepta, err = build(ctx, dir, "github.com/heptaup/hepta/cmd/hepta")
	return err
}

func build(ctx context.Context, dir, pkg string) (string, error) {
	file := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return file, nil
}

// command is one run of a program against the nested Engine.
func (b *bench) command(program string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = b.dir
		cmd.Env = []string{"HOME=" + b.dir, "PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix://" + b.socket, "COMPOSE_PROGRESS=quiet"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	}
}

// about describes where the numbers come from.
func (b *bench) about(ctx context.Context) []string {
	lines := []string{fmt.Sprintf("machine: %s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())}
	if b.inner == nil {
		return lines
	}
	for _, e := range []struct {
		name   string
		docker *client.Client
	}{{"outer", b.outer}, {"nested", b.inner}} {
		if i, err := e.docker.Info(ctx); err == nil {
			lines = append(lines, fmt.Sprintf("%s engine: %s (API %s, %s), kernel %s", e.name, i.ServerVersion, e.docker.ClientVersion(), i.Driver, i.KernelVersion))
		}
	}
	transport := "transport: the nested engine's own unix socket"
	if b.relayed {
		transport = "transport: a unix socket relayed through the outer engine's API, for both programs"
	}
	if ms, err := b.roundTrip(ctx); err == nil {
		transport += fmt.Sprintf("; a ping with its connection takes %s ms", number(ms))
	}
	lines = append(lines, transport)
	if b.compose != "" {
		lines = append(lines, "peer: docker compose v5.4.0")
	}
	return lines
}

// roundTrip is what the transport adds to every call: a new connection and a
// ping, the median of some.
func (b *bench) roundTrip(ctx context.Context) (ms float64, err error) {
	var samples []time.Duration
	for range leastSamples {
		began := time.Now()
		c, err := client.NewClientWithOpts(client.WithHost("unix://" + b.socket))
		if err != nil {
			return 0, err
		}
		_, err = c.Ping(ctx)
		samples = append(samples, time.Since(began))
		c.Close()
		if err != nil {
			return 0, err
		}
	}
	return spreadOf(samples).Median, nil
}

// close removes everything but the images.
func (b *bench) close(ctx context.Context) error {
	if b.keep && b.box != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	if b.stack != nil {
		errs = append(errs, b.stack.Close())
	}
	if b.relay != nil {
		errs = append(errs, b.relay.Close())
	}
	if b.inner != nil {
		errs = append(errs, b.inner.Close())
	}
	if b.box != nil {
		errs = append(errs, b.box.Remove(ctx))
	}
	if b.outer != nil {
		errs = append(errs, b.outer.Close())
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Unlock())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}
