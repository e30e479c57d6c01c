package relay

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is the stock runner.
type process struct {
	cmd   *exec.Cmd
	dir   string
	ended chan struct{}
	err   error // once it has ended
}

// start starts a runner that asks the coordinator for jobs.
func start(r Relay, c *coordinator) (*process, error) {
	dir, err := os.MkdirTemp("", "hepta-relay-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	p := &process{dir: dir, ended: make(chan struct{})}
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, c.config, 0o600); err != nil {
		p.forget()
		return nil, fmt.Errorf("write the runner's configuration: %w", err)
	}
	p.cmd = exec.Command(r.Runner, "run", "--config", config, "--working-directory", dir)
	p.cmd.Env = direct(os.Environ(), c.ip)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = r.Output, r.Output, quickly
	if err := p.cmd.Start(); err != nil {
		p.forget()
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// direct is an environment in which no HTTP proxy stands between the runner
// and an address.
func direct(env []string, ip string) []string {
	out := make([]string, 0, len(env)+2)
	list := ip
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if !strings.EqualFold(name, "no_proxy") {
			out = append(out, v)
		} else if value != "" {
			list = value + "," + ip
		}
	}
	return append(out, "NO_PROXY="+list, "no_proxy="+list)
}

func (p *process) forget() { _ = os.RemoveAll(p.dir) }

func (p *process) state() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

// quit lets the runner finish what it does; one that does not is killed.
func (p *process) quit(limit time.Duration) {
	if !p.signal(syscall.SIGQUIT, limit) {
		p.kill(quickly)
	}
}

// kill lets the runner remove its containers, and no more.
func (p *process) kill(limit time.Duration) {
	if p.signal(syscall.SIGTERM, limit) {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// signal reports whether the runner has ended within the limit.
func (p *process) signal(s syscall.Signal, limit time.Duration) bool {
	_ = p.cmd.Process.Signal(s)
	wait := time.NewTimer(limit)
	defer wait.Stop()
	select {
	case <-p.ended:
		return true
	case <-wait.C:
		return false
	}
}
