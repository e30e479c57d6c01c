package runner

import (
	"maps"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/runner/configkeys"
)

// withKeys gives the keys that are written by hand their names and types, as
// the runner reads them.
func (r Runner) withKeys() (Runner, []configkeys.Problem) {
	settings, problems := configkeys.Normal(configkeys.Runner, r.Settings)
	docker, more := configkeys.Normal(configkeys.Docker, r.Docker)
	for i := range problems {
		problems[i].Key = "settings." + problems[i].Key
	}
	for i := range more {
		more[i].Key = "docker." + more[i].Key
	}
	r.Settings, r.Docker = settings, docker
	return r, append(problems, more...)
}

// reserved are keys of [[runners]] that have a place of their own.
var reserved = map[string]string{
	"name": "name", "url": "forge.url", "token": "forge.token", "limit": "concurrent", "environment": "environment", "docker": "docker",
}

// keys checks the keys that are written by hand.
func (p *problems) keys(at string, r Runner) {
	_, found := r.withKeys()
	for _, k := range slices.Sorted(maps.Keys(r.Settings)) {
		name, _ := configkeys.Name(configkeys.Runner, k)
		switch other, taken := reserved[name]; {
		case taken:
			p.add(at+".settings."+k, "set "+other+" instead", "the runner has a key of its own for this")
		case name == "executor":
			p.add(at+".settings."+k, "leave it out", "the executor is docker")
		default:
			continue
		}
		found = slices.DeleteFunc(found, func(f configkeys.Problem) bool {
			return f.Key == "settings."+k || strings.HasPrefix(f.Key, "settings."+k+".") || strings.HasPrefix(f.Key, "settings."+k+"[")
		})
	}
	for _, f := range found {
		if !f.Ignored {
			p.add(at+"."+f.Key, "write it as the runner's documentation has it, or leave it out", "%s: for one value of a wrong type the runner refuses its whole file", f.Text)
		}
	}
}

// ignoredKeys tells of keys that the runner has no use for.
func (r Runner) ignoredKeys() []string {
	var list []string
	_, found := r.withKeys()
	for _, f := range found {
		if f.Ignored {
			list = append(list, "runner "+r.Name+": "+f.Key+" "+f.Text)
		}
	}
	return list
}

// doubles refuses what is said twice, with two values or with one: which of
// them counts should not have to be known.
func (p *problems) doubles(at string, cfg Config, r Runner) {
	twice := func(key, other string, isOther bool) {
		if _, is := r.Docker[key]; is && isOther {
			p.add(at+".docker."+key, "leave one of them out", "it is given as %s too", other)
		}
	}
	twice("image", "image of the runner", r.Image != "")
	twice("helper_image", "runner.helper_image", cfg.HelperImage != "")
	twice("allowed_images", "allowed_images of the runner", len(r.AllowedImages) > 0)
	twice("allowed_services", "allowed_services of the runner", len(r.AllowedServices) > 0)
	if _, is := r.Settings["tls-ca-file"]; is && cfg.CAFile+string(cfg.CA) != "" {
		p.add(at+".settings.tls-ca-file", "leave it out: the stack's own authority and runner.ca are trusted already", "the authority is given by the stack too")
	}
	if on, is := r.Docker["privileged"].(bool); is && !on && (r.Mode == Dind) {
		if services, _ := r.Docker["services_privileged"].(bool); !services {
			p.add(at+".docker.privileged", "leave it out, or give services_privileged: true beside it, or set mode: plain",
				"a Docker daemon beside a job cannot work without privileges")
		}
	}
	if r.Mode == Rootless {
		for _, opt := range stringList(r.Docker["security_opt"]) {
			if name, _, _ := strings.Cut(strings.ReplaceAll(opt, ":", "="), "="); name == "seccomp" || name == "apparmor" {
				p.add(at+".docker.security_opt", "leave "+name+" out, or set mode: plain", "mode rootless gives jobs a %s profile of its own", name)
			}
		}
	}
	labels, _ := r.Docker["container_labels"].(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if low := strings.ToLower(k); low == "traefik.enable" || strings.HasPrefix(low, converge.LabelPrefix) || strings.HasPrefix(low, markPrefix) {
			p.add(at+".docker.container_labels."+k, "leave it out", "labels by which the proxy, hepta and the runner know containers are no job's to bear")
		}
	}
	if r.DindImage != "" {
		for _, s := range tables(r.Docker["services"]) {
			if alias, _ := s["alias"].(string); slices.Contains(strings.FieldsFunc(alias, func(c rune) bool { return c == ' ' || c == ',' }), "docker") {
				p.add(at+".docker.services", "leave dind_image or that service out", "dind_image and another service have the name docker")
			}
		}
	}
}

func tables(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, e := range list {
		if t, ok := e.(map[string]any); ok {
			out = append(out, t)
		}
	}
	return out
}
