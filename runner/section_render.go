package runner

import (
	"cmp"
	"fmt"
	"github.com/heptaup/hepta/internal/dockerauth"
	"path"
	"slices"
	"strings"
)

// Where things lie inside the containers.
const (
	configDir = "/etc/gitlab-runner"
	caDir     = "/etc/hepta/ca"
	certDir   = "/certs/client"
	// jobCA is where GitLab's helper image looks for an authority.
	jobCA = configDir + "/certs/ca.crt"
	// jobTrust makes the docker CLI of a job trust that authority, too:
	// BuildKit has the CLI fetch registry tokens from the forge. Programs in
	// Go read every file of these directories. A variable of the runner takes
	// the place of the image's own, so the directories that images bring their
	// authorities in stand before ours: the usual ones and kaniko's.
	jobTrust = "SSL_CERT_DIR=/etc/ssl/certs:/etc/pki/tls/certs:/kaniko/ssl/certs:" + configDir + "/certs"
)

// findDaemon has a job find its daemon as docker's own image does by itself:
// with TLS where the daemon has left a certificate, unless the job says
// otherwise. Variables of the runner would stand in the way of jobs that leave
// TLS out. The log of a job shows the first line.
const findDaemon = `# Find the Docker daemon of this job
if [ -z "${DOCKER_HOST:-}" ] && [ ! -S /var/run/docker.sock ] && [ -s "${DOCKER_TLS_CERTDIR:-}/client/key.pem" ]; then
  export DOCKER_HOST=tcp://docker:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$DOCKER_TLS_CERTDIR/client"
fi
`

// requestConcurrency is how many requests for jobs of one runner are under way
// at once. With one, a forge that holds a request until there is a job keeps the
// runner from asking for the next, and runners since 18 warn of that each time
// they read their configuration.
const requestConcurrency int64 = 2

// ConfigTOML is a config.toml with the runners of cfg, each of which brings its
// Token. It is for a runner that nothing else keeps up to date. gateway is the
// address under which jobs reach the Docker host, for cfg.HostNames.
func ConfigTOML(cfg Config, gateway string) ([]byte, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	want := Desired{Concurrent: cfg.Concurrent, CheckInterval: cfg.CheckInterval}
	for _, r := range cfg.Runners {
		if r.BuildCache > 0 {
			return nil, fmt.Errorf("render config.toml: runner %s: a build cache needs a file beside config.toml, which Up writes", r.Name)
		}
		if !r.given() {
			return nil, fmt.Errorf("render config.toml: runner %s has no token", r.Name)
		}
		at := place{gateway: gateway}
		if len(cfg.daemonFlags(r, at)) > 0 {
			return nil, fmt.Errorf("render config.toml: runner %s: a mirror needs a file beside config.toml, which Up writes", r.Name)
		}
		s := cfg.section(r, at)
		authToken{Secret: r.Token}.setIn(&s)
		want.Runners = append(want.Runners, s)
	}
	return MergeConfig(nil, want)
}

// section is what config.toml has to say about r, apart from its token.
//
// The docker table of a mode: dind is privileged and shares the directory of
// the client certificates between the job and its daemon, whether the job or
// the runner names the daemon as a service, and leaves it to the job whether it
// uses TLS; socket binds the Engine's socket; rootless lets a job make
// namespaces of its own, in which it has the rights that building takes; plain
// has none of this. With BuildCache a volume of the
// project and slot holds what dind's daemon, buildah or BuildKit keeps.
func (cfg Config) section(r Runner, at place) Section {
	docker := map[string]any{"image": r.Image, "privileged": r.Mode == Dind}
	volumes := []string{"/cache"}
	inside := slices.Clone(cfg.HostNames) // names that no proxy knows
	if r.Mode == Dind {
		inside = append(inside, dindHost)
	}
	env := exceptHosts(slices.Clone(r.Environment), inside)
	switch r.Mode {
	case Dind:
		if r.plainDind() {
			env = append([]string{"DOCKER_TLS_CERTDIR=", "DOCKER_HOST=tcp://docker:2375"}, env...)
			break
		}
		volumes = []string{certDir, "/cache"}
		if r.BuildCache > 0 {
			volumes = []string{path.Dir(certDir), "/cache"} // with the keys, which take seconds to make
		}
		env = append([]string{"DOCKER_TLS_CERTDIR=" + path.Dir(certDir)}, env...)
	case Socket:
		volumes = []string{cfg.Socket + ":/var/run/docker.sock", "/cache"}
	case Rootless:
		docker["security_opt"] = []any{"seccomp=" + rootlessSeccomp(), "apparmor=unconfined"}
		env = append([]string{"BUILDAH_ISOLATION=chroot", "STORAGE_DRIVER=vfs", "BUILDKITD_FLAGS=--oci-worker-no-process-sandbox"}, env...)
	}
	hasJobNetwork := cfg.hasJobNetwork(r, at)
	if hasJobNetwork && r.Mode == Rootless {
		volumes = append(volumes, path.Join(cfg.Data, FileBuildKitConfig)+":"+buildKitConfig+":ro")
		i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, "BUILDKITD_FLAGS=") })
		env[i] += " --config=" + buildKitConfig
	}
	if r.BuildCache > 0 {
		for _, k := range keepers(r.Mode) {
			volumes = append(volumes, k.data, cfg.programVolume(k.file))
		}
		env = append([]string{fmt.Sprintf("HEPTA_BUILD_CACHE=%d", r.BuildCache)}, env...)
	}
	if flags := cfg.daemonFlags(r, at); len(flags) > 0 {
		volumes = extend(volumes, cfg.programVolume(FileDockerd))
		env = append([]string{flagsVariable + "=" + strings.Join(flags, " ")}, env...)
	}
	if r.DindImage != "" {
		daemon := map[string]any{"name": r.DindImage}
		if name, _, _ := strings.Cut(r.DindImage, ":"); name != dindHost {
			daemon["alias"] = dindHost // else its name gives it, and the runner warns in each job of a second one
		}
		docker["services"] = []any{daemon}
	}
	if len(r.AllowedImages) > 0 {
		docker["allowed_images"] = r.AllowedImages
	}
	if len(r.AllowedServices) > 0 {
		docker["allowed_services"] = r.AllowedServices
	}
	if cfg.CAFile != "" {
		ca := path.Join(cfg.Data, cfg.CAFile)
		volumes = append(volumes, ca+":"+jobCA+":ro")
		env = trusting(env)
		if r.Mode == Dind {
			for _, host := range append(slices.Clone(cfg.RegistryHosts), cfg.mirrorHost()...) {
				volumes = extend(volumes, ca+":"+daemonCA(host)+":ro")
			}
		}
	}
	if mtu := at.narrow(r); mtu != 0 {
		docker["network_mtu"] = mtu // of the networks that the runner makes itself
	}
	var hosts []string
	if network, _ := r.Docker["network_mode"].(string); !cfg.OnNetwork || network != cfg.Network {
		for _, name := range cfg.HostNames {
			hosts = append(hosts, name+":"+cmp.Or(cfg.HostAddress, at.gateway))
		}
	}
	hosts = append(hosts, cfg.ExtraHosts...)
	if cfg.HelperImage != "" {
		docker["helper_image"] = cfg.HelperImage
	}
	for k, v := range r.Docker {
		switch k {
		case "volumes":
			volumes = extend(without(volumes, v), v)
		case "extra_hosts":
			hosts = extend(hosts, v)
		case "container_labels": // below
		case "security_opt", "services": // beside what the mode has
			given, _ := docker[k].([]any)
			more, _ := v.([]any)
			docker[k] = append(slices.Clip(given), more...)
		default:
			docker[k] = v
		}
	}
	docker["container_labels"] = cfg.containerLabels(r.Docker["container_labels"])
	docker["volumes"] = volumes
	if len(hosts) > 0 {
		docker["extra_hosts"] = hosts
	}

	set := map[string]any{"url": r.URL, "executor": "docker", "limit": r.Concurrent, "docker": docker}
	for k, v := range r.Settings {
		set[k] = v
	}
	if shell, _ := set["shell"].(string); r.Mode == Dind && !r.plainDind() && !strings.HasPrefix(shell, "p") { // powershell, pwsh
		script, _ := set["pre_build_script"].(string)
		set["pre_build_script"] = strings.TrimSuffix(findDaemon+script, "\n")
	}
	if hasJobNetwork {
		set["feature_flags"] = withJobNetworks(r.Settings["feature_flags"])
		if !at.facts.supports(featureFlags) {
			env = append(env, featureNetworkPerBuild+"=true")
		}
	}
	if len(env) > 0 {
		set["environment"] = env
	}
	if cfg.CAFile != "" && r.URL == cfg.Forge.URL {
		set["tls-ca-file"] = cfg.caInside()
	}
	return Section{Name: r.Name, Set: set, Default: map[string]any{"request_concurrency": requestConcurrency}}
}

// trusting is env with which programs look for ours among the authorities of
// their image, or beside those of directories that env names already.
func trusting(env []string) []string {
	const ours = configDir + "/certs"
	for i, e := range slices.Backward(env) {
		if dirs, is := strings.CutPrefix(e, "SSL_CERT_DIR="); is && dirs != "" {
			if !slices.Contains(strings.Split(dirs, ":"), ours) {
				env[i] = e + ":" + ours
			}
			return env
		}
	}
	return append([]string{jobTrust}, env...)
}

// daemonCA is where a job's own Docker daemon looks for the authority of a
// registry. A volume cannot name a path with a colon; the daemon also reads
// every file among the system's authorities.
func daemonCA(registry string) string {
	if strings.Contains(registry, ":") {
		return "/etc/ssl/certs/hepta-ca.crt"
	}
	return dockerauth.AuthorityFile(registry)
}

// extend appends the strings of v, a list as YAML gives it, that list lacks.
func extend(list []string, v any) []string {
	for _, s := range stringList(v) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// stringList reads a list of strings, or a single one; nil for anything else.
func stringList(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			out = append(out, s)
		}
		return out
	}
	return nil
}

// without leaves out the volumes whose place in the container one of the
// user's takes: a path is mounted once.
func without(volumes []string, users any) []string {
	place := func(volume string) string {
		parts := strings.Split(volume, ":")
		return parts[min(1, len(parts)-1)]
	}
	taken := map[string]bool{}
	for _, v := range stringList(users) {
		taken[place(v)] = true
	}
	return slices.DeleteFunc(volumes, func(v string) bool { return taken[place(v)] })
}
