package main

import (
	"os"

	"github.com/heptaup/hepta/heptapod/heptapodtest/standin/rootfs"
)

// Where things lie in the image.
const (
	etcDir  = "/etc/gitlab"
	dataDir = "/var/opt/gitlab"
	logDir  = "/var/log/gitlab"

	gitlabRB     = etcDir + "/gitlab.rb"
	secretsFile  = etcDir + "/gitlab-secrets.json"
	passwordFile = etcDir + "/initial_root_password"
	templateFile = "/opt/gitlab/etc/gitlab.rb.template"
	healthRC     = "/opt/gitlab/etc/gitlab-healthcheck-rc"
	sshdConfig   = "/assets/sshd_config"
	evaluator    = "/opt/gitlab/embedded/lib/standin/omnibus.rb"

	bootstrapped = dataDir + "/bootstrapped"
	versionFile  = dataDir + "/gitlab-rails/VERSION"
	pgVersion    = dataDir + "/postgresql/data/PG_VERSION"
	forgeDir     = dataDir + "/gitlab-rails/forge" // what heptapodtest keeps
	keyMark      = forgeDir + "/encrypted-with"    // hash of the key that the database was written with
	registryDir  = dataDir + "/registry"
	blobDir      = dataDir + "/gitlab-rails/shared/registry"
	pumaSocket   = dataDir + "/gitlab-rails/sockets/gitlab.socket"
	registryAddr = "127.0.0.1:5000"

	runDir        = "/run/gitlab"
	controlSocket = runDir + "/control.socket" // gitlab-ctl speaks to the first process; root only
	adminSocket   = runDir + "/admin.socket"   // heptapodtest's administration; root only
	shellSocket   = runDir + "/shell.socket"   // its ssh part; user git only
)

// The image's users. heptapod-docker 1.2.
const (
	gitUID      = 998
	registryUID = 993
)

// gitlab is the release of GitLab in the emulated one.
func gitlab() string { return rootfs.GitLab(emulated()) }

// emulated is the release that the image says it is.
func emulated() string {
	if v := os.Getenv("HEPTAPOD_VERSION"); v != "" {
		return v
	}
	return "17.8.1"
}
