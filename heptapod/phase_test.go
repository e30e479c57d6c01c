package heptapod

import (
	"slices"
	"strings"
	"testing"
)

// bootLog is what a first boot prints, shortened.
const bootLog = `Thank you for using GitLab Docker Image!
Current version: gitlab-ce=17.8.1-ce.0
Configure GitLab for your system by editing /etc/gitlab/gitlab.rb file
Cleaning stale PIDs & sockets
Preparing services...
Starting services...
Configuring GitLab...
[2026-11-20T10:00:00+00:00] INFO: Starting Cinc Client, version 18.3.0
Recipe: gitlab::database_migrations
  * rails_migration[gitlab-rails] action run
    * bash[migrate gitlab-rails database] action run
gitlab Reconfigured!
==> /var/log/gitlab/puma/puma_stdout.log <==
{"timestamp":"2026-11-20T10:05:00Z","pid":600,"message":"* Listening on unix:///var/opt/gitlab/gitlab-rails/sockets/gitlab.socket"}
{"message":"- Worker 0 (PID: 700) booted in 1s, phase: 0"}`

func TestPhases(t *testing.T) {
	var phases []string
	for line := range strings.SplitSeq(bootLog, "\n") {
		if p := Phase(line + "\r\n"); p != "" {
			phases = append(phases, p)
		}
	}
	phases = slices.Compact(phases)
	want := []string{PhaseReconfigure, PhaseMigrations, PhaseServices, PhaseWeb}
	if !slices.Equal(phases, want) {
		t.Errorf("phases %q, want %q", phases, want)
	}
}
