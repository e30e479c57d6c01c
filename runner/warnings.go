package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// Warnings are what is right about the configuration and dangerous all the
// same, one line each.
func (cfg Config) Warnings() []string { return cfg.withDefaults().warningsAt(place{}) }

// warningsAt are the warnings for a host.
func (cfg Config) warningsAt(at place) []string {
	out := cfg.warnProxy()
	for _, r := range cfg.Runners {
		out = append(out, r.ignoredKeys()...)
		out = append(out, r.warnGiven()...)
		out = append(out, cfg.warnPower(r)...)
		if r.plainDind() && !cfg.hasJobNetwork(r, at) {
			out = append(out, fmt.Sprintf("runner %s: with tls: false whoever reaches the network of a job can do everything with its Docker daemon, which is privileged", r.Name))
		}
	}
	for _, r := range cfg.Runners {
		if (at.facts.Image != "" || !cfg.JobNetworks) && r.Mode == Dind && strings.HasPrefix(cfg.Mirror, "http://") && !cfg.hasJobNetwork(r, at) {
			out = append(out, fmt.Sprintf("runner %s: its jobs share a network, where each can pass itself off as the mirror to the Docker daemons of the others; see runner: {job_networks: true}, \"Job networks\" in docs/runners.md", r.Name))
		}
	}
	if jobs := cfg.maxJobNetworks(at); jobs > defaultPoolNetworks {
		out = append(out, fmt.Sprintf("up to %d jobs run at once, each in a network of its own, and by default an Engine has addresses for about 30 networks: "+
			"check that default-address-pools in /etc/docker/daemon.json of the Docker host has more, or set runner: {concurrent: %d}", jobs, defaultPoolNetworks))
	}
	return out
}

// warnGiven tells of attributes that are given beside a token that was made
// elsewhere: the forge settled them when that runner was made there.
func (r Runner) warnGiven() []string {
	if !r.given() {
		return nil
	}
	var idle []string
	for _, a := range []struct {
		key   string
		isSet bool
	}{
		{"tags", len(r.Tags) > 0}, {"run_untagged", r.RunUntagged != nil}, {"locked", r.Locked}, {"paused", r.Paused},
		{"access_level", r.AccessLevel != "not_protected"}, {"maximum_timeout", r.MaximumTimeout != 0},
		{"group", r.Group != 0}, {"project", r.Project != 0},
	} {
		if a.isSet {
			idle = append(idle, a.key)
		}
	}
	if len(idle) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("runners[%s]: no effect on a runner whose token was created by hand (forge.token_file): %s; set that in %s, at the runner itself, and leave it out here",
		r.Name, strings.Join(idle, ", "), r.URL)}
}

// defaultPoolNetworks is how many job networks get addresses from an Engine's
// default pools, beside its other networks.
const defaultPoolNetworks = 24

// maxJobNetworks is the largest number of job networks at one time.
func (cfg Config) maxJobNetworks(at place) int {
	sum := 0
	for _, r := range cfg.Runners {
		if cfg.hasJobNetwork(r, at) {
			sum += r.Concurrent
		}
	}
	return min(sum, cfg.Concurrent)
}

// warnPower says who may get at the Docker host through the jobs of a runner,
// and by what. Mode dind is privileged and says so: it is told of where every
// project may use it.
func (cfg Config) warnPower(r Runner) []string {
	powers, chosen := cfg.powers(r), []string{}
	switch r.Mode {
	case Dind:
		if !slices.Contains(powers, powerPrivileged) {
			chosen = append(chosen, powerPrivileged)
		}
	case Socket:
		powers = append(powers, "the host's Docker, mode socket")
	}
	everybody := !r.given() && r.Group == 0 && r.Project == 0
	if len(powers) == 0 && (len(chosen) == 0 || !everybody) {
		return nil
	}
	who := ""
	switch {
	case everybody && r.runUntagged():
		who = ", and it takes the jobs of every project, also those that name no tags"
	case everybody:
		who = ", and it takes the jobs of every project that names its tags"
	}
	return []string{fmt.Sprintf("runner %s: its jobs can get at the Docker host itself (%s)%s; let only those use it who may be root there",
		r.Name, strings.Join(append(chosen, powers...), "; "), who)}
}

// warnings are what a plan that does something says about the runners.
func (r *Runners) warnings(o *converge.Observed) []string {
	return append(r.cfg.warningsAt(r.place(o)), r.warnModes(o)...)
}

// warnModes tells of runners that name no mode and were made when that meant
// dind.
func (r *Runners) warnModes(o *converge.Observed) []string {
	content, _ := seen(o, FileConfig)
	was, err := jobPlaces(content)
	if err != nil {
		return nil // whoever reads it for the plan is told
	}
	var out []string
	for _, x := range r.cfg.Runners {
		stays, _ := x.Docker["privileged"].(bool)
		if !slices.Contains(r.modeless, x.Name) || stays {
			continue
		}
		if slices.ContainsFunc(was, func(g jobPlace) bool { return g.Name == x.Name && g.Docker.Privileged }) {
			out = append(out, fmt.Sprintf("runner %s: it names no mode, which means plain now and meant dind before: its jobs lose their privileges, and with them their Docker daemon; "+
				"to keep both write mode: dind at that runner before the next up", x.Name))
		}
	}
	return out
}
