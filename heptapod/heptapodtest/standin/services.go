package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// service is one line of gitlab-ctl status. Services without a program are
// parts of the image that the stand-in has no process for: they only have a
// state.
type service struct {
	name    string
	program runnable // nil: only a state
	since   time.Time
	up      bool
}

// runnable is a part of the daemon that starts and stops.
type runnable interface {
	start(ctx context.Context) error
	stop() error
}

// hupper takes its configuration over again without a restart.
type hupper interface{ hup() error }

// process keeps a program running: one that ends is started again after a
// second, as runit does.
type process struct {
	name string
	cmd  []string
	uid  int

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
	pid    int
}

const (
	restartPause = time.Second
	stopGrace    = 10 * time.Second
)

func (p *process) start(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		return nil
	}
	log, err := openLog(p.name, "current")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd, err := p.launch(ctx, log)
	if err != nil {
		cancel()
		log.Close()
		return err
	}
	p.cancel, p.done, p.pid = cancel, make(chan struct{}), cmd.Process.Pid
	go p.keep(ctx, cmd, log, p.done)
	return nil
}

// launch starts the program, which ends when ctx does.
func (p *process) launch(ctx context.Context, log *os.File) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, p.cmd[0], p.cmd[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dataDir, "OTEL_TRACES_EXPORTER=none"}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	if p.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.uid), Gid: uint32(p.uid)}}
	}
	return cmd, cmd.Start()
}

// keep starts the program again whenever it ends, until ctx does.
func (p *process) keep(ctx context.Context, cmd *exec.Cmd, log *os.File, done chan struct{}) {
	defer close(done)
	defer log.Close()
	for {
		var err error
		if cmd != nil {
			err = cmd.Wait()
		}
		if ctx.Err() != nil {
			return
		}
		fmt.Fprintf(log, "%s ended: %v; it is started again\n", p.name, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartPause):
		}
		if cmd, err = p.launch(ctx, log); err != nil {
			fmt.Fprintf(log, "%s cannot be started: %v\n", p.name, err)
			cmd = nil
			continue
		}
		p.mu.Lock()
		p.pid = cmd.Process.Pid
		p.mu.Unlock()
	}
}

func (p *process) stop() error {
	p.mu.Lock()
	cancel, done := p.cancel, p.done
	p.cancel, p.pid = nil, 0
	p.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	<-done
	return nil
}

// openLog opens a log of a service to append to.
func openLog(service, file string) (*os.File, error) {
	dir := filepath.Join(logDir, service)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make log directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// supervisor is the first process's knowledge of its services, in the order in
// which they start. All its methods are safe for concurrent use.
type supervisor struct {
	mu       sync.Mutex
	services []*service
	log      *slog.Logger
}

func (v *supervisor) find(name string) *service {
	for _, s := range v.services {
		if s.name == name {
			return s
		}
	}
	return nil
}

var errNoService = errors.New("no such service")

// status is a service as gitlab-ctl shows it.
type status struct {
	Name    string        `json:"name"`
	Up      bool          `json:"up"`
	PID     int           `json:"pid"`
	Elapsed time.Duration `json:"elapsed"`
}

func (v *supervisor) status() []status {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []status
	for _, s := range v.services {
		list = append(list, s.status())
	}
	return list
}

func (s *service) status() status {
	pid := os.Getpid()
	if p, ok := s.program.(*process); ok {
		p.mu.Lock()
		if p.pid != 0 {
			pid = p.pid
		}
		p.mu.Unlock()
	}
	return status{Name: s.name, Up: s.up, PID: pid, Elapsed: time.Since(s.since)}
}

// do starts, stops, restarts or hups a service and returns what it is then.
func (v *supervisor) do(ctx context.Context, name, verb string) (status, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.find(name)
	if s == nil {
		return status{}, fmt.Errorf("%s: %w", name, errNoService)
	}
	var err error
	switch verb {
	case "start":
		err = s.start(ctx)
	case "stop", "kill":
		err = s.stop()
	case "restart":
		err = errors.Join(s.stop(), s.start(ctx))
	case "hup":
		if h, ok := s.program.(hupper); ok && s.up {
			err = h.hup()
		}
	default:
		err = fmt.Errorf("unknown verb %q", verb)
	}
	if err != nil {
		v.log.Error("service", "name", name, "verb", verb, "err", err)
	}
	return s.status(), err
}

func (s *service) start(ctx context.Context) error {
	if s.up {
		return nil
	}
	if s.program != nil {
		if err := s.program.start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", s.name, err)
		}
	}
	s.up, s.since = true, time.Now()
	return nil
}

func (s *service) stop() error {
	if !s.up {
		return nil
	}
	s.up, s.since = false, time.Now()
	if s.program != nil {
		if err := s.program.stop(); err != nil {
			return fmt.Errorf("stop %s: %w", s.name, err)
		}
	}
	return nil
}

// stopAll stops every service, the last started first.
func (v *supervisor) stopAll(say func(status)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	for i := len(v.services) - 1; i >= 0; i-- {
		errs = append(errs, v.services[i].stop())
		say(v.services[i].status())
	}
	return errors.Join(errs...)
}

// down reports whether a service that exists is stopped.
func (v *supervisor) down(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.find(name)
	return s != nil && !s.up
}
