package runner

import (
	"fmt"
	"slices"
	"strings"
)

// dindHost is the name of a job's own Docker daemon.
const dindHost = "docker"

// lookup reads a variable of a list of NAME=value, the last of that name. Case
// does not count, as programs read HTTP_PROXY and http_proxy.
func lookup(env []string, name string) string {
	for _, e := range slices.Backward(env) {
		if k, v, _ := strings.Cut(e, "="); strings.EqualFold(k, name) && v != "" {
			return v
		}
	}
	return ""
}

// hasProxy reports whether programs with these variables use a proxy.
func hasProxy(env []string) bool {
	return lookup(env, "http_proxy")+lookup(env, "https_proxy")+lookup(env, "all_proxy") != ""
}

// isExcepted reports whether a value of NO_PROXY leaves a host out: itself, a
// domain above it, or all. The library for this, x/net/http/httpproxy, would
// bring Unicode's tables into the program, for names that have none of it.
func isExcepted(noProxy, host string) bool {
	for entry := range strings.SplitSeq(noProxy, ",") {
		entry = strings.ToLower(strings.TrimSpace(entry))
		domain := strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
		switch {
		case entry == "*", entry == host:
			return true
		case domain != "" && strings.HasSuffix(host, "."+domain):
			return true
		}
	}
	return false
}

// exceptHosts is env with hosts that no proxy knows left out of what goes
// through one: names that only containers of the Docker host are told.
func exceptHosts(env []string, hosts []string) []string {
	if !hasProxy(env) {
		return env
	}
	out, found := slices.Clone(env), false
	for i, e := range out {
		k, v, _ := strings.Cut(e, "=")
		if !strings.EqualFold(k, "no_proxy") {
			continue
		}
		found = true
		for _, host := range hosts {
			if !isExcepted(v, host) {
				v = strings.TrimPrefix(v+","+host, ",")
			}
		}
		out[i] = k + "=" + v
	}
	if list := strings.Join(hosts, ","); !found && list != "" {
		out = append(out, "NO_PROXY="+list, "no_proxy="+list) // programs differ in which they read
	}
	return out
}

// proxyOf is what variables decide about the way of a program's requests and
// about whom it trusts.
func proxyOf(env []string) []string {
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(strings.ToUpper(e), "=")
		if name == "SSL_CERT_DIR" || name == "SSL_CERT_FILE" || strings.HasSuffix(name, "_PROXY") {
			out = append(out, e)
		}
	}
	return out
}

// environment is what the runner's own process has.
func (cfg Config) environment() []string { return exceptHosts(cfg.Environment, cfg.HostNames) }

// warnProxy tells of a proxy through which jobs, or the runner itself, would
// ask the forge that is on their own Docker host.
func (cfg Config) warnProxy() []string {
	forge := cfg.forgeHost()
	if len(cfg.After) == 0 || slices.Contains(cfg.HostNames, forge) {
		return nil // elsewhere, or left out already
	}
	var out []string
	tell := func(key string, env []string) {
		if hasProxy(env) && !isExcepted(lookup(env, "no_proxy"), forge) {
			out = append(out, fmt.Sprintf("%s: a proxy is set, and requests to %s go through it, although that is on this Docker host; to go there directly put it into NO_PROXY there", key, forge))
		}
	}
	tell("runner.environment", cfg.Environment)
	for _, r := range cfg.Runners {
		if r.URL == cfg.Forge.URL {
			tell("runners["+r.Name+"].environment", r.Environment)
		}
	}
	return out
}
