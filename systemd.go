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
	name := "hepta-" + d.Stack
	command := []string{d.Program, "--file", d.File}
	if d.Host != "" {
		command = append(command, "--host", d.Host)
	}
	command = append(command, "--progress", "plain", "up")
	for i, word := range command {
		command[i] = systemd.Argument(word)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by hepta systemd; 'systemctl edit %s.service' is for settings of your own.\n", name)
	fmt.Fprintf(&b, "[Unit]\nDescription=Keep the stack %s as %s describes it\n", d.Stack, systemd.Text(filepath.Base(d.File)))
	b.WriteString("Wants=network-online.target\nAfter=network-online.target docker.service\n\n[Service]\nType=oneshot\n")
	// Named in any case: without it there is no HOME, and no docker context in it.
	fmt.Fprintf(&b, "User=%s\n", systemd.Text(cmp.Or(d.User, "root")))
	for _, e := range d.Env {
		fmt.Fprintf(&b, "Environment=%s\n", systemd.Word(e))
	}
	fmt.Fprintf(&b, "WorkingDirectory=%s\nExecStart=%s\n", systemd.Text(filepath.Dir(d.File)), strings.Join(command, " "))
	b.WriteString("# A forge that migrates takes its time; what is begun is seen through.\nTimeoutStartSec=infinity\nTimeoutStopSec=5min\n")
	service = SystemdUnit{name + ".service", b.String()}
	timer = SystemdUnit{name + ".timer", fmt.Sprintf("# Written by hepta systemd.\n[Unit]\nDescription=Keep the stack %s as it is described\n\n"+
		"[Timer]\nOnCalendar=%s\nRandomizedDelaySec=30min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n", d.Stack, systemd.Text(d.When))}
	return service, timer
}
