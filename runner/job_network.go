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
	// FileBuildKitConfig is what BuildKit is told in a rootless job that has a
	// network of its own.
	FileBuildKitConfig = "runner/buildkitd.toml"
	buildKitConfig     = "/etc/hepta/buildkitd.toml"
)

// ownNetwork reports whether each job of r gets a network of its own with its
// services, where no other job reaches them: the runner's program can do that,
// packets keep their size there, and nobody has decided otherwise. What a build
// starts inside a job needs to be told of name servers and addresses there.
//
// Jobs of mode socket stay with the containers that they start, on the Engine's
// default network: they have the Engine, which reaches every network.
func (cfg Config) ownNetwork(r Runner, at place) bool {
	switch {
	case r.Mode == Socket, !at.facts.knows(knowsNetworks), r.decidesNetwork():
		return false
	case at.narrow(r) != 0 && !at.facts.knows(knowsMTU):
		return false
	case r.Mode == Dind, r.Mode == Rootless:
		return len(at.facts.NameServers) > 0 && !r.decidesBuilder()
	}
	return true
}

// decidesNetwork reports whether the keys of r say themselves which network its
// jobs are on.
func (r Runner) decidesNetwork() bool {
	if network, _ := r.Docker["network_mode"].(string); network != "" || r.Docker["links"] != nil {
		return true
	}
	if flags, ok := r.Settings["feature_flags"].(map[string]any); ok && flags[knowsNetworks] != nil {
		return true
	}
	return r.sets(knowsNetworks)
}

// decidesBuilder reports whether the keys of r say themselves what the daemons
// of its jobs go by, or BuildKit in them.
func (r Runner) decidesBuilder() bool {
	if r.Docker["dns"] != nil || r.sets("BUILDKITD_FLAGS") {
		return true
	}
	return slices.ContainsFunc(stringList(r.Docker["volumes"]), func(v string) bool {
		parts := strings.Split(v, ":")
		target := parts[min(1, len(parts)-1)]
		return target == daemonConfig || path.Base(target) == path.Base(buildKitConfig)
	})
}

// sets reports whether the environment of r has a variable.
func (r Runner) sets(name string) bool {
	return slices.ContainsFunc(r.Environment, func(e string) bool { return strings.HasPrefix(e, name+"=") })
}

// ownNetworks reports whether the jobs of some runner of a mode have networks
// of their own.
func (cfg Config) ownNetworks(mode Mode, at place) bool {
	return slices.ContainsFunc(cfg.Runners, func(r Runner) bool { return r.Mode == mode && cfg.ownNetwork(r, at) })
}

// withFlag is the feature flags of a section with that for a network for each
// job.
func withFlag(flags any) map[string]any {
	out := map[string]any{knowsNetworks: true}
	if given, ok := flags.(map[string]any); ok {
		for k, v := range given {
			out[k] = v
		}
	}
	return out
}

// addressPool is an entry of default-address-pools in daemon.json.
type addressPool struct {
	Base string `json:"base"`
	Size int    `json:"size"`
}

// dockerPools are those from which Docker takes the addresses of networks.
var dockerPools = []addressPool{
	{"172.17.0.0/16", 16}, {"172.18.0.0/16", 16}, {"172.19.0.0/16", 16}, {"172.20.0.0/14", 16}, {"172.24.0.0/14", 16}, {"172.28.0.0/14", 16}, {"192.168.0.0/16", 20},
}

// poolsWithout are Docker's own without those of some addresses, nil where that
// leaves all. A daemon in a network of its own sees none of the host's networks
// and would give its own the addresses of the first: then the host, and with it
// the forge and the mirror, would be its own container's.
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

// needed are the addresses that a job's daemon has to reach; what is none
// among them does no harm.
func (cfg Config) needed(at place) []string {
	list := append(slices.Clone(at.facts.NameServers), at.gateway, cfg.HostAddress)
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
