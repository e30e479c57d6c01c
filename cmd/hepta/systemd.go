package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

const systemdDir = "/etc/systemd/system"

// What systemd.time(7) and systemd.exec(5) take, not looked at further.
var (
	calendarTime = pattern.New(`^[A-Za-z0-9*:/.,~_+ -]{1,200}$`)
	userName     = pattern.New(`^[a-zA-Z_0-9][a-zA-Z0-9_.-]{0,30}$`)
)

func systemdCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "systemd",
		Usage: "write a systemd service and timer that keep the stack as described",
		Description: "Shows two units of systemd: a service that runs 'hepta up', and a timer that starts it each\n" +
			"day. 'hepta up' only looks when nothing is to be done; otherwise it renews what ends, such as\n" +
			"the certificates of tls mode internal, and puts right what has changed. Where runner.prune is\n" +
			"described, a second pair runs 'hepta runner prune --force --to-size' as often as that says. With\n" +
			"--install they are written to " + systemdDir + " and the timers are started.\n\n" +
			"Examples:\n" +
			"   hepta systemd\n" +
			"   sudo hepta systemd --install\n" +
			"   sudo hepta -f /srv/lab/hepta.yaml systemd --install --when 'Mon *-*-* 03:00'\n" +
			"   journalctl -u hepta-lab.service",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "install", Usage: "write the units and start the timer"},
			&cli.StringFlag{Name: "dir", Value: systemdDir, Usage: "directory of the units, for --install"},
			&cli.StringFlag{Name: "when", Value: "*-*-* 04:00", Usage: "when the service is started, as in systemd.time(7)"},
			&cli.StringFlag{Name: "user", Usage: "user that it runs as (default: the user of this command)"},
		},
		Action: noArguments(func(c *cli.Context) error {
			d, err := systemdOf(c, t)
			if err != nil {
				return err
			}
			service, timer := d.Units()
			pairs := [][2]hepta.SystemdUnit{{service, timer}}
			if service, timer, ok := d.PruneUnits(); ok {
				pairs = append(pairs, [2]hepta.SystemdUnit{service, timer})
			}
			if c.Bool("install") {
				for _, pair := range pairs {
					if err := installUnits(c, t, pair[0], pair[1]); err != nil {
						return err
					}
				}
				if d.Prune == "" {
					return removeUnits(c, t, d.PruneName())
				}
				return nil
			}
			for _, pair := range pairs {
				for _, u := range pair {
					fmt.Fprintf(t.out, "## %s\n%s\n", u.Name, u.Content)
				}
			}
			return nil
		}),
	}
}

// systemdOf reads the configuration, so that no timer runs into a broken one.
func systemdOf(c *cli.Context, t terminal) (hepta.Systemd, error) {
	var d hepta.Systemd
	for name, form := range map[string]func() *regexp.Regexp{"when": calendarTime, "user": userName} {
		if value := c.String(name); value != "" && !form().MatchString(value) {
			return d, usage{fmt.Errorf("--%s: %.100q is none: write it as in %s", name, value, map[string]string{"when": "daily, or Mon *-*-* 03:00", "user": "admin"}[name])}
		}
	}
	s, err := open(c, t)
	if err != nil {
		return d, err
	}
	defer s.close()
	program, err := os.Executable()
	if err != nil {
		return d, fmt.Errorf("find this program: %w", err)
	}
	file, err := filepath.Abs(configFile(c))
	if err != nil {
		return d, fmt.Errorf("find %s: %w", configFile(c), err)
	}
	cfg := s.stack.Config()
	d = hepta.Systemd{Stack: cfg.Stack, Program: program, File: file, Host: c.String(flagHost), When: c.String("when"), User: c.String("user")}
	if cfg.Runner.Prune != nil {
		d.Prune = cfg.Runner.Prune.Every
	}
	if d.User == "" {
		me, err := user.Current()
		if err != nil {
			return d, fmt.Errorf("find who runs this command: %w; name the user with --user", err)
		}
		d.User = me.Username
	}
	// What this command would reach the Engine by, the service does not have.
	if d.Host == "" && cfg.Docker.Host == "" {
		for _, name := range []string{"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT"} {
			if value := t.env(name); value != "" {
				d.Env = append(d.Env, name+"="+value)
			}
		}
	}
	return d, nil
}

// installUnits writes the units, the service first, and starts the timer.
func installUnits(c *cli.Context, t terminal, service, timer hepta.SystemdUnit) error {
	dir := c.String("dir")
	for _, u := range []hepta.SystemdUnit{service, timer} {
		path := filepath.Join(dir, u.Name)
		if err := os.WriteFile(path, []byte(u.Content), 0o644); err != nil {
			return &fault.Error{Op: "write unit", What: path, Err: errors.Unwrap(err), // the path is told once
				Remedy: "Run it as root where systemd is: sudo hepta systemd --install. Without --install the units are only shown."}
		}
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "--now", timer.Name}} {
		out, err := exec.CommandContext(c.Context, "systemctl", args...).CombinedOutput()
		if err != nil {
			said := strings.TrimSpace(string(out))
			if said == "" {
				said = err.Error()
			}
			return &fault.Error{Op: "start timer", What: timer.Name, Why: "systemctl " + strings.Join(args, " ") + ": " + said,
				Remedy: "The units are written. Start the timer by hand: sudo systemctl daemon-reload && sudo systemctl enable --now " + timer.Name}
		}
	}
	fmt.Fprintf(t.out, "Wrote %s and %s to %s. Its next run: systemctl list-timers %[2]s\n", service.Name, timer.Name, dir)
	return nil
}

// removeUnits stops and removes what an earlier --install has written for what
// is no longer described.
func removeUnits(c *cli.Context, t terminal, name string) error {
	for _, kind := range []string{".timer", ".service"} {
		path := filepath.Join(c.String("dir"), name+kind)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if out, err := exec.CommandContext(c.Context, "systemctl", "disable", "--now", name+kind).CombinedOutput(); err != nil {
			return &fault.Error{Op: "stop", What: name + kind, Why: strings.TrimSpace(string(out)), Err: err, Remedy: "Stop it by hand: sudo systemctl disable --now " + name + kind}
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove unit: %w", err)
		}
		fmt.Fprintf(t.out, "Removed %s: runner.prune is no longer described.\n", name+kind)
	}
	return nil
}
