package runner

import (
	"cmp"
	_ "embed"
	"fmt"
	"path"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// FileDockerd is the program that jobs find before the dockerd of their image,
// where there is something to tell their daemons or to keep for them.
const FileDockerd = "runner/dockerd"

// flagsVariable holds what the program adds to the flags that a job gives its
// daemon itself.
const flagsVariable = "HEPTA_DOCKERD"

// usualMTU is what a daemon takes without being told.
const usualMTU = 1500

//go:embed dockerd.sh
var dockerd []byte

// place is what a Docker host is like for jobs.
type place struct {
	gateway string           // its address on the Engine's default network
	mtu     func(string) int // of a network, by its name; 0 when not known
	facts   hostFacts
}

// place reads it out of a snapshot. Without a gateway the Engine is asked to
// fill in its own.
func (r *Runners) place(o *converge.Observed) place {
	return place{cmp.Or(o.Network(converge.DefaultNetwork).Gateway, converge.HostGateway), func(name string) int { return o.Network(name).MTU }, r.facts(o)}
}

// narrow is the MTU of the network that jobs of r are on, 0 where it is not
// known or what everybody takes in any case.
func (p place) narrow(r Runner) int {
	network, _ := r.Docker["network_mode"].(string)
	if network == "" || network == "default" || network == "host" {
		network = converge.DefaultNetwork
	}
	if p.mtu == nil {
		return 0
	}
	if mtu := p.mtu(network); mtu < usualMTU {
		return mtu
	}
	return 0
}

// daemonFlags is what the daemons of r's jobs are told: how large packets are on
// their network, what they cannot see in a job network, and where the mirror of
// Docker Hub is.
func (cfg Config) daemonFlags(r Runner, at place) []string {
	if r.Mode != Dind {
		return nil
	}
	var flags []string
	if mtu := at.narrow(r); mtu != 0 {
		flags = append(flags, fmt.Sprintf("--mtu=%d", mtu))
	}
	if cfg.hasJobNetwork(r, at) {
		for _, server := range at.facts.NameServers {
			flags = append(flags, "--dns="+server)
		}
		for _, pool := range poolsWithout(cfg.addressesToReach(at)...) {
			flags = append(flags, fmt.Sprintf("--default-address-pool=base=%s,size=%d", pool.Base, pool.Size))
		}
	}
	mirror := strings.Replace(cfg.Mirror, "//"+converge.HostGateway, "//"+at.gateway, 1)
	if mirror == "" || strings.Contains(mirror, converge.HostGateway) {
		return flags
	}
	flags = append(flags, "--registry-mirror="+mirror)
	if host, plain := strings.CutPrefix(mirror, "http://"); plain {
		flags = append(flags, "--insecure-registry="+strings.TrimRight(host, "/"))
	}
	return flags
}

// programVolume binds a program of the data directory into jobs and their
// services, where they find it before that of their image.
func (cfg Config) programVolume(file string) string {
	return path.Join(cfg.Data, file) + ":" + firstInPath + path.Base(file) + ":ro"
}

// mirrorHost is host[:port] of a mirror that has a certificate, in a list of
// one. A daemon that does not trust it asks Docker Hub without a word.
func (cfg Config) mirrorHost() []string {
	host, secure := strings.CutPrefix(cfg.Mirror, "https://")
	if host, _, _ = strings.Cut(host, "/"); !secure || host == "" {
		return nil
	}
	return []string{host}
}
