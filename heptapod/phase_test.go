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

// A boot goes on for as long as it configures and migrates. What services log,
// for ever, is no progress.
func TestProgress(t *testing.T) {
	for line, want := range map[string]bool{
		"Recipe: gitlab::database_migrations":                                           true,
		"  * directory[/etc/gitlab] action create (up to date)":                         true,
		"      - execute \"bash\"":                                                      true,
		"    [execute] main: == 20240101000000 AddColumn: migrating ======":             true,
		"    [execute] -- add_column(:projects, :x, :text)":                             true,
		"main: == 20240101000000 AddColumn: migrated (0.0123s) ======":                  true,
		"== 20200101000000 AddColumn: migrating ======":                                 true,
		"gitlab Reconfigured!":                                                          true,
		"==> /var/log/gitlab/nginx/gitlab_access.log <==":                               false,
		`127.0.0.1 - - [20/Nov/2026:10:05:00 +0000] "GET /-/readiness HTTP/1.1" 200 15`: false,
		`{"message":"- Worker 0 (PID: 700) booted in 1s, phase: 0"}`:                    false,
		`{"message":"* Listening on http://127.0.0.1:8080"}`:                            false,
		"2026-11-20_10:05:00.00000 LOG:  checkpoint complete":                           false,
		"": false,
	} {
		if got := Progress(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
	n := 0
	for line := range strings.SplitSeq(bootLog, "\n") {
		if Progress(line) {
			n++
		}
	}
	if n != 6 {
		t.Errorf("%d lines of a boot show progress", n)
	}
}
