package runner

import (
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

const (
	// FileBuildKitConfig is the buildkitd.toml of rootless jobs that have a job
	// network.
	FileBuildKitConfig = "runner/buildkitd.toml"
	buildKitConfig     = "/etc/hepta/buildkitd.toml"
)

// hasJobNetwork reports whether each job of r gets a network for itself and its
// services, on which no other job is: cfg asks for it, the runner program supports
// it, also with the MTU of the host, and the keys of r do not choose the network.
// What a job's daemon or BuildKit starts needs name servers there, and addresses
// that leave the host reachable; both have to be in hepta's hands.
//
// Jobs of mode socket stay on the Engine's default network, beside the
// containers that they start: with the Engine they reach every network.
func (cfg Config) hasJobNetwork(r Runner, at place) bool {
	switch {
	case !cfg.JobNetworks, r.Mode == Socket, !at.facts.supports(featureNetworkPerBuild), r.setsNetwork():
		return false
	case at.narrow(r) != 0 && !at.facts.supports(featureNetworkMTU):
		return false
	case r.Mode == Dind, r.Mode == Rootless:
		return len(at.facts.NameServers) > 0 && !r.setsBuilder()
	}
	return true
}

// setsNetwork reports whether the keys of r choose the network of its jobs.
func (r Runner) setsNetwork() bool {
	if network, _ := r.Docker["network_mode"].(string); network != "" || r.Docker["links"] != nil {
		return true
	}
	if flags, ok := r.Settings["feature_flags"].(map[string]any); ok && flags[featureNetworkPerBuild] != nil {
		return true
	}
	return r.sets(featureNetworkPerBuild)
}

// setsBuilder reports whether the keys of r configure the daemons of its jobs, or
// BuildKit in them.
func (r Runner) setsBuilder() bool {
	if r.Docker["dns"] != nil || r.sets("BUILDKITD_FLAGS") {
		return true
	}
	return slices.ContainsFunc(stringList(r.Docker["volumes"]), func(v string) bool {
		parts := strings.Split(v, ":")
		target := parts[min(1, len(parts)-1)]
		return path.Base(target) == path.Base(buildKitConfig)
	})
}

// sets reports whether the environment of r has the variable name.
func (r Runner) sets(name string) bool {
	return slices.ContainsFunc(r.Environment, func(e string) bool { return strings.HasPrefix(e, name+"=") })
}

// withJobNetworks are the feature flags of a section and that of job networks.
func withJobNetworks(flags any) map[string]any {
	out := map[string]any{featureNetworkPerBuild: true}
	if given, ok := flags.(map[string]any); ok {
		for k, v := range given {
			out[k] = v
		}
	}
	return out
}

// addressPool is what --default-address-pool of dockerd takes.
type addressPool struct {
	Base string // a prefix
	Size int    // bits of the subnets that are made of it
}

// dockerPools are Docker's default pools, from which networks get their addresses.
var dockerPools = []addressPool{
	{"172.17.0.0/16", 16}, {"172.18.0.0/16", 16}, {"172.19.0.0/16", 16}, {"172.20.0.0/14", 16}, {"172.24.0.0/14", 16}, {"172.28.0.0/14", 16}, {"192.168.0.0/16", 20},
}

// poolsWithout are dockerPools without those that contain one of addresses; nil
// when none does. A daemon in a job network does not see the host's networks, and
// would take the subnet of the host's first one for its own: the host's address
// there, by which jobs reach the forge and the mirror, would lead to the daemon.
func poolsWithout(addresses ...string) []addressPool {
	out := slices.DeleteFunc(slices.Clone(dockerPools), func(p addressPool) bool {
		prefix, err := netip.ParsePrefix(p.Base)
		return err != nil || slices.ContainsFunc(addresses, func(address string) bool {
			ip, err := netip.ParseAddr(address)
			return err == nil && prefix.Contains(ip)
		})
	})
	if len(out) == len(dockerPools) {
		return nil
	}
	return out
}

// defaultGateway is the host's address on the default network of an Engine that
// is not told another one. Some Engines do not say which it is.
const defaultGateway = "172.17.0.1"

// addressesToReach are those that a job's daemon has to reach, among them names
// in place of addresses.
func (cfg Config) addressesToReach(at place) []string {
	list := append(slices.Clone(at.facts.NameServers), at.gateway, cfg.HostAddress)
	if at.gateway == converge.HostGateway {
		list = append(list, defaultGateway)
	}
	for _, entry := range cfg.ExtraHosts {
		_, address, _ := strings.Cut(entry, ":")
		list = append(list, address)
	}
	if mirror, err := url.Parse(cfg.Mirror); err == nil {
		list = append(list, mirror.Hostname())
	}
	return list
}

// mergeBuildKit is the content of FileBuildKitConfig.
func (r *Runners) mergeBuildKit(o *converge.Observed, _ []byte) ([]byte, error) {
	servers := make([]any, 0, 3)
	for _, s := range r.facts(o).NameServers {
		servers = append(servers, s)
	}
	return []byte("[dns]\n  nameservers = " + inline(servers) + "\n"), nil
}
