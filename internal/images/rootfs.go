package images

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/heptaup/hepta/internal/hosttool"
)

// suite is the Debian release of the base image.
const suite = "trixie"

// basePackages are what the base image holds beside the smallest Debian. python3
// comes with mercurial, containerd and runc with docker.io.
func basePackages() []string {
	return []string{
		"busybox-static", "ca-certificates", "curl", "docker-buildx", "docker-cli", "docker.io",
		"git", "haproxy", "iproute2", "iptables", "mercurial", "openssh-server", "openssl", "procps", "ruby",
	}
}

// rootfsArgs is the command line that writes the root file system of r to file.
// Host keys are left out, so that no two containers share them.
func rootfsArgs(arch, file string, r recipe) []string {
	args := []string{
		"--variant=minbase",
		"--architectures=" + arch,
		"--include=" + strings.Join(r.packages, ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/info/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		`--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*`,
	}
	if r.setup != "" {
		args = append(args, `--customize-hook=chroot "$1" sh -c '`+r.setup+"'")
	}
	return append(args, suite, file)
}

// rootfs returns the root file system of an image without parent as a tar file.
func (m *maker) rootfs(ctx context.Context, r recipe) (string, error) {
	sum, name := digest(rootfsArgs(m.arch, "", r)...), "rootfs-"+m.arch
	if r.name != Base {
		name = "rootfs-" + string(r.name) + "-" + m.arch
	}
	return m.store.artefact(ctx, name, sum, func(dir string) (string, error) {
		if err := m.host.Need(ctx, m.say(r.name), hosttool.Mmdebstrap()); err != nil {
			return "", err
		}
		m.say(r.name)("collecting Debian " + suite + " packages (about a minute)")
		file := filepath.Join(dir, "rootfs.tar")
		cmd := exec.CommandContext(ctx, "mmdebstrap", rootfsArgs(m.arch, file, r)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", hosttool.CommandError(ctx, "mmdebstrap "+suite, string(out), err)
		}
		return file, nil
	})
}
