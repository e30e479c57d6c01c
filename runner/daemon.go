package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

const (
	// FileDaemon is what the Docker daemons of jobs are told, where there is
	// something to tell. It is a file since jobs name the daemon as a service
	// themselves, and services get the volumes of the job.
	FileDaemon = "runner/daemon.json"
	// daemonConfig is where a daemon looks for it.
	daemonConfig = "/etc/docker/daemon.json"
	// usualMTU is what a daemon takes without being told.
	usualMTU = 1500
)

// place is what a Docker host is like for jobs.
type place struct {
	gateway string           // its address on the Engine's default network
	mtu     func(string) int // of a network, by its name; 0 when not known
}

// placeOf reads it out of a snapshot. Without a gateway the Engine is asked to
// fill in its own.
func placeOf(o *converge.Observed) place {
	return place{cmp.Or(o.Network(converge.DefaultNetwork).Gateway, converge.HostGateway), func(name string) int { return o.Network(name).MTU }}
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

// daemonSettings are keys of daemon.json.
type daemonSettings struct {
	MTU      int      `json:"mtu,omitempty"`
	Mirrors  []string `json:"registry-mirrors,omitempty"`
	Insecure []string `json:"insecure-registries,omitempty"`
}

// daemon is what the daemons of jobs are told: the smallest packets of any
// network that they are on, and where the mirror is.
func (cfg Config) daemon(at place) daemonSettings {
	var s daemonSettings
	for _, r := range cfg.Runners {
		if mtu := at.narrow(r); r.Mode == Dind && mtu != 0 && (s.MTU == 0 || mtu < s.MTU) {
			s.MTU = mtu
		}
	}
	mirror := strings.Replace(cfg.Mirror, "//"+converge.HostGateway, "//"+at.gateway, 1)
	if mirror == "" || strings.Contains(mirror, converge.HostGateway) {
		return s
	}
	s.Mirrors = []string{mirror}
	if host, plain := strings.CutPrefix(mirror, "http://"); plain {
		s.Insecure = []string{strings.TrimRight(host, "/")}
	}
	return s
}

func (s daemonSettings) empty() bool { return s.MTU == 0 && len(s.Mirrors) == 0 }

// daemonVolume binds the settings into jobs and their services; "" where there
// are none, which leaves an image with its own.
func (cfg Config) daemonVolume(at place) string {
	if cfg.daemon(at).empty() {
		return ""
	}
	return path.Join(cfg.Data, FileDaemon) + ":" + daemonConfig + ":ro"
}

// mergeDaemon is the content of FileDaemon.
func (cfg Config) mergeDaemon(o *converge.Observed, _ []byte) ([]byte, error) {
	text, err := json.MarshalIndent(cfg.daemon(placeOf(o)), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", FileDaemon, err)
	}
	return append(text, '\n'), nil
}
