package paas

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/heptaup/hepta/internal/systemd"
)

// Unit is a systemd service that runs a program with a configuration file. All
// paths are absolute. user is whom it runs as; empty for root.
func Unit(program, file, user string, cfg Config) string {
	var b strings.Builder
	b.WriteString("[Unit]\nDescription=On-demand CI hosts\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\n")
	fmt.Fprintf(&b, "ExecStart=%s paas run %s\n", systemd.Argument(program), systemd.Argument(file))
	b.WriteString("ExecReload=/bin/kill -HUP $MAINPID\n")
	if user != "" {
		fmt.Fprintf(&b, "User=%s\n", systemd.Text(user))
	}
	// A mistake in the configuration is not cured by starting again; everything
	// else is, and jobs go on meanwhile.
	b.WriteString("Restart=always\nRestartSec=5\nRestartPreventExitStatus=2\nTimeoutStopSec=30\n")
	b.WriteString("NoNewPrivileges=true\nPrivateTmp=true\nProtectSystem=strict\nProtectHome=read-only\n")
	fmt.Fprintf(&b, "ReadWritePaths=%s\n", systemd.Word(filepath.Dir(cfg.StateFile)))
	b.WriteString("\n[Install]\nWantedBy=multi-user.target\n")
	return b.String()
}
