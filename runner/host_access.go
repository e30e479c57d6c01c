package runner

import (
	"path"
	"slices"
	"strings"
)

const powerPrivileged = "privileged"

// powerfulCapabilities are those with which a container gets out of itself.
var powerfulCapabilities = []string{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE", "DAC_READ_SEARCH", "BPF"}

// powerfulPaths are files and directories of a Docker host that make root of
// whoever has them, or one above them.
var powerfulPaths = []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/var/lib/docker", "/etc/shadow", "/root/.ssh", "/proc/1", "/sys/fs", "/dev/mem"}

// powers are the keys of r's docker section by which its jobs can get at the
// Docker host itself, as they are given, whatever its mode is. The names of keys
// are those of the runner's documentation by now.
func (cfg Config) powers(r Runner) []string {
	var out []string
	for _, key := range []string{"privileged", "services_privileged"} {
		if on, _ := r.Docker[key].(bool); on && !slices.Contains(out, powerPrivileged) {
			out = append(out, powerPrivileged)
		}
	}
	for _, v := range stringList(r.Docker["volumes"]) {
		parts := strings.Split(v, ":")
		if len(parts) > 1 && (cfg.powerful(parts[0]) || path.Base(parts[1]) == "docker.sock") {
			out = append(out, parts[0]+" mounted")
		}
	}
	for _, key := range []string{"pid_mode", "ipcmode", "network_mode", "userns_mode"} {
		if mode, _ := r.Docker[key].(string); strings.EqualFold(mode, "host") {
			out = append(out, key+": host")
		}
	}
	for _, c := range stringList(r.Docker["cap_add"]) {
		if name := strings.TrimPrefix(strings.ToUpper(c), "CAP_"); slices.Contains(powerfulCapabilities, name) {
			out = append(out, "cap_add: "+name)
		}
	}
	for _, key := range []string{"security_opt", "services_security_opt"} {
		for _, opt := range stringList(r.Docker[key]) {
			name, value, _ := strings.Cut(strings.Replace(opt, ":", "=", 1), "=")
			if value == "unconfined" || name == "label" && value == "disable" {
				out = append(out, key+": "+opt)
			}
		}
	}
	for _, key := range []string{"devices", "device_cgroup_rules", "services_devices"} {
		switch v := r.Docker[key].(type) {
		case []any:
			if len(v) > 0 {
				out = append(out, key)
			}
		case map[string]any:
			if len(v) > 0 {
				out = append(out, key)
			}
		}
	}
	return out
}

// powerful reports whether a host path is, or holds, what makes root of
// somebody on the Docker host, or the tokens of its runners.
func (cfg Config) powerful(source string) bool {
	if !path.IsAbs(source) {
		return false // a volume
	}
	source = withoutVar(path.Clean(source))
	for _, p := range append([]string{withoutVar(cfg.Socket), path.Join(cfg.Data, FileConfig)}, powerfulPaths...) {
		if p == source || source == "/" || strings.HasPrefix(p, source+"/") {
			return true
		}
	}
	return false
}

// withoutVar is a path below /run in the one way that hosts have it: /var/run
// is a link to there, and whoever has /var has that link alone.
func withoutVar(p string) string {
	if p == "/var/run" || strings.HasPrefix(p, "/var/run/") {
		return strings.TrimPrefix(p, "/var")
	}
	return p
}
