package hepta

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/heptaup/hepta/internal/systemd"
)

// Systemd describes two units of systemd, a service and its timer, that keep a
// stack as its configuration describes it.
type Systemd struct {
	Stack   string   // of the configuration
	Program string   // absolute path of hepta
	File    string   // absolute path of the configuration
	Host    string   // Docker Engine, as for --host; "": as the configuration says
	User    string   // who runs it, with the home directory of that user; default root
	Env     []string // KEY=value that it has to have: DOCKER_HOST
	When    string   // systemd.time(7): "daily", "*-*-* 04:00"; default 04:00 each day
	Prune   string   // how often runner.prune looks: hour, day or week; "": never
}

// SystemdUnit is a file of systemd.
type SystemdUnit struct {
	Name    string // of the file
	Content string
}

// Units are the service and the timer. The service runs `hepta up` once: with
// nothing to do it only looks.
func (d Systemd) Units() (service, timer SystemdUnit) {
	if d.When == "" {
		d.When = "*-*-* 04:00"
	}
	what := fmt.Sprintf("Keep the stack %s as %s describes it", d.Stack, filepath.Base(d.File))
	service = d.service(d.Name(), what, "up")
	return service, d.timer(d.Name(), fmt.Sprintf("Keep the stack %s as it is described", d.Stack), d.When)
}

// Name is that of the units of Units, and the beginning of others.
func (d Systemd) Name() string { return "hepta-" + d.Stack }

// PruneName is the name of the units of PruneUnits.
func (d Systemd) PruneName() string { return d.Name() + "-prune" }

// PruneUnits are a service and a timer that keep the disk of the Docker host
// as runner.prune describes it; ok reports whether it is described.
func (d Systemd) PruneUnits() (service, timer SystemdUnit, ok bool) {
	when, ok := map[string]string{"hour": "hourly", "day": "daily", "week": "weekly"}[d.Prune]
	if !ok {
		return service, timer, false
	}
	what := fmt.Sprintf("Keep what jobs of the stack %s leave to the size that %s gives", d.Stack, filepath.Base(d.File))
	service = d.service(d.PruneName(), what, "runner", "prune", "--force", "--to-size")
	return service, d.timer(d.PruneName(), what, when), true
}

// service runs a command of hepta once.
func (d Systemd) service(name, what string, verb ...string) SystemdUnit {
	command := []string{d.Program, "--file", d.File}
	if d.Host != "" {
		command = append(command, "--host", d.Host)
	}
	command = append(append(command, "--progress", "plain"), verb...)
	for i, word := range command {
		command[i] = systemd.Argument(word)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by hepta systemd; 'systemctl edit %s.service' is for settings of your own.\n", name)
	fmt.Fprintf(&b, "[Unit]\nDescription=%s\n", systemd.Text(what))
	b.WriteString("Wants=network-online.target\nAfter=network-online.target docker.service\n\n[Service]\nType=oneshot\n")
	// Named in any case: without it there is no HOME, and no docker context in it.
	fmt.Fprintf(&b, "User=%s\n", systemd.Text(cmp.Or(d.User, "root")))
	for _, e := range d.Env {
		fmt.Fprintf(&b, "Environment=%s\n", systemd.Word(e))
	}
	fmt.Fprintf(&b, "WorkingDirectory=%s\nExecStart=%s\n", systemd.Text(filepath.Dir(d.File)), strings.Join(command, " "))
	b.WriteString("# A forge that migrates takes its time; what is begun is seen through.\nTimeoutStartSec=infinity\nTimeoutStopSec=5min\n")
	return SystemdUnit{name + ".service", b.String()}
}

func (d Systemd) timer(name, what, when string) SystemdUnit {
	return SystemdUnit{name + ".timer", fmt.Sprintf("# Written by hepta systemd.\n[Unit]\nDescription=%s\n\n"+
		"[Timer]\nOnCalendar=%s\nRandomizedDelaySec=30min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n", systemd.Text(what), systemd.Text(when))}
}
