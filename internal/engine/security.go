package engine

import (
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// CheckSecurity refuses an Engine whose containers cannot work with files of the
// Docker host as they lie there. options are the SecurityOptions of its Info.
//
// With userns-remap, root in a container is somebody else on the host. Then the
// Engine's socket and the data directory are closed to it, privileged jobs are
// refused, and `--userns=host` does not help: what goes through the archive API
// is given to that somebody whatever the container's mode
// (containerExtractToDir in moby's daemon), and so is all of an image's own
// files, which sshd in the forge refuses.
//
// With selinux-enabled, files have to carry a label that containers may use.
// Those of the data directory and the socket have none, and mounts cannot set
// one.
func CheckSecurity(options []string) error {
	has := func(name string) bool {
		return slices.ContainsFunc(options, func(option string) bool {
			first, _, _ := strings.Cut(option, ",")
			return first == "name="+name
		})
	}
	refuse := func(why, remedy string) error {
		return &fault.Error{Op: "use", What: "the Docker Engine", Why: why, Remedy: remedy + " and restart it, or name another Engine: docker: {host: …}"}
	}
	switch {
	case has("userns"):
		return refuse("it gives containers users of their own (userns-remap), to whom neither its socket nor the data directory belongs",
			`Take "userns-remap" out of /etc/docker/daemon.json on the Docker host`)
	case has("selinux"):
		return refuse("it keeps containers from files without an SELinux label of theirs (selinux-enabled), which the data directory and its socket have not",
			`Set "selinux-enabled": false in /etc/docker/daemon.json on the Docker host, whose own SELinux can stay on,`)
	}
	return nil
}
